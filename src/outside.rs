//! What the logic takes from outside, and a simulation has to hold in its hand: the time of day, and work
//! that blocks a thread.

use jiff::Timestamp;
use tokio::task::JoinHandle;

/// The time of day, which somebody may set. Waiting goes by [`tokio::time::Instant`], which nobody sets.
pub(crate) fn now() -> Timestamp {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    Timestamp::now()
}

/// Runs what blocks, file operations and long computations, where it holds up nobody.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(test)]
    if let Some(pause) = simulated::pause() {
        return tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            work()
        });
    }
    tokio::task::spawn_blocking(work)
}

/// A world of the calling thread's own, for the simulation.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::RefCell;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use tokio::time::Instant;

    /// Takes a message, over TCP or not, and gives the answer, if there is one.
    pub(crate) type Network = Arc<dyn Fn(SocketAddr, bool, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

    /// The time of day while the paused clock of tokio tells how time goes by, and who can be reached.
    #[derive(Clone)]
    pub(crate) struct World {
        /// The time of day at `at`.
        pub(crate) time: Timestamp,
        pub(crate) at: Instant,
        /// The longest pause before work that blocks is done.
        pub(crate) pause: Duration,
        pub(crate) network: Network,
    }

    thread_local! {
        static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    }

    /// Ends the thread's world when dropped.
    pub(crate) struct Entered;

    impl Drop for Entered {
        fn drop(&mut self) {
            WORLD.set(None);
        }
    }

    /// Lets the thread live in this world.
    pub(crate) fn enter(world: World) -> Entered {
        WORLD.set(Some(world));
        Entered
    }

    /// Puts the clock.
    pub(crate) fn jump(by: SignedDuration) {
        with(|world| world.time += by);
    }

    /// Lets work that blocks take up to so long.
    pub(crate) fn slow(pause: Duration) {
        with(|world| world.pause = pause);
    }

    fn with<T>(act: impl FnOnce(&mut World) -> T) -> Option<T> {
        WORLD.with_borrow_mut(|world| world.as_mut().map(act))
    }

    pub(super) fn now() -> Option<Timestamp> {
        let gone = |world: &World| SignedDuration::try_from(world.at.elapsed()).expect("not that long");
        with(|world| world.time + gone(world))
    }

    pub(super) fn pause() -> Option<Duration> {
        with(|world| world.pause.mul_f64(fastrand::f64()))
    }

    /// The answer to a message, after a while; nothing outside of a simulation.
    pub(crate) async fn exchange(server: SocketAddr, tcp: bool, message: &[u8]) -> Option<Option<Vec<u8>>> {
        let network = with(|world| world.network.clone())?;
        let way = || Duration::from_millis(fastrand::u64(1..300));
        tokio::time::sleep(way()).await;
        let answer = network(server, tcp, message);
        tokio::time::sleep(way()).await;
        Some(answer)
    }
}
