//! `doctor`: which forwarding shape a resolver has, and what mends it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::client::Client;
use super::{ConfigArgument, Failure, Printed, block_on};
use crate::admin::status::{RecordStatus, Status};
use crate::config::Config;
use crate::doctor::{Code, Diagnosis, Facts, Sample, Server, Truth, diagnose, examine, recipe};
use crate::store::Store;
use crate::targets::export::{Format, export};
use crate::verify::system_resolvers;
use crate::zones::DnsName;

/// Something is wrong with the resolver.
const WRONG: u8 = 2;

/// The port of DNS.
const PORT: u16 = 53;

/// Names that are asked for, each of another zone.
const SAMPLES: usize = 4;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The resolver: ADDRESS, ADDRESS:PORT, or `system` for the first of /etc/resolv.conf
    #[arg(value_name = "RESOLVER", value_parser = resolver)]
    resolver: SocketAddr,
    /// What the resolver is: print the rules for it when others would mend what is wrong
    #[arg(long, value_name = "KIND")]
    server: Option<Server>,
    /// Ask for this public name alone, instead of one of each zone
    #[arg(long, value_name = "NAME")]
    name: Option<DnsName>,
    /// Take the names from the state directory; by which way questions go cannot be told then
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// What `export json` says.
#[derive(Deserialize)]
struct Exported {
    names: Vec<ExportedName>,
}

#[derive(Deserialize)]
struct ExportedName {
    name: DnsName,
    aliases: BTreeSet<DnsName>,
    addresses: BTreeSet<Ipv4Addr>,
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    if text == "system" {
        let servers = system_resolvers().map_err(|error| error.to_string())?;
        return servers.first().copied().ok_or_else(|| "the system has no resolver".to_owned());
    }
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    alone.or_else(|_| text.parse()).map_err(|_| {
        format!("{text:?} is no IP address, alone or with a port (10.0.0.5, 10.0.0.5:5300, [fd00::5]:5300), nor `system`")
    })
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let config = Config::load(&arguments.config.config)?.config;
    let facts = block_on(async {
        if arguments.offline {
            let truth = stored(&config, arguments.name.as_ref())?;
            return Ok(examine(arguments.resolver, truth, async || None).await);
        }
        let client = Client::optional(&arguments.config.config)?;
        let truth = live(&config, &client, arguments.name.as_ref()).await?;
        Ok(examine(arguments.resolver, truth, async || rare_questions(&client).await).await)
    })?;
    let diagnoses = diagnose(&facts);
    let is_wrong = diagnoses.iter().any(|diagnosis| !diagnosis.code.is_ok());
    let are_rules_wrong = diagnoses.iter().any(|diagnosis| diagnosis.code.is_mended_by_rules());
    let rules = arguments.server.filter(|_| are_rules_wrong).map(|server| recipe(server, &facts.truth));
    let text = if arguments.json {
        let json =
            serde_json::json!({ "ok": !is_wrong, "diagnoses": diagnoses, "facts": facts, "recipe": rules });
        serde_json::to_string_pretty(&json)? + "\n"
    } else {
        text(&facts, &diagnoses, rules.as_deref())
    };
    Ok(Printed { text, code: if is_wrong { WRONG } else { 0 } })
}

/// What the running daemon knows.
async fn live(config: &Config, client: &Client, name: Option<&DnsName>) -> Result<Truth, Failure> {
    let exported = client.ask("/api/v1/export/json").await?;
    let records: Vec<RecordStatus> = client.ask("/api/v1/records").await?;
    let records = records.into_iter().map(|record| (record.name, record.zone, record.addresses));
    let status: Status = client.ask("/api/v1/status").await?;
    // Sockets may be systemd's, or on ports that the system has chosen.
    Ok(Truth { listeners: status.listeners, ..truth(config, name, exported, records)? })
}

/// What the daemon has stored.
fn stored(config: &Config, name: Option<&DnsName>) -> Result<Truth, Failure> {
    let directory = &config.state_directory;
    let saved = Store::read(directory)?.ok_or_else(|| {
        format!("{} holds no generation yet; is it the daemon's state directory?", directory.display())
    })?;
    let exported = serde_json::from_str(&export(&saved.generation, Format::Json))?;
    let placements = saved.generation.shares.values().flat_map(|share| share.placements());
    truth(
        config,
        name,
        exported,
        placements.map(|(_, name, p)| (name.clone(), p.zone.clone(), p.addresses.clone())),
    )
}

