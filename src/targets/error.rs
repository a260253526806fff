//! Why a target could not be brought up to date. Every message says what to do; the attempt is made
//! again anyway.

use std::path::PathBuf;

use tokio::task::JoinError;

use super::hosts::BrokenBlock;
use super::reload::ReloadError;
use super::replace::ReplaceError;
use super::rfc2136::PushError;
use crate::zones::DnsName;

/// Why a target could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// A file could not be read or written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// There is no hosts file.
    #[error("there is no {}; create it, or correct the path", .0.display())]
    NoHostsFile(PathBuf),
    /// The block of a hosts file was changed by hand.
    #[error(
        "the block in {} was changed by hand: {broken}. Nothing is guessed, so nothing was written: take what is \
         left of the block out of the file, its marker lines included; it is added again",
        path.display()
    )]
    BrokenBlock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        broken: BrokenBlock,
    },
    /// A file of the same name that is not ours.
    #[error("{} was not written by privatelink-dns; move it away, or let the target write elsewhere", .0.display())]
    Foreign(PathBuf),
    /// A zone that its server changes.
    #[error(
        "{} stands beside the zone file: the server changes this zone by itself (a dynamic zone, or \
         ixfr-from-differences) and would lose its changes or ours. Make the zone static: rndc sync -clean ZONE, take \
         allow-update, update-policy and ixfr-from-differences out of its configuration, and remove the journal",
        .0.display()
    )]
    Journal(PathBuf),
    /// The policy zone is not there.
    #[error("there is no policy zone {0} yet; it comes with the next generation")]
    NoPolicyZone(DnsName),
    /// The files are written, but the command failed.
    #[error("the files are written, but {0}. It is run again until it succeeds")]
    Reload(#[from] ReloadError),
    /// A server could not be brought up to date.
    #[error(transparent)]
    Push(#[from] PushError),
    /// An attempt does not end.
    #[error(
        "the attempt does not end: a file system or a server does not answer; mend it, or take the target out of the \
         configuration. Nothing else is tried before it ends"
    )]
    Hangs,
    /// A task ended in a panic; this is a bug.
    #[error("a task failed: {0}")]
    Task(#[from] JoinError),
}
