//! Local data for Unbound.

use std::fmt::Write;

use crate::zones::Generation;

/// A `server:` clause. Each name has a zone of its own, of type `transparent`: A is answered, other
/// types do not exist, and names beside and below are resolved as ever.
pub(super) fn text(generation: &Generation) -> String {
    let mut text = "# From privatelink-dns, to be included in unbound.conf.\nserver:\n".to_owned();
    let ttl = generation.publication.ttl;
    for (public, found) in generation.overrides() {
        for name in std::iter::once(&public).chain(&found.aliases) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    local-zone: \"{name}.\" transparent");
            for address in &found.addresses {
                let _ = writeln!(text, "    local-data: \"{name}. {ttl} IN A {address}\"");
            }
        }
    }
    text
}
