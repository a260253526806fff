//! Options for dnsmasq.

use std::fmt::Write;

use crate::zones::Generation;

/// `host-record` gives A; `local` keeps other types of the name from public DNS, where an AAAA may
/// lead past the private endpoint. Names beside it are resolved as ever; those below do not exist, which
/// Azure has none of.
pub(super) fn text(generation: &Generation) -> String {
    let mut text =
        "# From privatelink-dns, for a file in /etc/dnsmasq.d; dnsmasq reads it when it starts.\n".to_owned();
    for (public, found) in generation.overrides() {
        for name in std::iter::once(&public).chain(&found.aliases) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "local=/{name}/");
            for address in &found.addresses {
                let _ = writeln!(text, "host-record={name},{address}");
            }
        }
    }
    text
}
