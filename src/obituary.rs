//! Threads and tasks that must not end: whoever watches over the daemon learns when one does.

use tokio::sync::mpsc;

/// Tells of a thread or task that ends unasked, which only a panic can cause.
pub(crate) struct Obituary {
    deaths: mpsc::UnboundedSender<String>,
    who: Option<String>,
}

impl Obituary {
    /// Of `who`, to the other end of `deaths`.
    pub(crate) fn new(deaths: &mpsc::UnboundedSender<String>, who: String) -> Self {
        Self { deaths: deaths.clone(), who: Some(who) }
    }

    /// The end was asked for.
    pub(crate) fn expected(mut self) {
        self.who = None;
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if let Some(who) = self.who.take() {
            // Nobody listens any more only while the process ends.
            let _ = self.deaths.send(who);
        }
    }
}
