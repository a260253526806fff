//! Running `az`, so that it ends when nobody waits for it any more.
//!
//! azure_identity's own executor leaves a hanging command behind, one more with every token that is
//! tried. `az` is a script below a shell, so the whole process group is killed.

use std::ffi::OsStr;
use std::io;
use std::pin::pin;
use std::process::{Output, Stdio};

use async_trait::async_trait;
use azure_identity::Executor;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// Runs commands in process groups of their own; a future that is dropped kills its group.
#[derive(Debug)]
pub(super) struct GroupExecutor;

#[async_trait]
impl Executor for GroupExecutor {
    async fn run(&self, program: &OsStr, args: &[&OsStr]) -> io::Result<Output> {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let mut output = pin!(child.wait_with_output());
        // Dropped before the child, so that the group's number is still its own.
        let mut group = Group(leader);
        let result = output.as_mut().await;
        group.0 = None;
        result
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use tokio::net::unix::pipe;
    use tokio::time::timeout;

    use super::*;

    async fn run(script: &str) -> io::Result<Output> {
        GroupExecutor.run(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)]).await
    }

    #[tokio::test]
    async fn output_and_status_arrive() {
        let output = run("echo out; echo err >&2; exit 3").await.expect("it ran");
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.status.code(), Some(3));
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_is_killed_with_its_children() {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = directory.path().join("alive");
        assert!(Command::new("mkfifo").arg(&fifo).status().await.expect("mkfifo").success());
        let mut alive = BufReader::new(pipe::OpenOptions::new().open_receiver(&fifo).expect("a pipe"));
        let script = format!("sh -c 'echo started; exec tail -f /dev/null' >'{}'; true", fifo.display());
        let mut line = String::new();
        tokio::select! {
            result = run(&script) => panic!("it hangs: {result:?}"),
            read = alive.read_line(&mut line) => assert_eq!(read.expect("a line"), 8),
        }
        // The pipe ends when the last process that can write to it does.
        let rest = timeout(Duration::from_secs(60), alive.read_to_end(&mut Vec::new())).await;
        assert_eq!(rest.expect("it is killed").expect("the end"), 0);
    }
}
