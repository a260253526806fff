//! Signed updates (GSS-TSIG) to real servers: BIND with MIT's KDC, and Samba as an Active Directory.

mod bind;
mod failures;
mod samba;
mod support;
mod target;
mod windows;
