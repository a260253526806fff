//! The command line: one file a subcommand, and fixed exit codes.

mod check_config;
mod client;
mod decide;
mod demo;
mod descriptors;
mod doctor;
mod dumps;
mod explain;
mod export;
mod health;
mod history;
mod init;
mod knowledge;
mod logging;
mod memory;
mod plan;
mod recipe;
mod reload;
mod run;
mod status;
mod systemd;
mod table;
mod target;
mod tsig;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Where the configuration is looked for when nothing else is said.
const CONFIG: &str = "/etc/privatelink-dns/config.toml";

/// Something went wrong.
const FAILURE: u8 = 1;

/// Keeps custom DNS in step with the private endpoints of Azure IoT Central.
///
/// The daemon polls Azure Resource Manager for the applications it is told, derives the DNS zones
/// that their private endpoints require, and answers queries for them. Names appear as soon as
/// Azure shows them and disappear only with proof.
#[derive(Debug, Parser)]
#[command(name = "privatelink-dns", version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Exit codes: 0 success; 1 error; `plan` exits with 2 when something would change, `explain` \
with 2 when no zone has the name, `verify` and `doctor` with 2 when something is wrong, \
`check-config --online` with 2 when a right is missing without which polls still work, `health` \
with 1 when the daemon is not healthy.

Every key of the configuration can be set in the environment as well: \
PRIVATELINK_DNS__SECTION__KEY, for example PRIVATELINK_DNS__AZURE__POLL_INTERVAL=10s.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    ///
    /// Serves the last accepted generation at once, then polls Azure for ever. Signals: SIGHUP loads
    /// the configuration anew (a wrong one is refused and the old one stays), SIGUSR1 polls now,
    /// SIGTERM and SIGINT end the daemon. Under systemd it tells READY, RELOADING, STATUS and
    /// WATCHDOG, and takes sockets that a socket unit passes.
    Run(ConfigArgument),
    /// Show the daemon at work on a simulated Azure
    ///
    /// Starts a simulated Azure Resource Manager and the daemon beside it, prints what to ask with
    /// `dig`, and plays a scenario: each step is told as it happens, with the time that it took to
    /// reach DNS. Needs no Azure, no configuration and no rights. Ctrl-C ends it.
    Demo(demo::Arguments),
    /// Write a first configuration
    ///
    /// Asks what it has to know, or takes it from flags, checks the configuration as check-config does, and
    /// prints what to do next. A file that configures anything is never overwritten.
    Init(init::Arguments),
    /// Poll once and tell what would change
    ///
    /// Reads every application, compares what the daemon would accept with the stored generation,
    /// and changes nothing. Removals are shown with what the guard would still wait for. Exit codes:
    /// 0 nothing would change, 2 something would, 1 error.
    Plan(plan::Arguments),
    /// Do at a target what `plan --target` has printed
    ///
    /// For targets with `dry_run = true`, which the daemon does not write by itself. Nothing is done when
    /// the plan would be another by now. Run it as the daemon's user or as root.
    Apply(target::ApplyArguments),
    /// Look after targets
    Target {
        #[command(subcommand)]
        action: target::Action,
    },
    /// Check a configuration file and tell all that is wrong with it
    ///
    /// Prints every error with file, line, key, what is wrong and what to write instead. With --online it
    /// also asks Azure: for a token, and for everything that the daemon reads; what is refused is told with
    /// the command that allows it. Exit codes: 0 all is right, 1 the file is wrong or polls would fail, 2
    /// polls work, but a right is missing or could not be checked.
    CheckConfig(check_config::Arguments),
    /// Show the running daemon's state
    ///
    /// Applications, zones with serials, held removals and findings, most important first.
    Status(status::Arguments),
    /// End held removals: the names go now
    ///
    /// The guard holds removals until Azure has proven them; this is the operator's word that they
    /// are right. `privatelink-dns status` lists what is held.
    Approve(decide::Arguments),
    /// Keep names whose removal is held, until Azure shows them again
    Reject(decide::Arguments),
    /// Print the configuration of a DNS server that takes the zones over
    ///
    /// For a secondary of the configuration, with the daemon's address, the names of key, catalog and
    /// policy zone, and the zones where the server cannot learn them. Comments at its top say where to put
    /// it, what to replace and how to check it. Secrets are left out. Run it as root: some recipes need the
    /// state directory.
    Recipe(recipe::Arguments),
    /// Say whether the running daemon is healthy
    ///
    /// For container health checks and scripts. Exit codes: 0 healthy, 1 not.
    Health(health::Arguments),
    /// Say where a name's record comes from and where it stands, or why it is nowhere
    ///
    /// Application, endpoint, network interface, member and age; zones with serials; the generations that
    /// changed it; held removals; what each target and secondary has. Exit codes: 0 a zone has the name, 2
    /// none has, 1 error.
    Explain(explain::Arguments),
    /// Show the generations that changed a zone, newest first
    ///
    /// With time, cause and counts of names and records. The daemon keeps at least the last 32.
    History(history::HistoryArguments),
    /// Show what differs between two generations
    ///
    /// A line for each name: `+` came, `-` went, `~` changed; then the zones with their serials.
    Diff(history::DiffArguments),
    /// Tell which forwarding shape a resolver has, and what mends it
    ///
    /// Asks the resolver for some names, for names that nobody has, and by which way questions come to the
    /// running daemon. Exit codes: 0 it gives the private addresses, 2 something is wrong, 1 error.
    Doctor(doctor::Arguments),
    /// Print the names for other DNS software
    ///
    /// From what the daemon has stored last, or with --daemon from what it serves now; before every
    /// application was read once there is none. What is printed leaves names alone that are not ours.
    Export(export::Arguments),
    /// Look whether names lead where they should
    ///
    /// Asks servers for every name and compares their answers, aliases and addresses, with what Azure gave;
    /// connects to the addresses over TCP and TLS with the public names; and tells what is wrong at Azure:
    /// connections that are not approved, members without an address, public access. Run it on a machine in the
    /// network of the devices. Nothing is changed, and nothing is sent to the devices' services but a TLS
    /// handshake. Exit codes: 0 all is well, 2 something is wrong, 1 it could not be looked at.
    Verify(verify::Arguments),
    /// Make keys for signed transfers, notifies and queries (TSIG)
    Tsig {
        #[command(subcommand)]
        action: tsig::Action,
    },
    /// Print a completion script for a shell
    ///
    /// For bash: `privatelink-dns completion bash > /etc/bash_completion.d/privatelink-dns`.
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Names the configuration file.
#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// What a subcommand prints on standard output, and its exit code.
struct Printed {
    text: String,
    code: u8,
}

