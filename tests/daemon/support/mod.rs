//! What every test works with: an Azure, a daemon beside it, and patience with an end.

pub(crate) mod azure;
pub(crate) mod daemon;
pub(crate) mod dns;
pub(crate) mod entra;
pub(crate) mod home;
pub(crate) mod public;
pub(crate) mod server;
pub(crate) mod strace;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take before a test fails; generous, because tests share the machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Probes until there is a value; a probe that has none yet says what it saw instead.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("never: {what}; last seen: {seen}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A program that a test needs, or how to get it.
pub(crate) fn program(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs what tests need"))
}

/// A program of the tests' own Python, or how to get it.
pub(crate) fn python_program(name: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin").join(name);
    assert!(path.exists(), "{} is not there; scripts/test installs what tests need", path.display());
    path
}
