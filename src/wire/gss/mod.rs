//! GSS-TSIG (RFC 3645): messages that are signed in a Kerberos context, which is what Windows and Active
//! Directory want for secure updates, and BIND with a keytab.
//!
//! Kerberos itself is done by the system's library. It is loaded when a first context is negotiated,
//! honours `krb5.conf` (and `KRB5_CONFIG`) as every Kerberos program does, and gets everything else from
//! here: no environment variable is set, no ticket is left in the user's cache.
//!
//! [`Session::negotiate`] gives a context with one server; [`Session::send`] sends signed messages over its
//! connection, many to a context, until [`Session::ends`]. A response that is not signed as it should be
//! proves nothing ([`GssResponseError`]), and servers have many ways to make one: it is handed over with
//! that word, for the caller to ask the server what it holds.

mod credential;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod library;
mod session;
mod signature;
mod tkey;

pub use credential::Credential;
pub use error::{GssError, SendError, SignError, TkeyRefusal};
pub use session::{Peer, Reply, Session};
pub use signature::{GssResponseError, GssVerifier};
