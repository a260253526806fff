//! `demo`: the daemon, as it is, on a simulated Azure.
//!
//! The daemon runs as a process of its own with a configuration file and a managed identity, just
//! as it would in Azure; nothing in it knows that the other side is a simulator. This command is
//! the audience: it tells what happens in Azure and measures when DNS shows it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{FAILURE, Failure, fail};
use crate::simulator::script::{Event, Scenario};
use crate::simulator::{Record, Simulator};
use crate::wire::ask;
use crate::zones::ResourceId;

/// The daemon polls the simulated Azure this often.
const POLL: Duration = Duration::from_secs(1);

/// How long one question may take, and the pause between two.
const QUESTION: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);

/// How long a step may take to reach DNS before the demo says that it has not.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the daemon may take to end: longer than its own two limits together.
const END: Duration = Duration::from_secs(12);

/// What the names of variables start with that would change the daemon or are meant for another
/// process: the configuration's overlay, systemd's, and that of another managed identity.
const FOREIGN: [&str; 5] = ["PRIVATELINK_DNS__", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_", "IMDS_ENDPOINT"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the daemon answers DNS; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    dns_listen: SocketAddr,
    /// Where the daemon shows metrics and status; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// Where the simulated Azure Resource Manager listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    arm_listen: SocketAddr,
    /// End after so many seconds instead of waiting for Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    exit_after: Option<u64>,
    /// What happens
    #[arg(long, value_name = "NAME", default_value = Scenario::all()[0].name,
          value_parser = clap::builder::PossibleValuesParser::new(
              Scenario::all().into_iter().map(|s| clap::builder::PossibleValue::new(s.name).help(s.about))))]
    scenario: String,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(show(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "privatelink-dns: {error}");
            FAILURE.into()
        }
    }
}

/// Says a line on standard output; a reader that has gone away is no error.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

