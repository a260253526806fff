//! The state file's format, apart from the types that the daemon works with.
//!
//! JSON with a version, so that a person can read it and a later daemon knows what it reads.
//! Zones are not in it: they follow from the shares and the publication.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::zones::{
    Difference, DnsName, Generation, Hold, Publication, ResourceId, Share, Shares, ZoneSerial, generation,
};

/// The version that is written.
const VERSION: u32 = 1;

/// The greatest number of a generation that is believed: what every reader of JSON keeps exactly. With one
/// generation a second it takes millions of years to get there, and numbers can rise from it.
const GREATEST: u64 = 1 << 53;

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The last accepted generation.
    pub generation: Arc<Generation>,
    /// The differences that led to it, oldest first.
    pub history: VecDeque<Difference>,
    /// Removals that an operator rejected.
    pub rejections: Vec<Hold>,
    /// When each application was last read completely, as of the last write.
    pub last_success: BTreeMap<ResourceId, Timestamp>,
    /// Every application was once read completely, so that secondaries may have the zones.
    pub released: bool,
}

/// Why a state file cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is no JSON of the right shape.
    #[error("the state file cannot be understood: {0}")]
    Json(#[from] serde_json::Error),
    /// A later release wrote it.
    #[error(
        "a later release wrote it: it has version {0} of the format, this release reads version {VERSION}. To go back \
         to that release, stop the daemon and give the file its old name again"
    )]
    Version(u32),
    /// Somebody changed it by hand.
    #[error("the state file has zone {0}, but no serial for it")]
    NoSerial(DnsName),
    /// Somebody changed it by hand, or it is damaged.
    #[error("the state file has generation number {0}, which no daemon reaches")]
    Number(u64),
}

/// The version alone, read first.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Version 1 as it is read.
#[derive(Deserialize)]
struct ReadV1 {
    generation: GenerationV1,
    history: VecDeque<Difference>,
    #[serde(default)]
    rejections: Vec<Hold>,
    #[serde(default)]
    last_success: BTreeMap<ResourceId, Timestamp>,
    #[serde(default)]
    released: bool,
}

#[derive(Deserialize)]
struct GenerationV1 {
    number: u64,
    created: Timestamp,
    cause: String,
    publication: Publication,
    shares: Vec<Share>,
    serials: BTreeMap<DnsName, ZoneSerial>,
}

/// Version 1 as it is written.
#[derive(Serialize)]
struct WriteV1<'a> {
    version: u32,
    generation: WriteGenerationV1<'a>,
    history: &'a VecDeque<Difference>,
    rejections: &'a [Hold],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    last_success: &'a BTreeMap<ResourceId, Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    released: bool,
}

#[derive(Serialize)]
struct WriteGenerationV1<'a> {
    number: u64,
    created: Timestamp,
    cause: &'a str,
    publication: &'a Publication,
    shares: Vec<&'a Share>,
    serials: &'a BTreeMap<DnsName, ZoneSerial>,
}

impl Saved {
    /// Reads a state file's content.
    ///
    /// # Errors
    /// When it is no state of a version that is known.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SavedError> {
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(SavedError::Version(version));
        }
        let read: ReadV1 = serde_json::from_slice(bytes)?;
        if read.generation.number > GREATEST {
            return Err(SavedError::Number(read.generation.number));
        }
        let shares: Shares = read
            .generation
            .shares
            .into_iter()
            .map(|share| (share.application.clone(), Arc::new(share)))
            .collect();
        let zones = generation::zones(&shares, &read.generation.publication);
        if let Some(origin) = zones.keys().find(|origin| !read.generation.serials.contains_key(*origin)) {
            return Err(SavedError::NoSerial(origin.clone()));
        }
        Ok(Self {
            generation: Arc::new(Generation {
                number: read.generation.number,
                created: read.generation.created,
                cause: read.generation.cause,
                publication: read.generation.publication,
                shares,
                zones,
                serials: read.generation.serials,
            }),
            history: read.history,
            rejections: read.rejections,
            last_success: read.last_success,
            released: read.released,
        })
    }

    /// Writes the state.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, writer: impl io::Write) -> io::Result<()> {
        let generation = &self.generation;
        let state = WriteV1 {
            version: VERSION,
            generation: WriteGenerationV1 {
                number: generation.number,
                created: generation.created,
                cause: &generation.cause,
                publication: &generation.publication,
                shares: generation.shares.values().map(AsRef::as_ref).collect(),
                serials: &generation.serials,
            },
            history: &self.history,
            rejections: &self.rejections,
            last_success: &self.last_success,
            released: self.released,
        };
        serde_json::to_writer_pretty(writer, &state).map_err(io::Error::from)
    }
}
