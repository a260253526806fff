//! A daemon under `strace`, which kills it at a chosen system call, or writes down what it does to files.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::timeout;

use super::home::{BINARY, Home};
use super::{DEADLINE, eventually, program};

/// What is done to files, each by all names that the call has on some machine.
pub(crate) const OPEN: &str = "?open,openat";
pub(crate) const WRITE: &str = "write";
pub(crate) const SYNC: &str = "fsync";
pub(crate) const RENAME: &str = "?rename,?renameat,?renameat2";
pub(crate) const REMOVE: &str = "?unlink,?unlinkat";
pub(crate) const MODE: &str = "fchmod";
pub(crate) const MAKE: &str = "?mkdir,?mkdirat";

/// More file operations than any commit has.
const MOST: usize = 40;

/// The daemon's command line under `strace`, which sees what is done to these files alone. The process is
/// the daemon: `strace` stands beside it.
fn traced(home: &Home, files: &[PathBuf], what: &str, log: &Path) -> Command {
    home.write();
    let mut command = home.environment(&program("strace").to_string_lossy());
    command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-y", "-e", what, "-o"]).arg(log);
    for file in files {
        command.arg("-P").arg(file);
    }
    command.arg(BINARY).args(["run", "--config"]).arg(home.config());
    command
}

/// How it ended.
enum End {
    Killed,
    Done,
}

/// Runs the command until something is done, and ends it then, unless it was killed before.
async fn run(home: &Home, mut command: Command, done: impl AsyncFn() -> Result<(), String>) -> End {
    let said = home.path("said");
    let out = File::create(&said).expect("a log");
    let mut child = command.stdout(out.try_clone().expect("a log")).stderr(out).spawn().expect("strace runs");
    let ended =
        eventually("it is killed, or it is done", async || match child.try_wait().expect("a status") {
            Some(status) => Ok(Some(status)),
            None => done().await.map(|()| None),
        })
        .await;
    let status = match ended {
        Some(status) => status,
        None => {
            let id = child.id().expect("it is not waited for").cast_signed();
            // It may be killed at this very moment.
            let _ = kill_process(Pid::from_raw(id).expect("a process id"), Signal::TERM);
            timeout(DEADLINE, child.wait()).await.expect("it ends").expect("a status")
        }
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Done,
        (_, Some(9)) => End::Killed,
        _ => panic!("{status}: {}", fs::read_to_string(said).unwrap_or_default()),
    }
}

/// Kills the daemon at the first of these calls on these files that a thread makes, at the second, and so on, before
/// the call is made, until it comes to its end. A commit is made by one thread; a later one may be made by another,
/// where counting begins anew. Each time `before` makes the world as it was, and `after` looks at what is
/// left; it is told whether there was a kill. Gives how often there was.
pub(crate) async fn kill_at_each(
    home: &mut Home,
    call: &str,
    files: &[PathBuf],
    before: impl AsyncFn(),
    done: impl AsyncFn() -> Result<(), String>,
    mut after: impl AsyncFnMut(&mut Home, bool),
) -> usize {
    for time in 1..=MOST {
        before().await;
        let what = format!("inject={call}:signal=KILL:when={time}");
        let command = traced(home, files, &what, Path::new("/dev/null"));
        let killed = matches!(run(home, command, &done).await, End::Killed);
        after(home, killed).await;
        if !killed {
            return time - 1;
        }
    }
    panic!("more than {MOST} times {call}");
}

/// What a run did to these files, a call a line, as `strace` tells it.
pub(crate) async fn calls(
    home: &Home,
    files: &[PathBuf],
    done: impl AsyncFn() -> Result<(), String>,
) -> String {
    let log = home.path("calls");
    let what = format!("trace={WRITE},{SYNC},{RENAME}");
    let command = traced(home, files, &what, &log);
    assert!(matches!(run(home, command, done).await, End::Done));
    fs::read_to_string(log).expect("the calls")
}
