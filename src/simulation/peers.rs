//! Secondaries in the simulation: what they hold after transfers, whole or of changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use crate::zones::generation::is_greater;
use crate::zones::journal::{Datum, Since, since};
use crate::zones::{Difference, DnsName, Generation, Zone};

/// The address records of a zone.
pub(super) type Records = BTreeSet<(DnsName, Ipv4Addr)>;

pub(super) fn records(zone: &Zone) -> Records {
    let of = |(owner, addresses): (&DnsName, &BTreeSet<Ipv4Addr>)| {
        addresses.iter().map(|address| (owner.clone(), *address)).collect::<Vec<_>>()
    };
    zone.addresses.iter().flat_map(of).collect()
}

/// A server that takes the zones over.
#[derive(Debug, Clone, Default)]
pub(super) struct Secondary {
    zones: BTreeMap<DnsName, (u32, Records)>,
}

impl Secondary {
    /// Zones of which it has a greater serial than the primary, with that serial.
    pub(super) fn ahead(&self, generation: &Generation) -> Vec<(DnsName, u32)> {
        let ahead = self.zones.iter().filter(|(origin, (serial, _))| {
            generation.serial(origin).is_some_and(|ours| is_greater(*serial, ours))
        });
        ahead.map(|(origin, (serial, _))| (origin.clone(), *serial)).collect()
    }

    /// Takes all zones over; says how many came as changes.
    pub(super) fn transfer(
        &mut self,
        generation: &Generation,
        history: &VecDeque<Difference>,
    ) -> Result<usize, String> {
        let mut changes = 0;
        self.zones.retain(|origin, _| generation.zones.contains_key(origin));
        for (origin, zone) in &generation.zones {
            let serial = generation.serial(origin).ok_or_else(|| format!("{origin} has no serial"))?;
            let whole = records(zone);
            let Some((had, content)) = self.zones.get_mut(origin) else {
                self.zones.insert(origin.clone(), (serial, whole));
                continue;
            };
            match since(history, generation, origin, *had) {
                Since::Current => {}
                Since::Unknown => *content = whole.clone(),
                Since::Changes { removed, added } => {
                    changes += 1;
                    for datum in removed {
                        if let Datum::Address(owner, address) = datum
                            && !content.remove(&(owner.clone(), address))
                        {
                            return Err(format!("{owner} A {address} is removed, and is not there"));
                        }
                    }
                    for datum in added {
                        if let Datum::Address(owner, address) = datum
                            && !content.insert((owner.clone(), address))
                        {
                            return Err(format!("{owner} A {address} is added, and is there"));
                        }
                    }
                }
            }
            *had = serial;
            if *content != whole {
                return Err(format!(
                    "{origin} with serial {serial} is {content:?} at a secondary, not {whole:?}"
                ));
            }
        }
        Ok(changes)
    }
}
