//! `tsig`: keys for signed transfers, notifies and queries.

use secrecy::ExposeSecret;

use super::{Failure, Printed};
use crate::wire::tsig::{Algorithm, Key};
use crate::zones::DnsName;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Make a key and print it in BIND's syntax
    ///
    /// The daemon and every name server that has the key need the same clause. Keep it in a file that
    /// other users cannot read: `(umask 077; privatelink-dns tsig generate NAME > FILE)`, then
    /// `chgrp` to the group that reads it, and `chmod 0640`.
    Generate {
        /// The name of the key, such as host1-host2.example
        name: DnsName,
        /// hmac-sha256, hmac-sha384 or hmac-sha512
        #[arg(long, default_value_t = Algorithm::HmacSha256)]
        algorithm: Algorithm,
    },
}

pub(super) fn main(action: &Action) -> Result<Printed, Failure> {
    let Action::Generate { name, algorithm } = action;
    let key = Key::generate(name.clone(), *algorithm)?;
    Ok(Printed::ok(key.clause().expose_secret().to_owned()))
}
