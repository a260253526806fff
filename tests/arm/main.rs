//! From ARM's answers to records: the real client, the rules and the book, against literal payloads
//! and every failure of the simulated ARM.
//!
//! In process, over loopback; nothing of the daemon is replaced.

mod bench;
mod discovery;
mod failures;
mod identity;
mod payloads;
mod served;
mod stories;
mod throttling;
