//! The command that makes a server read its files.

use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::TargetReload;

/// Octets of output that are kept, of each of the two streams.
const OUTPUT: u64 = 2048;

/// How long output is read after the command has ended: something that it started may hold the pipe.
const REST: Duration = Duration::from_millis(200);

/// Why a reload failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The program cannot be run.
    #[error("{command} cannot be run: {source}; correct `reload`, or install the program")]
    Start {
        /// What was run.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{command} did not end within {seconds} s (reload_timeout); it was killed{output}")]
    Timeout {
        /// What was run.
        command: String,
        /// The limit.
        seconds: u64,
        /// What it said.
        output: Said,
    },
    /// It failed.
    #[error("{command} failed: {status}{output}")]
    Status {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        output: Said,
    },
    /// The daemon stops.
    #[error("{0} was ended because the daemon or the target stops")]
    Stopped(String),
}

/// The start of a command's output.
#[derive(Debug, Default)]
pub(crate) struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; it said: {}", self.0) }
    }
}

/// Runs the command, and kills it with its children when it takes too long, or at `stop`.
pub(super) async fn run(reload: &TargetReload, stop: &CancellationToken) -> Result<Said, ReloadError> {
    let command = reload.command.join(" ");
    let mut words = reload.command.iter();
    let program = words.next().map_or("", String::as_str);
    let child = Command::new(program)
        .args(words)
        // Of the daemon's environment it gets no secrets.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(source) => return Err(ReloadError::Start { command, source }),
    };
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = {
        let mut reading = pin!(async { tokio::join!(read(stdout, &mut out), read(stderr, &mut err)) });
        let ending = async {
            let status = tokio::select! {
                status = child.wait() => status,
                _ = &mut reading => return child.wait().await,
            };
            let _ = timeout(REST, &mut reading).await;
            status
        };
        tokio::select! {
            ended = timeout(reload.timeout, ending) => Some(ended),
            () = stop.cancelled() => None,
        }
    };
    let output = Said(said(&out, &err));
    match ended {
        None => Err(ReloadError::Stopped(command)),
        Some(Err(_)) => Err(ReloadError::Timeout { command, seconds: reload.timeout.as_secs(), output }),
        Some(Ok(status)) => {
            // What it started in the background lives on.
            group.0 = None;
            match status {
                Ok(status) if status.success() => Ok(output),
                Ok(status) => Err(ReloadError::Status { command, status, output }),
                Err(source) => Err(ReloadError::Start { command, source }),
            }
        }
    }
}

/// A process group that is killed when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads to the end and keeps the start: a command that cannot write would hang.
async fn read(pipe: Option<impl AsyncRead + Unpin>, out: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    // An error ends the reading; what is there is told.
    let _ = (&mut pipe).take(OUTPUT).read_to_end(out).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
}

/// Both streams on one line, as it may stand in a log.
fn said(out: &[u8], err: &[u8]) -> String {
    let text = [out, err].map(String::from_utf8_lossy).join(" ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
