//! A target of the simulation in place of files and servers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::targets::error::TargetError;
use crate::targets::writer::{Applied, Job};
use crate::zones::Generation;

/// Takes a generation, or not.
#[derive(Clone)]
pub(crate) struct Inside(pub(crate) Arc<dyn Fn(&Generation) -> bool + Send + Sync>);

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl Inside {
    pub(in crate::targets) async fn apply(&self, job: &Job) -> Result<Applied, TargetError> {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..3000))).await;
        match (self.0)(&job.generation) {
            true => Ok(Applied { records: 0, written: Vec::new() }),
            false => Err(TargetError::Hangs),
        }
    }
}
