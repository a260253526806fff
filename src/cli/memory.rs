//! Memory that was needed once goes back to the system.
//!
//! glibc learns from the first large block that is freed: others of its size come from the arenas from then on,
//! which keep them. A body of 16 MiB, read once in a year, would stay with the daemon for ever, once for each
//! thread. With a limit that is set it learns nothing: large blocks are mapped by themselves, and unmapped.

#![allow(unsafe_code, reason = "no safe crate sets options of the allocator")]

/// From this size on a block is mapped by itself: glibc's own limit before it learns.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 * 1024;

/// Lets large blocks be returned when they are freed. Other allocators than glibc's do so anyway.
pub(super) fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes numbers only, and no other thread is there yet. It is no loss when it fails.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
