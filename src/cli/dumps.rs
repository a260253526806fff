//! No core dumps: what is in memory, tokens and keys, comes to no disk by a crash.
//!
//! The limit keeps the kernel from writing a file. Where dumps go to a program instead, it may not care about
//! limits; such a process gives none to anybody, nor may other processes of its user look into it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids them, for this process and its children.
pub(super) fn forbid() {
    // A sandbox may refuse either; the daemon works all the same, and the unit says LimitCORE=0.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