/// The truth from the names that may be overridden and from all records.
fn truth(
    config: &Config,
    name: Option<&DnsName>,
    exported: Exported,
    records: impl Iterator<Item = (DnsName, DnsName, BTreeSet<Ipv4Addr>)>,
) -> Result<Truth, Failure> {
    let mut zones = BTreeSet::new();
    // With several endpoints, clients may see any of their addresses.
    let mut addresses = BTreeMap::<DnsName, BTreeSet<Ipv4Addr>>::new();
    for (name, zone, more) in records {
        zones.insert(zone);
        addresses.entry(name).or_default().extend(more);
    }
    let mut samples = BTreeMap::new();
    for found in exported.names.iter().filter(|found| name.is_none_or(|name| *name == found.name)) {
        let zone = |alias: &&DnsName| zones.iter().find(|zone| alias.below(zone).is_some());
        let Some((private, zone)) = found.aliases.iter().find_map(|alias| Some((alias, zone(&alias)?)))
        else {
            continue;
        };
        let all = addresses.get(&found.name).unwrap_or(&found.addresses);
        samples.entry(zone.clone()).or_insert_with(|| Sample {
            public: found.name.clone(),
            private: private.clone(),
            zone: zone.clone(),
            addresses: all.clone(),
        });
    }
    if samples.is_empty() {
        let names = if name.is_some() { "this name" } else { "a name yet" };
        return Err(
            format!("the daemon does not have {names}; see `privatelink-dns status --records`").into()
        );
    }
    let resolver = config.resolver.as_ref();
    Ok(Truth {
        samples: samples.into_values().take(SAMPLES).collect(),
        zones: zones.into_iter().collect(),
        names: exported.names.into_iter().map(|found| found.name).collect(),
        listeners: config.dns.listen.clone(),
        resolves: resolver.is_some(),
        upstreams: resolver.iter().flat_map(|r| &r.upstreams).map(|upstream| upstream.address).collect(),
        privatelink_zones: config.publication.privatelink_zones,
        per_name_zones: config.publication.per_name_zones,
        primary: config.publication.primary().clone(),
    })
}

/// How many questions of types that hardly anybody asks for have arrived at the daemon.
async fn rare_questions(client: &Client) -> Option<u64> {
    let (status, body) = client.get("/metrics").await.ok()?;
    let text = String::from_utf8(body).ok().filter(|_| status.is_success())?;
    let lines = text.lines().filter(|line| line.starts_with("privatelink_dns_dns_requests_total{"));
    let rare = lines.filter(|line| line.contains("type=\"other\""));
    let counts: Vec<f64> = rare.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!counts.is_empty()).then(|| counts.iter().sum::<f64>() as u64)
}

fn text(facts: &Facts, diagnoses: &[Diagnosis], rules: Option<&str>) -> String {
    let mut text = format!("{}:\n", facts.resolver);
    for diagnosis in diagnoses {
        let about = if diagnosis.about.is_empty() {
            String::new()
        } else {
            format!(": {}", diagnosis.about.join(", "))
        };
        text += &format!("\n{}{about}\n    {}\n", diagnosis.code.text(), diagnosis.advice);
        for seen in &diagnosis.seen {
            text += &format!("    - {seen}\n");
        }
    }
    if facts.noise > 0 {
        text += &format!(
            "\nOthers ask the daemon {} questions of rare types a second, so how many of ours arrived is not certain: run \
             this again, or when it is quiet.\n",
            facts.noise
        );
    }
    if let Some(rules) = rules {
        text += &format!("\n{rules}");
    }
    let could_be_suffixes =
        diagnoses.iter().any(|diagnosis| diagnosis.code == Code::PerName) && facts.truth.resolves;
    if could_be_suffixes {
        text += "\nThe daemon resolves, so the public suffixes could be forwarded instead.\n";
    }
    text
}
