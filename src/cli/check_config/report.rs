//! What was found online, as text and as JSON; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::azure::{ArmError, ArmErrorKind, Probe, Reading, Readings, Subscription, TokenError};
use crate::config::{Config, Credential};
use crate::zones::ConnectionState;

/// A difference of clocks that is told, in seconds. Tokens and signatures bear up to five minutes.
const CLOCK: i64 = 60;

/// The role of the README and of azure/role.json.
const ROLE: &str = "IoT Central private DNS reader";

/// What the questions gave.
#[derive(Default)]
pub(super) struct Found {
    /// By subscription, in lower case.
    pub(super) probes: BTreeMap<String, Probe>,
    /// The end of the token; nothing when none was asked for.
    pub(super) token: Option<Result<Option<Timestamp>, TokenError>>,
    /// The list of each discovery, and how many applications it takes.
    pub(super) discoveries: Vec<(Reading, usize)>,
    pub(super) applications: Vec<Readings>,
}

/// How it stands, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// All that a poll can need was read.
    Ok,
    /// Polls work, but something is missing that they may need later, or that was not seen.
    Incomplete,
    /// Polls fail.
    Error,
}

impl Verdict {
    /// The exit code.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Incomplete => 2,
        }
    }
}

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) result: Verdict,
    clock_ahead_seconds: Option<i64>,
    subscriptions: Vec<SubscriptionReport>,
    credential: CredentialReport,
    discoveries: Vec<DiscoveryReport>,
    applications: Vec<ApplicationReport>,
    /// What to do, in words.
    advice: Vec<String>,
    /// Commands that assign what is missing.
    commands: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SubscriptionReport {
    id: String,
    tenant: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct CredentialReport {
    kind: &'static str,
    token_until: Option<Timestamp>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct DiscoveryReport {
    applications: usize,
    read: ReadReport,
}

#[derive(Debug, Serialize)]
struct ApplicationReport {
    id: String,
    reads: Vec<ReadReport>,
    /// Endpoints without an approved connection; nothing is read there.
    not_approved: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ReadReport {
    operation: &'static str,
    what: &'static str,
    resource: String,
    result: ReadResult,
    /// Whether polls fail without it.
    needed: bool,
    /// The action that the role lacks, and where it has to be assigned.
    action: Option<String>,
    scope: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ReadResult {
    Read,
    Refused,
    Failed,
}

impl ReadReport {
    fn new(reading: &Reading) -> Self {
        let error = reading.result.as_ref().err();
        let action = error.and_then(|error| match &error.kind {
            ArmErrorKind::Forbidden { action } => Some(action.clone()),
            _ => None,
        });
        Self {
            operation: reading.operation.label(),
            what: reading.operation.words(),
            resource: reading.resource.clone(),
            result: match (error, &action) {
                (None, _) => ReadResult::Read,
                (_, Some(_)) => ReadResult::Refused,
                _ => ReadResult::Failed,
            },
            needed: reading.needed,
            scope: action.is_some().then(|| reading.scope()),
            action,
            error: error.map(ToString::to_string),
        }
    }

    fn text(&self, text: &mut String) {
        let word = match self.result {
            ReadResult::Read => "read   ",
            ReadResult::Refused => "REFUSED",
            ReadResult::Failed => "FAILED ",
        };
        let optional =
            if self.needed || self.result == ReadResult::Read { "" } else { " (polls do without)" };
        let _ = writeln!(text, "  {word} {} {}{optional}", self.what, self.resource);
        match (&self.action, &self.scope, &self.error) {
            (Some(action), Some(scope), _) => {
                let _ = writeln!(text, "          missing: {action}, on {scope}");
            }
            (_, _, Some(error)) => {
                let _ = writeln!(text, "          {error}");
            }
            _ => {}
        }
    }
}

impl Report {
    /// Sums up what was found.
    pub(super) fn new(config: &Config, found: Found) -> Self {
        let mut advice = BTreeSet::new();
        let clock_ahead_seconds = found
            .probes
            .values()
            .filter_map(|probe| probe.clock_ahead)
            .map(|ahead| ahead.as_secs())
            .max_by_key(|s| s.abs());
        let mut result = Verdict::Ok;
        if clock_ahead_seconds.is_some_and(|seconds| seconds.abs() > CLOCK) {
            result = Verdict::Incomplete;
            advice.insert(
                "set this machine's clock, with NTP: tokens and signatures are refused when it is wrong"
                    .to_owned(),
            );
        }
        let subscriptions: Vec<SubscriptionReport> =
            found.probes.iter().map(|(id, probe)| subscription(id, probe, config)).collect();
        let credential = CredentialReport {
            kind: kind(&config.azure.credential),
            token_until: found.token.as_ref().and_then(|token| token.as_ref().ok().copied().flatten()),
            error: found.token.as_ref().and_then(|token| token.as_ref().err()).map(ToString::to_string),
        };
        if let Some(Err(error)) = &found.token {
            advice.extend(error.advice().map(str::to_owned));
        }
        let is_broken = credential.error.is_some() || subscriptions.iter().any(|s| s.error.is_some());

        let all = found.discoveries.iter().map(|(reading, _)| reading);
        let all: Vec<&Reading> = all.chain(found.applications.iter().flat_map(|a| &a.reads)).collect();
        for error in all.iter().filter_map(|reading| reading.result.as_ref().err()) {
            advice.extend(tenant_advice(error, &found.probes, tenant(&config.azure.credential)));
        }
        for readings in &found.applications {
            if readings.knows_endpoints
                && !readings.reads.iter().any(|r| r.operation == crate::azure::Operation::Endpoint)
            {
                result = result.max(Verdict::Incomplete);
                advice.insert(format!(
                    "{} has no approved private endpoint, so the rights on endpoints were not checked: create or \
                     approve one, then check again",
                    readings.application
                ));
            }
        }
        for reading in all.iter().filter(|reading| reading.result.is_err()) {
            result = result.max(if reading.needed { Verdict::Error } else { Verdict::Incomplete });
        }
        if is_broken || found.token.is_none() {
            result = Verdict::Error;
        }
        Self {
            result,
            clock_ahead_seconds,
            subscriptions,
            credential,
            commands: commands(&all),
            discoveries: found
                .discoveries
                .iter()
                .map(|(reading, applications)| DiscoveryReport {
                    applications: *applications,
                    read: ReadReport::new(reading),
                })
                .collect(),
            applications: found.applications.iter().map(application).collect(),
            advice: advice.into_iter().collect(),
        }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |head: &str, rest: &str| {
            let _ = writeln!(text, "{head}: {rest}");
        };
        match self.clock_ahead_seconds {
            Some(0) => line("clock", "as Azure's"),
            Some(seconds) if seconds > 0 => line("clock", &format!("{seconds} s ahead of Azure's")),
            Some(seconds) => line("clock", &format!("{} s behind Azure's", -seconds)),
            None => line("clock", "not known, Azure did not tell the time"),
        }
        for subscription in &self.subscriptions {
            let head = format!("subscription {}", subscription.id);
            match (&subscription.error, &subscription.tenant) {
                (Some(error), _) => line(&head, error),
                (None, Some(tenant)) => line(&head, &format!("known, of tenant {tenant}")),
                (None, None) => line(&head, "known"),
            }
        }
        let head = format!("credential {}", self.credential.kind);
        match (&self.credential.error, self.credential.token_until) {
            (Some(error), _) => line(&head, error),
            (None, Some(end)) => line(&head, &format!("a token until {end:.0}")),
            (None, None) => line(&head, "not tried, because Azure cannot be reached"),
        }
        for discovery in &self.discoveries {
            let _ = writeln!(text, "discovery: {} applications", discovery.applications);
            discovery.read.text(&mut text);
        }
        for application in &self.applications {
            let _ = writeln!(text, "application {}", application.id);
            for read in &application.reads {
                read.text(&mut text);
            }
            for endpoint in &application.not_approved {
                let _ = writeln!(text, "  left    {endpoint}");
            }
        }
        text += match self.result {
            Verdict::Ok => "\nEverything can be read.\n",
            Verdict::Incomplete => "\nPolls work, but not everything is right.\n",
            Verdict::Error => "\nPolls would fail.\n",
        };
        for advice in &self.advice {
            let _ = writeln!(text, "* {advice}");
        }
        if !self.commands.is_empty() {
            let more = if self.commands.iter().any(|command| command.contains("PRINCIPAL")) {
                "; PRINCIPAL is the object id of the identity"
            } else {
                ""
            };
            let _ = write!(
                text,
                "Assign the role (azure/role.json) where it is missing{more}. It can take some minutes to act:\n\n{}\n",
                self.commands.join("\n")
            );
        }
        text
    }
}

fn subscription(id: &str, probe: &Probe, config: &Config) -> SubscriptionReport {
    let manager = &config.azure.cloud.resource_manager;
    let (tenant, error) = match &probe.subscription {
        Subscription::Known { tenant } => (tenant.clone(), None),
        Subscription::Unknown => {
            (None, Some(format!("{manager} knows no such subscription: check the id, and [azure] cloud")))
        }
        Subscription::Odd(status) => (
            None,
            Some(format!(
                "{manager} answered with status {status}, which is not Azure's way: is it a proxy?"
            )),
        ),
        Subscription::Unreachable(reason) => (
            None,
            Some(format!(
                "no answer from {manager}: {reason}; check DNS, firewall, proxy (HTTPS_PROXY) and CA certificates"
            )),
        ),
    };
    SubscriptionReport { id: id.to_owned(), tenant, error }
}

fn application(readings: &Readings) -> ApplicationReport {
    let state = |state: &ConnectionState| match state {
        ConnectionState::Pending => "waits for approval: application, Networking",
        ConnectionState::Rejected => "was rejected",
        ConnectionState::Disconnected => "was disconnected by the application's owner",
        ConnectionState::Approved | ConnectionState::Absent | ConnectionState::Unknown => {
            "is in no known state"
        }
    };
    ApplicationReport {
        id: readings.application.to_string(),
        reads: readings.reads.iter().map(ReadReport::new).collect(),
        not_approved: readings
            .not_approved
            .iter()
            .map(|(id, connection)| {
                format!("the private endpoint {id}: its connection {}", state(connection))
            })
            .collect(),
    }
}

/// What the tenants explain of a refusal.
fn tenant_advice(error: &ArmError, probes: &BTreeMap<String, Probe>, own: Option<&str>) -> Option<String> {
    let code = error.details.code.as_deref().unwrap_or_default();
    let is_invisible = error.kind == ArmErrorKind::NotFoundOther && code == "SubscriptionNotFound";
    if error.kind != ArmErrorKind::Unauthorized && !is_invisible {
        return None;
    }
    let id = error.details.resource.split('/').nth(2)?.to_ascii_lowercase();
    let Subscription::Known { tenant: Some(tenant) } = &probes.get(&id)?.subscription else { return None };
    let other = match own {
        Some(own) if !own.eq_ignore_ascii_case(tenant) => {
            format!(", the credential of tenant {own}: set tenant_id")
        }
        Some(_) => ", as the credential is: assign it the role".to_owned(),
        None => ": the identity has to be of it, and to have the role".to_owned(),
    };
    Some(format!("subscription {id} is of tenant {tenant}{other}"))
}

/// One command for each scope and identity where an action is missing.
fn commands(readings: &[&Reading]) -> Vec<String> {
    let mut commands = Vec::new();
    for reading in readings {
        let Err(error) = &reading.result else { continue };
        if !error.is_forbidden() {
            continue;
        }
        let command = format!(
            "az role assignment create --role \"{ROLE}\" --assignee-object-id {} \
             --assignee-principal-type ServicePrincipal --scope \"{}\"",
            error.principal().unwrap_or("PRINCIPAL"),
            reading.scope()
        );
        if !commands.iter().any(|other: &String| other.eq_ignore_ascii_case(&command)) {
            commands.push(command);
        }
    }
    commands
}

const fn kind(credential: &Credential) -> &'static str {
    match credential {
        Credential::ManagedIdentity { .. } => "managed-identity",
        Credential::Arc => "arc",
        Credential::WorkloadIdentity { .. } => "workload-identity",
        Credential::ClientSecret { .. } => "client-secret",
        Credential::ClientCertificate { .. } => "client-certificate",
        Credential::AzureCli => "azure-cli",
    }
}

fn tenant(credential: &Credential) -> Option<&str> {
    match credential {
        Credential::ClientSecret { tenant_id, .. } | Credential::ClientCertificate { tenant_id, .. } => {
            Some(tenant_id)
        }
        Credential::WorkloadIdentity { tenant_id, .. } => tenant_id.as_deref(),
        Credential::ManagedIdentity { .. } | Credential::Arc | Credential::AzureCli => None,
    }
}
