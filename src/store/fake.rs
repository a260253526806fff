//! A disk of the simulation in place of the state directory.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{Saved, Store, StoreError, failed};

/// Takes the content of the state file, or not.
pub(crate) type Take = dyn Fn(Vec<u8>, &Saved) -> io::Result<()> + Send + Sync;

#[derive(Clone)]
pub(super) struct Inside(Arc<Take>);

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl Inside {
    pub(super) fn save(&self, saved: &Saved) -> Result<(), StoreError> {
        let mut content = Vec::new();
        saved
            .write(&mut content)
            .and_then(|()| (self.0)(content, saved))
            .map_err(failed("cannot write", "state".as_ref()))
    }
}

impl Store {
    /// One whose files are elsewhere.
    pub(crate) fn inside(take: Arc<Take>) -> Self {
        let lock = std::fs::File::open("/dev/null").expect("it is there");
        Self { directory: "/nonexistent".into(), aside: None, _lock: lock, inside: Some(Inside(take)) }
    }
}
