//! The views of an image: which addresses a client's network gets in place of everybody's.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::image::ImageError;
use crate::zones::{ClientView, Prefix};

/// Where the A records of a name start in the image's records, and how many there are.
pub(super) type Records = (u32, u16);

/// Client networks, and the names with other addresses for them. Empty without `by-subnet`.
#[derive(Default)]
pub(super) struct Views {
    /// Longest prefix first, with the number of its view.
    prefixes: Vec<(Prefix, u16)>,
    /// View and start of a name's records for everybody → its records in the view.
    records: HashMap<(u16, u32), Records>,
}

impl Views {
    /// The networks of the views, which are numbered from 0; no names yet.
    pub(super) fn new(views: &[ClientView<'_>]) -> Result<Self, ImageError> {
        let mut prefixes = Vec::new();
        for (number, view) in views.iter().enumerate() {
            let number = u16::try_from(number).map_err(|_| ImageError::TooLarge)?;
            prefixes.extend(view.prefixes.iter().map(|prefix| (*prefix, number)));
        }
        prefixes.sort_by_key(|(prefix, _)| Reverse(prefix.length));
        Ok(Self { prefixes, records: HashMap::new() })
    }

    /// Gives a name other records in a view.
    pub(super) fn add(&mut self, view: u16, everybody: u32, records: Records) {
        self.records.insert((view, everybody), records);
    }

    /// The view of a client.
    pub(super) fn of(&self, client: IpAddr) -> Option<u16> {
        let client = client.to_canonical();
        self.prefixes.iter().find(|(prefix, _)| prefix.contains(client)).map(|(_, view)| *view)
    }

    /// The records of a name in a view, when they differ from everybody's.
    pub(super) fn records(&self, view: u16, everybody: u32) -> Option<Records> {
        self.records.get(&(view, everybody)).copied()
    }
}
