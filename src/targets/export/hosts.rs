//! Lines of a hosts file.

use crate::targets::hosts;
use crate::zones::Generation;

/// One line for each address of a public name, with the name and its alias in the privatelink zone.
pub(in crate::targets) fn lines(generation: &Generation) -> Vec<String> {
    let mut lines = Vec::new();
    for (public, found) in generation.overrides() {
        let mut names = public.to_string();
        for alias in &found.aliases {
            names.push(' ');
            names.push_str(alias.as_str());
        }
        lines.extend(found.addresses.iter().map(|address| format!("{address} {names}")));
    }
    lines
}

/// The block as it stands in a file.
pub(super) fn text(generation: &Generation) -> String {
    hosts::block(&lines(generation), "\n")
}
