//! Servers that stay primary: records written by UPDATE (RFC 2136), beside those of others.
//!
//! What is ours stands in a ledger here, not on the server: a TXT record beside each name would be one
//! more thing that others see, change and lose, and Windows does not sign its replies about TXT rightly.
//! Everything else follows from the ledger and from what the server holds: a pure plan, carried out in
//! messages that fail when somebody else has written meanwhile.

mod ledger;
mod plan;
#[cfg(test)]
mod tests;
