//! Whether names lead where they should: Azure's side, every name at every server, and the addresses.
//!
//! Microsoft's page on private endpoints says what to check by hand when a device does not connect. This is
//! that list: the state of connections, members without addresses, `nslookup` of every FQDN, addresses that
//! are left from endpoints that are gone, and connections to what the names give. What is seen is compared
//! with the accepted generation, which is what Azure gave.
//!
//! The flow: [`Facts`] → probes (`resolve`, `connect`) → comparisons (`names`, `ports`, pure) →
//! [`Report`]. The probes write nothing anywhere, and never send more than a handshake.

mod azure;
mod connect;
mod facts;
mod metrics;
mod names;
mod ports;
mod problem;
mod report;
mod resolve;
mod servers;
mod task;

use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;

pub use connect::{Prober, TlsSetupError};
pub use facts::{Facts, Name};
pub use metrics::VerifyMetrics;
pub use names::Known;
pub use problem::{Check, Problem};
pub use report::{ApplicationReport, NameReport, PortReport, Provisioning, Report, ServerReport};
pub use servers::{Kind, NoSystemResolver, Server, servers, system_resolvers};
pub use task::{Last, Prepared, Verify, VerifyError};

use names::Asked;
use ports::Tried;
use resolve::{Answered, ask};

use crate::zones::DnsName;

/// Servers that are asked at a time.
const SERVERS: usize = 8;

/// Names that one server is asked for at a time. When it answers for none of the first ones, it is not asked
/// for more.
const QUESTIONS: usize = 8;

/// Connections at a time.
const CONNECTIONS: usize = 32;

/// What is asked and tried.
pub struct Plan {
    /// The servers.
    pub servers: Vec<Server>,
    /// What connects, and to which ports; nothing for DNS alone.
    pub connect: Option<(Prober, Vec<u16>)>,
}

/// Hears how far a run has come: what it is at, how much of it is done, and how much there is.
pub type Progress<'a> = &'a (dyn Fn(&str, usize, usize) + Sync);

/// Looks at everything once.
pub async fn run(facts: &Facts, plan: &Plan, progress: Progress<'_>) -> Report {
    let (at, start) = (Timestamp::now(), Instant::now());
    let mut report = Report::new(at, facts);
    report.problems = azure::problems(facts);

    let asking =
        plan.servers.iter().map(|server| async move { (server, ask_all(facts, server).await) }.boxed());
    let mut asking = stream::iter(gathered(asking)).buffered(SERVERS);
    let mut done = 0;
    progress("servers", done, plan.servers.len());
    while let Some((server, asked)) = asking.next().await {
        let (known, problems) = names::judge(facts, server, &asked);
        report.add_server(server, &asked, &known);
        report.problems.extend(problems);
        done += 1;
        progress("servers", done, plan.servers.len());
    }

    if let Some((prober, ports)) = &plan.connect {
        let mut wanted = Vec::new();
        for (public, name) in &facts.names {
            for address in name.addresses() {
                wanted.extend(ports.iter().map(|port| (public, address, *port)));
            }
        }
        let count = wanted.len();
        let trying = wanted.into_iter().map(|(public, address, port)| {
            async move {
                Tried { public, address, port, connected: prober.connect(address, port, public).await }
            }
            .boxed()
        });
        let mut trying = stream::iter(gathered(trying)).buffered(CONNECTIONS);
        let mut tried = Vec::with_capacity(count);
        while let Some(one) = trying.next().await {
            tried.push(one);
            progress("connections", tried.len(), count);
        }
        report.add_ports(&tried);
        report.problems.extend(ports::judge(facts, &tried));
    }
    report.problems.sort();
    report.problems.dedup();
    report.seconds = start.elapsed().as_secs_f64();
    report
}

/// Futures that are still to be run, as plain values: the compiler cannot follow the lifetimes of those that
/// a stream makes on the way.
fn gathered<'a, T>(futures: impl Iterator<Item = BoxFuture<'a, T>>) -> Vec<BoxFuture<'a, T>> {
    futures.collect()
}

/// Asks a server for every name that it may know.
async fn ask_all<'a>(facts: &'a Facts, server: &'a Server) -> Vec<Asked<'a>> {
    let questions = facts.names.iter().map(|(public, name)| {
        let questions = server.questions(public, name, facts.policy_zone);
        ask_for(server, public, name, questions).boxed()
    });
    let mut asking = stream::iter(gathered(questions)).buffered(QUESTIONS);
    let mut asked = Vec::new();
    while let Some(answer) = asking.next().await {
        asked.extend(answer);
        let is_silent = |asked: &Asked<'_>| matches!(asked.answered, Answered::Nothing(_));
        if asked.len() >= QUESTIONS && asked.iter().all(is_silent) {
            break;
        }
    }
    asked
}

/// Asks under one name after the other until the answer is right; the last one counts.
async fn ask_for<'a>(
    server: &Server,
    public: &'a DnsName,
    name: &Name,
    questions: Vec<&'a DnsName>,
) -> Option<Asked<'a>> {
    let mut last = None;
    for question in questions {
        let answered = ask(server.address, question).await;
        let is_right =
            matches!(&answered, Answered::Found { addresses, .. } if name.answers.contains(addresses));
        last = Some(Asked { public, question, answered });
        if is_right {
            break;
        }
    }
    last
}

/// Every code that there is.
pub(crate) fn codes() -> impl Iterator<Item = &'static str> {
    Check::ALL.iter().map(|check| check.code()).chain(azure::codes())
}
