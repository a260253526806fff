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

/// Runs what takes long where it holds up nobody.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(test)]
    let work = match simulated::spawn(|_| std::time::Duration::from_millis(20), work) {
        Ok(task) => return task,
        Err(work) => work,
    };
    tokio::task::spawn_blocking(work)
}

/// The same for what waits for the disk, which may take for ever.
pub(crate) fn writing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(test)]
    let work = match simulated::spawn(|world| world.disk, work) {
        Ok(task) => return task,
        Err(work) => work,
    };
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
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    /// Takes a message, over TCP or not, and gives the answer, if there is one.
    pub(crate) type Network = Arc<dyn Fn(SocketAddr, bool, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

    /// The time of day while the paused clock of tokio tells how time goes by, and who can be reached.
    #[derive(Clone)]
    pub(crate) struct World {
        /// The time of day at `at`.
        pub(crate) time: Timestamp,
        pub(crate) at: Instant,
        /// The longest time that a write takes.
        pub(crate) disk: Duration,
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

    /// Lets writes take up to so long.
    pub(crate) fn slow(disk: Duration) {
        with(|world| world.disk = disk);
    }

    fn with<T>(act: impl FnOnce(&mut World) -> T) -> Option<T> {
        WORLD.with_borrow_mut(|world| world.as_mut().map(act))
    }

    pub(super) fn now() -> Option<Timestamp> {
        let gone = |world: &World| SignedDuration::try_from(world.at.elapsed()).expect("not that long");
        with(|world| world.time + gone(world))
    }

    /// A task for work, which is given back outside of a simulation.
    pub(super) fn spawn<T: Send + 'static, Work: FnOnce() -> T + Send + 'static>(
        longest: impl Fn(&World) -> Duration,
        work: Work,
    ) -> Result<JoinHandle<T>, Work> {
        let Some(longest) = with(|world| longest(world)) else { return Err(work) };
        let pause = longest.mul_f64(fastrand::f64());
        Ok(tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            work()
        }))
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