impl Printed {
    const fn ok(text: String) -> Self {
        Self { text, code: 0 }
    }
}

/// The command line, for the manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    dumps::forbid();
    memory::return_large_blocks();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors. Usage errors are 1: clap's 2 means changes here.
            let code = if error.use_stderr() { FAILURE } else { 0 };
            let _ = error.print();
            return code.into();
        }
    };
    let result = match cli.command {
        Command::Run(arguments) => return run::main(&arguments.config),
        Command::Demo(arguments) => return demo::main(&arguments),
        Command::Init(arguments) => init::main(&arguments),
        Command::Plan(arguments) => plan::main(&arguments),
        Command::Apply(arguments) => target::apply(&arguments),
        Command::Target { action } => target::main(&action),
        Command::CheckConfig(arguments) => check_config::main(&arguments),
        Command::Status(arguments) => status::main(&arguments),
        Command::Approve(arguments) => decide::main(&arguments, decide::Word::Approve),
        Command::Reject(arguments) => decide::main(&arguments, decide::Word::Reject),
        Command::Recipe(arguments) => recipe::main(&arguments),
        Command::Health(arguments) => health::main(&arguments),
        Command::Explain(arguments) => explain::main(&arguments),
        Command::History(arguments) => history::history(&arguments),
        Command::Diff(arguments) => history::diff(&arguments),
        Command::Doctor(arguments) => doctor::main(&arguments),
        Command::Export(arguments) => export::main(&arguments),
        Command::Verify(arguments) => verify::main(&arguments),
        Command::Tsig { action } => tsig::main(&action),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "privatelink-dns", &mut script);
            Ok(Printed::ok(String::from_utf8_lossy(&script).into_owned()))
        }
    };
    match result {
        Ok(printed) => {
            // A reader that has gone away, such as `head`, is no error.
            let _ = io::stdout().write_all(printed.text.as_bytes());
            printed.code.into()
        }
        Err(error) => fail(&error),
    }
}

/// Says on standard error why nothing else was said.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "privatelink-dns: {error}");
    FAILURE.into()
}

/// Any error of a subcommand: all that is left to do with it is to print it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A small runtime for subcommands that ask somebody something.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
