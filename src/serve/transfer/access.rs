//! Who may transfer: the secondaries of the configuration, told apart by key and address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::config::{self, Access, Secondary};
use crate::serve::secondaries::Records;
use crate::wire::tsig::{KeyFileError, Keys};
use crate::zones::DnsName;

/// Transfers that are sent at a time; further ones wait for their turn.
const SLOTS: usize = 32;

/// Of these, the ones that one secondary may have: however slowly it reads, others have their turn.
const OWN_SLOTS: usize = 8;

/// Who may transfer, and what was transferred.
#[derive(Debug)]
pub struct Transfers {
    secondaries: Vec<Secondary>,
    /// The TSIG keys, those that no secondary uses included.
    pub(in crate::serve) keys: Keys,
    /// The addresses that need no key, sorted.
    addresses: Vec<IpAddr>,
    slots: Arc<Semaphore>,
    /// By the secondary's name.
    own_slots: BTreeMap<String, Arc<Semaphore>>,
    pub(in crate::serve) records: Arc<Records>,
}

/// The right to send a transfer.
pub(super) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _slot: OwnedSemaphorePermit,
}

/// The secondaries cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A file with keys cannot be used.
    #[error("{0} (transfer.key_files)")]
    Keys(#[from] KeyFileError),
    /// A key is in no file.
    #[error(
        "[[secondary]] {secondary:?} uses the key {key}, which is in none of transfer.key_files; add it \
         (`privatelink-dns tsig generate {key}` makes one), or correct the name"
    )]
    UnknownKey {
        /// The secondary's name.
        secondary: String,
        /// The key's name.
        key: DnsName,
    },
}

impl Default for Transfers {
    /// Nobody may transfer.
    fn default() -> Self {
        Self::of(Vec::new(), Keys::default(), Arc::default())
    }
}

impl Transfers {
    /// Reads the keys of a configuration.
    ///
    /// # Errors
    /// When a file cannot be used, or lacks the key of a secondary.
    pub fn new(config: &config::Transfer, records: Arc<Records>) -> Result<Self, TransferError> {
        let keys = Keys::read(&config.key_files)?;
        for secondary in &config.secondaries {
            if let Some(key) = secondary.key.as_ref().filter(|key| keys.get(key).is_none()) {
                let secondary = secondary.name.clone();
                return Err(TransferError::UnknownKey { secondary, key: key.clone() });
            }
        }
        Ok(Self::of(config.secondaries.clone(), keys, records))
    }

    /// With these secondaries and keys.
    pub(in crate::serve) fn of(secondaries: Vec<Secondary>, keys: Keys, records: Arc<Records>) -> Self {
        let without_key = |s: &&Secondary| matches!(s.access, Access::Address | Access::KeyOrAddress);
        let mut addresses: Vec<IpAddr> =
            secondaries.iter().filter(without_key).map(|s| s.address.ip()).collect();
        addresses.sort_unstable();
        let slots = Arc::new(Semaphore::new(SLOTS));
        let own_slots =
            secondaries.iter().map(|s| (s.name.clone(), Arc::new(Semaphore::new(OWN_SLOTS)))).collect();
        Self { secondaries, keys, addresses, slots, own_slots, records }
    }

    /// Waits for the turn of a secondary, which ends with what is given.
    pub(super) async fn turn(&self, secondary: &str) -> Result<Turn, AcquireError> {
        // Its own first, so that who waits for those takes none of the others'. One that a reload has
        // just removed has none.
        let own = match self.own_slots.get(secondary) {
            Some(own) => Some(own.clone().acquire_owned().await?),
            None => None,
        };
        Ok(Turn { _own: own, _slot: self.slots.clone().acquire_owned().await? })
    }

    /// Whether an address alone makes a client a secondary.
    pub(in crate::serve) fn knows(&self, client: IpAddr) -> bool {
        !self.addresses.is_empty() && self.addresses.binary_search(&client).is_ok()
    }

    /// Whether a secondary has this address, whatever it needs beside it.
    pub(in crate::serve) fn has(&self, client: IpAddr) -> bool {
        self.secondaries.iter().any(|secondary| secondary.address.ip() == client)
    }

    /// The secondary that a client is, by its address and by the key that its request is signed with.
    /// Where several are possible, the key tells more than the address.
    pub(in crate::serve) fn secondary(&self, client: IpAddr, key: Option<&DnsName>) -> Option<&Secondary> {
        let marks = |s: &Secondary| (key.is_some() && s.key.as_ref() == key, s.address.ip() == client);
        let admits = |s: &&Secondary| match (s.access, marks(s)) {
            (Access::Key, (by_key, _)) => by_key,
            (Access::Address, (_, by_address)) => by_address,
            (Access::KeyOrAddress, (by_key, by_address)) => by_key || by_address,
            (Access::KeyAndAddress, (by_key, by_address)) => by_key && by_address,
        };
        // The first of the best, where max_by_key takes the last.
        self.secondaries.iter().rev().filter(admits).max_by_key(|s| marks(s))
    }
}