async fn show(arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let scenario = Scenario::named(&arguments.scenario).ok_or("there is no such scenario")?;
    let about = scenario.about;
    let simulator = Simulator::start(arguments.arm_listen).await?;
    let stage = scenario.prepare(simulator.world())?;
    let place = Place::new()?;
    let dns = free(arguments.dns_listen)?;
    let admin = free(arguments.admin_listen)?;
    let file = place.configure(&simulator, stage.application(), dns, admin)?;
    let header = simulator.world().with(|world| world.tokens.identity_header.clone());
    // Before the daemon starts: from then on it has to be ended, also when the terminal is closed.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut daemon = Daemon::start(&file, &simulator.identity_endpoint(), &header)?;

    say(&format!("simulated Azure Resource Manager   {}", simulator.base_url()));
    say(&format!("DNS, UDP and TCP                   {dns}"));
    say(&format!("status, metrics                    http://{admin}/  http://{admin}/metrics"));
    say(&format!("configuration                      {}", file.display()));
    say(&format!("scenario {:<10}                {about}", arguments.scenario));
    say("");
    let first: Vec<Record> = stage.shown().iter().cloned().collect();
    if !first.is_empty() {
        questions(dns, &first);
    }
    let answering = async {
        match wait(dns, &first, true).await {
            Some(_) if first.is_empty() => say("there is nothing to answer yet"),
            Some(_) => say(&format!(
                "[{:>5.1} s] all {} names are answered, {:.2} s after the start",
                start.elapsed().as_secs_f64(),
                first.len(),
                start.elapsed().as_secs_f64()
            )),
            None => say("the names are not answered"),
        }
        let (sender, mut events) = mpsc::channel(16);
        let (played, ()) = tokio::join!(stage.play(100, sender), async {
            let mut asked = !first.is_empty();
            while let Some(event) = events.recv().await {
                if !asked && !event.appear.is_empty() {
                    questions(dns, &event.appear);
                    asked = true;
                }
                tell(start, dns, event).await;
            }
        });
        played?;
        say(&format!(
            "[{:>5.1} s] the scenario is over; the daemon goes on. Ctrl-C ends it.",
            start.elapsed().as_secs_f64()
        ));
        std::future::pending::<Result<(), Failure>>().await
    };
    let limit = async {
        match arguments.exit_after {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = answering => result,
        () = limit => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
        status = daemon.child.wait() => Err(format!("the daemon ended by itself: {}", status?).into()),
    };
    daemon.stop().await?;
    simulator.stop().await;
    say("ended");
    result
}

/// Prints what to ask for records.
fn questions(dns: SocketAddr, records: &[Record]) {
    say("Try:");
    for name in records.iter().filter_map(|record| record.privatelink.as_ref()) {
        say(&format!("  dig @{} -p {} {name}", dns.ip(), dns.port()));
    }
    say("");
}

/// Tells a step of the scenario, and when DNS shows it.
async fn tell(start: Instant, dns: SocketAddr, event: Event) {
    say(&format!("[{:>5.1} s] Azure: {}", start.elapsed().as_secs_f64(), event.says));
    for (records, is_there, verb) in [(event.appear, true, "appears"), (event.vanish, false, "is gone")] {
        if records.is_empty() {
            continue;
        }
        let names: Vec<String> = records
            .iter()
            .filter_map(|r| Some(format!("            {} {}", r.privatelink.as_ref()?, r.address)))
            .collect();
        match wait(dns, &records, is_there).await {
            Some(at) => say(&format!(
                "[{:>5.1} s] DNS: {verb}, {:.2} s after Azure showed it\n{}",
                start.elapsed().as_secs_f64(),
                at.duration_since(event.at).as_secs_f64(),
                names.join("\n")
            )),
            None => say(&format!("[{:>5.1} s] DNS does not show it yet", start.elapsed().as_secs_f64())),
        }
    }
}

/// Asks until DNS shows all records, or none of them; when that was.
async fn wait(dns: SocketAddr, records: &[Record], is_there: bool) -> Option<Instant> {
    let ask_all = async {
        for record in records {
            let Some(name) = record.privatelink.as_ref().and_then(|name| name.parse().ok()) else { continue };
            loop {
                let shown = match ask(dns, &name, QUESTION).await {
                    Ok(answer) if answer.code == ResponseCode::NoError => {
                        Some(answer.addresses.contains(&record.address))
                    }
                    Ok(answer) if answer.code == ResponseCode::NXDomain => Some(false),
                    _ => None,
                };
                if shown == Some(is_there) {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        Instant::now()
    };
    timeout(PATIENCE, ask_all).await.ok()
}

/// A port that is free right now for UDP and TCP, where none was asked for.
fn free(address: SocketAddr) -> io::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    loop {
        let tcp = TcpListener::bind(address)?;
        let chosen = tcp.local_addr()?;
        if UdpSocket::bind(chosen).is_ok() {
            return Ok(chosen);
        }
    }
}

/// A directory for the demo's files; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> io::Result<Self> {
        let name = format!("privatelink-dns-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Writes the daemon's configuration.
    fn configure(
        &self,
        simulator: &Simulator,
        application: &ResourceId,
        dns: SocketAddr,
        admin: SocketAddr,
    ) -> Result<PathBuf, Failure> {
        let (arm, poll) = (simulator.base_url(), POLL.as_secs());
        let state = self.0.join("state");
        let mut text = String::new();
        write!(
            text,
            "version = 1\n\n\
             [azure]\ncloud = \"custom\"\nresource_manager = \"{arm}\"\n\
             authority = \"https://login.microsoftonline.com\"\naudience = \"https://management.azure.com\"\n\
             poll_interval = \"{poll}s\"\n\n\
             [azure.credential]\nkind = \"managed-identity\"\n\n\
             [[application]]\nid = \"{application}\"\n\n\
             # Short, so that a person can watch; the defaults are 3 polls over 60 s and 10 over 10 min.\n\
             [guard]\nremoval_period = \"5s\"\nbulk_period = \"15s\"\n\n\
             [dns]\nlisten = [\"{dns}\"]\n\n\
             [admin]\nlisten = \"{admin}\"\n\n\
             [state]\ndirectory = \"{}\"\n",
            state.display()
        )?;
        let file = self.0.join("config.toml");
        fs::write(&file, text)?;
        Ok(file)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is the temporary directory's to clean up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The daemon's process; killed when dropped.
struct Daemon {
    child: Child,
    log: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start(file: &Path, identity_endpoint: &str, identity_header: &str) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            if FOREIGN.iter().any(|start| upper.starts_with(start)) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("run")
            .arg("--config")
            .arg(file)
            .env("IDENTITY_ENDPOINT", identity_endpoint)
            .env("IDENTITY_HEADER", identity_header)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo, which then ends the daemon.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or("the daemon has no standard error")?;
        let log = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                say(&format!("    daemon | {line}"));
            }
        });
        Ok(Self { child, log })
    }

    /// Ends the daemon as systemd would.
    async fn stop(mut self) -> Result<(), Failure> {
        if let Some(id) = self.child.id() {
            let process = rustix::process::Pid::from_raw(id.cast_signed()).ok_or("no process id")?;
            rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
            timeout(END, self.child.wait()).await??;
        }
        self.log.await?;
        Ok(())
    }
}
