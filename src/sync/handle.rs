//! The way to the engine, for everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::event::{Command, Event};
use super::view::View;
use crate::outside;

/// The way to a running engine.
#[derive(Clone)]
pub struct Handle {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) pulse: Pulse,
}

/// The engine is not there any more.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopped;

impl Handle {
    /// What the engine shows now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Every view from now on.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// When the engine last showed that it is alive.
    #[must_use]
    pub fn pulse(&self) -> Timestamp {
        self.pulse.last()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.events.send(Event::Command(command)).await.map_err(|_| Stopped)
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.send(command(sender)).await?;
        receiver.await.map_err(|_| Stopped)
    }
}

/// When the engine last showed that it is alive, in seconds.
#[derive(Clone, Default)]
pub(super) struct Pulse(Arc<AtomicI64>);

impl Pulse {
    /// Shows it.
    pub(super) fn beat(&self) {
        self.0.store(outside::now().as_second(), Ordering::Relaxed);
    }

    fn last(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(any(test, fuzzing))]
impl Handle {
    /// The way to an engine that never gave a pulse.
    #[cfg(test)]
    pub(crate) fn hung() -> Self {
        let view = Arc::new(View::empty(Timestamp::UNIX_EPOCH));
        Self { events: mpsc::channel(1).0, view: watch::channel(view).1, pulse: Pulse::default() }
    }

    /// The way to an engine that shows what the sender is told.
    pub(crate) fn shown(view: View) -> (Self, watch::Sender<Arc<View>>) {
        let (sender, view) = watch::channel(Arc::new(view));
        (Self { events: mpsc::channel(1).0, view, pulse: Pulse::default() }, sender)
    }
}
