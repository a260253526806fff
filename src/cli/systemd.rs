//! What systemd is told, and the sockets that it passes.
//!
//! The one unsafe step is to take over the descriptors that systemd opened for this process.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use socket2::{Socket, Type};

use crate::serve::Passed;
use crate::sync::View;

/// The sockets of a socket unit; none without one. Gives them once.
pub(super) fn sockets() -> io::Result<Passed> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let mut passed = Passed::default();
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(passed);
    }
    for descriptor in sd_notify::listen_fds()? {
        // SAFETY: sd_listen_fds(3) makes these descriptors this process's own to take, and the flag
        // above makes sure that each is taken once.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        match socket.r#type()? {
            Type::DGRAM => passed.udp.push(socket.into()),
            Type::STREAM => passed.tcp.push(socket.into()),
            _ => return Err(io::Error::other("systemd passed a socket that is neither datagram nor stream")),
        }
    }
    Ok(passed)
}

/// Tells systemd something; without systemd nothing happens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic clock"),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub(super) fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// The line that `systemctl status` shows.
pub(super) fn status(view: &View) {
    let text = match &view.generation {
        Some(generation) => format!(
            "generation {}: {} names in {} zones, {} findings",
            generation.number,
            generation.names(),
            generation.zones.len(),
            view.findings.len()
        ),
        None => "waiting for the first complete poll; queries are answered SERVFAIL".to_owned(),
    };
    tell(&[NotifyState::Status(&text)]);
}

/// How often the watchdog wants to hear from the daemon, halved for safety; nothing without one.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
