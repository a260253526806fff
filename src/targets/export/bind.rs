//! Zone files for BIND, and for every server that reads zone files: NSD, Knot, PowerDNS, CoreDNS.

use super::zone_files;
use crate::zones::Generation;

/// All zone files in one text, each behind a line with its name. What named.conf needs stands in front,
/// commented out.
pub(super) fn text(generation: &Generation) -> String {
    let files = zone_files(generation);
    let mut text = "; Zone files, each below a line with its name. For named.conf:\n".to_owned();
    for file in &files {
        text += &format!("; zone \"{}\" {{ type primary; file \"{}\"; }};\n", file.origin, file.name);
    }
    for file in &files {
        text += &format!("\n; ---- {}\n{}", file.name, file.text);
    }
    text
}
