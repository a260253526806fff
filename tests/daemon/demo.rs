//! The demo: what it prints is true, and it leaves nothing behind.

use std::fs;
use std::process::{ExitStatus, Stdio};

use privatelink_dns::simulator::script::Scenario;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::home::BINARY;
use crate::support::{DEADLINE, eventually};

pub(crate) struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        // What is meant for whoever runs it is not passed on.
        command.env("PRIVATELINK_DNS__DNS__LISTEN", "192.0.2.1:53").env("NOTIFY_SOCKET", "/nowhere");
        command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the demo starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines, said: Vec::new() }
    }

    /// Reads until a line has the text.
    pub(crate) async fn until(&mut self, text: &str) {
        loop {
            let line = timeout(DEADLINE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no {text:?} in {:#?}", self.said)).expect("text");
            let line = line.unwrap_or_else(|| panic!("the demo ended before {text:?}: {:#?}", self.said));
            self.said.push(line);
            if self.said.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }

    /// The daemon's configuration.
    pub(crate) fn file(&self) -> String {
        let file = self.said.iter().find_map(|line| line.strip_prefix("configuration"));
        file.expect("a file").trim().to_owned()
    }

    /// What stands behind a text at the beginning of a line.
    pub(crate) fn word(&self, head: &str) -> String {
        let rest = self.said.iter().find_map(|line| line.strip_prefix(head));
        rest.unwrap_or_else(|| panic!("no {head:?} in {:#?}", self.said)).trim().to_owned()
    }

    /// The processes that it started.
    fn children(&self) -> Vec<u32> {
        let own = self.child.id().expect("it runs").to_string();
        let processes = fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // After the name in parentheses: state, parent.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
            (parent == own).then_some(id)
        });
        processes.collect()
    }

    /// Reads the rest and waits for the end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.until("ended").await;
        timeout(DEADLINE, self.child.wait()).await.expect("it ends").expect("a status")
    }

    pub(crate) fn interrupt(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().expect("it runs").cast_signed()).expect("a process id");
        kill_process(id, signal).expect("the demo runs");
    }
}

async fn all_gone(children: &[u32]) {
    eventually("the daemon is gone", async || {
        if children.iter().any(|child| is_there(*child)) { Err(format!("{children:?}")) } else { Ok(()) }
    })
    .await;
}

fn is_there(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.contains("privatelink-dns"))
}

#[tokio::test]
async fn the_printed_questions_are_answered_and_ctrl_c_ends_all() {
    let mut demo = Demo::start(&["--dns-listen", "127.0.0.1:0"]);
    demo.until("all 6 names are answered").await;
    for title in ["simulated Azure Resource Manager", "DNS, UDP and TCP", "status, metrics", "configuration"]
    {
        assert!(demo.said.iter().any(|line| line.starts_with(title)), "no {title} in {:#?}", demo.said);
    }
    let questions: Vec<&str> = demo.said.iter().filter_map(|line| line.strip_prefix("  dig ")).collect();
    assert_eq!(questions.len(), 6);
    for question in questions {
        let output =
            Command::new("dig").args(question.split(' ')).arg("+short").output().await.expect("dig runs");
        let address = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(address.starts_with("10.1.0."), "{question}: {address:?}");
    }
    let file = demo.file();
    assert!(fs::exists(&file).expect("readable"));
    let children = demo.children();
    assert_eq!(children.len(), 1, "one daemon");
    demo.until("DNS: appears").await;
    // The guard holds the removal and lets it go.
    demo.until("finding=\"removal-held\"").await;
    demo.until("DNS: is gone").await;

    demo.interrupt(Signal::INT);
    assert_eq!(demo.ended().await.code(), Some(0), "{:#?}", demo.said);
    all_gone(&children).await;
    assert!(!fs::exists(&file).expect("readable"), "the files are gone");
}

#[tokio::test]
async fn a_closed_terminal_leaves_nothing_behind() {
    let mut demo = Demo::start(&["--scenario", "approval"]);
    demo.until("nothing to answer yet").await;
    assert!(!demo.said.iter().any(|line| line == "Try:"), "there is nothing to try: {:#?}", demo.said);
    let (file, children) = (demo.file(), demo.children());
    // Names come with the approval, and with them what to ask.
    demo.until("The owner approves").await;
    assert_eq!(demo.said.iter().filter(|line| line.starts_with("  dig ")).count(), 6, "{:#?}", demo.said);
    demo.interrupt(Signal::HUP);
    assert_eq!(demo.ended().await.code(), Some(0), "{:#?}", demo.said);
    all_gone(&children).await;
    assert!(!fs::exists(&file).expect("readable"), "the files are gone");
}

#[tokio::test]
async fn it_ends_by_itself_when_told_to() {
    let mut demo = Demo::start(&["--exit-after", "1"]);
    assert_eq!(demo.ended().await.code(), Some(0), "{:#?}", demo.said);
}

#[tokio::test]
async fn every_scenario_starts_and_ends_well() {
    for scenario in Scenario::all() {
        let mut demo = Demo::start(&["--scenario", scenario.name]);
        demo.until(scenario.about).await;
        let first = if scenario.name == "approval" { "nothing to answer yet" } else { "names are answered" };
        demo.until(first).await;
        demo.interrupt(Signal::INT);
        let status = demo.ended().await;
        assert_eq!(status.code(), Some(0), "{}: {:#?}", scenario.name, demo.said);
        let trouble = demo.said.iter().find(|line| line.contains(" ERROR ") && !line.contains("finding="));
        assert_eq!(trouble, None, "{}", scenario.name);
    }
}
