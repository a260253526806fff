//! What a server has and holds, as its answers tell it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record};

use super::plan::{Holding, Hosted, Obstacle};
use super::talk::{Peer, Talk, TalkError};
use crate::wire::update::{Reply, mnemonic};
use crate::zones::DnsName;

const TYPE_A: u16 = 1;
const TYPE_SOA: u16 = 6;

/// The zones that a server has, each with where it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Zones {
    pub(super) hosted: Hosted,
    primaries: BTreeMap<DnsName, Primary>,
}

/// Where a zone is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Primary {
    address: SocketAddr,
    /// The MNAME of the SOA, after which the Kerberos service is named.
    host: String,
}

/// Why it is not known what a server has or holds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// It answers with an error.
    #[error("{server} answers {code} to a query for {name}{}", if *.code == "REFUSED" { "; let it answer to this host" } else { "" })]
    Code { server: SocketAddr, name: DnsName, code: String },
    /// The primary of a zone has no address, or is none.
    #[error("the primary of {zone} is {primary}, {problem}; correct the SOA, or set find_primary = false")]
    Primary { zone: DnsName, primary: String, problem: String },
}

/// Conversations with a server and the primaries that it names.
pub(super) struct Session {
    peer: Peer,
    talks: HashMap<SocketAddr, Talk>,
}

impl Session {
    pub(super) async fn open(peer: Peer) -> Result<Self, SessionError> {
        let talk = Talk::open(&peer).await?;
        Ok(Self { talks: HashMap::from([(talk.address(), talk)]), peer })
    }

    /// The connection with a server; it ends when something goes wrong on it.
    async fn talk(&mut self, address: SocketAddr) -> Result<Talk, TalkError> {
        match self.talks.remove(&address) {
            Some(talk) => Ok(talk),
            None => Talk::open(&Peer { address, ..self.peer.clone() }).await,
        }
    }

    async fn ask(
        &mut self,
        server: SocketAddr,
        names: &[DnsName],
        kind: u16,
    ) -> Result<Vec<Message>, TalkError> {
        let mut talk = self.talk(server).await?;
        let answers = talk.ask(names, kind).await?;
        self.talks.insert(server, talk);
        Ok(answers)
    }

    /// Finds the zones that the server has, in which these names lie.
    pub(super) async fn discover(
        &mut self,
        names: &BTreeSet<DnsName>,
        find_primary: bool,
    ) -> Result<Zones, SessionError> {
        let server = self.peer.address;
        let names: Vec<DnsName> = names.iter().cloned().collect();
        let answers = self.ask(server, &names, TYPE_SOA).await?;
        let mut zones = Zones::default();
        for (name, answer) in names.iter().zip(&answers) {
            // A problem of one zone is none of others.
            let found = match zone_of(server, name, answer) {
                Ok(found) => found,
                Err(error) => {
                    zones.hosted.broken.insert(name.clone(), error.to_string());
                    continue;
                }
            };
            let Some((zone, primary)) = found.filter(|(zone, _)| !zones.primaries.contains_key(zone)) else {
                continue;
            };
            let at = match find_primary {
                true => self.primary(&zone, &primary).await,
                false => Ok(server),
            };
            match at {
                Ok(address) => {
                    zones.hosted.zones.insert(zone.clone());
                    zones.primaries.insert(zone, Primary { address, host: primary });
                }
                Err(error) => {
                    zones.hosted.broken.insert(zone, error.to_string());
                }
            }
        }
        Ok(zones)
    }

    /// The address of a zone's primary: as the server knows it, else as the system does.
    async fn primary(&mut self, zone: &DnsName, primary: &str) -> Result<SocketAddr, SessionError> {
        let server = self.peer.address;
        let problem = |problem: String| SessionError::Primary {
            zone: zone.clone(),
            primary: primary.to_owned(),
            problem,
        };
        let name: DnsName = primary.parse().map_err(|_| problem("which is no host name".to_owned()))?;
        let answers = self.ask(server, std::slice::from_ref(&name), TYPE_A).await?;
        let told = answers.first().and_then(|answer| addresses(&answer.answers, &name).0.into_iter().next());
        let address = match told {
            Some(address) => SocketAddr::new(IpAddr::V4(address), server.port()),
            None => {
                let mut found = tokio::net::lookup_host((name.as_str(), server.port()))
                    .await
                    .map_err(|error| problem(format!("which has no address: {error}")))?;
                found.next().ok_or_else(|| problem("which has no address".to_owned()))?
            }
        };
        if address != server {
            let answers = self.ask(address, std::slice::from_ref(zone), TYPE_SOA).await?;
            let hosted = answers.first().map(|answer| zone_of(address, zone, answer)).transpose()?.flatten();
            if hosted.is_none_or(|(hosted, _)| hosted != *zone) {
                return Err(problem(format!("but {address} does not have the zone")));
            }
        }
        Ok(address)
    }

    /// What is held at names; those in no zone are left out, and those that the server has trouble with are
    /// told.
    pub(super) async fn look(
        &mut self,
        zones: &Zones,
        names: &BTreeSet<DnsName>,
    ) -> Result<(BTreeMap<DnsName, Holding>, Vec<String>), SessionError> {
        let mut by_server = BTreeMap::<SocketAddr, Vec<DnsName>>::new();
        for name in names {
            let zone = zones.hosted.zone_of(name);
            if let Some(primary) = zone.and_then(|zone| zones.primaries.get(zone)) {
                by_server.entry(primary.address).or_default().push(name.clone());
            }
        }
        let (mut held, mut problems) = (BTreeMap::new(), Vec::new());
        for (server, names) in by_server {
            let answers = self.ask(server, &names, TYPE_A).await?;
            for (name, answer) in names.into_iter().zip(&answers) {
                match holding(server, &name, answer) {
                    Ok(holding) => {
                        held.insert(name, holding);
                    }
                    Err(error) => problems.push(error.to_string()),
                }
            }
        }
        Ok((held, problems))
    }

    /// Sends an update to where its zone is changed.
    pub(super) async fn update(
        &mut self,
        zones: &Zones,
        zone: &DnsName,
        octets: &[u8],
        service: Option<&DnsName>,
    ) -> Reply {
        let Some(primary) = zones.primaries.get(zone) else {
            return Reply::Refused { code: 9, problem: format!("{zone} is not there") };
        };
        // Nothing was sent when there is no connection.
        let mut talk = match self.talk(primary.address).await {
            Ok(talk) => talk,
            Err(error) => return Reply::Refused { code: 9, problem: error.to_string() },
        };
        let reply = talk.update(octets, service.map_or(&primary.host, DnsName::as_str)).await;
        if !matches!(reply, Reply::Unknown { answered: false, .. }) {
            self.talks.insert(primary.address, talk);
        }
        reply
    }

    /// All A records of a zone by transfer, or why the server does not give them.
    pub(super) async fn list(
        &mut self,
        zones: &Zones,
        zone: &DnsName,
    ) -> Result<BTreeMap<String, BTreeSet<Ipv4Addr>>, String> {
        let server = zones.primaries.get(zone).ok_or("it is not there")?.address;
        let mut talk = self.talk(server).await.map_err(|error| error.to_string())?;
        let messages = talk.transfer(zone).await.map_err(|error| error.to_string())??;
        let mut records = BTreeMap::<String, BTreeSet<Ipv4Addr>>::new();
        for record in messages.iter().flat_map(|message| &message.answers) {
            if let RData::A(address) = record.data {
                let owner = record.name.to_lowercase().to_ascii().trim_end_matches('.').to_owned();
                records.entry(owner).or_default().insert(address.0);
            }
        }
        Ok(records)
    }
}

/// The zone that a name lies in at a server, with its primary, as the answer to a query for the name's
/// SOA tells; nothing when the server does not have it.
pub(super) fn zone_of(
    server: SocketAddr,
    name: &DnsName,
    answer: &Message,
) -> Result<Option<(DnsName, String)>, SessionError> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if !answer.metadata.authoritative => return Ok(None),
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::Refused | ResponseCode::NotAuth => return Ok(None),
        code => return Err(error(server, name, code)),
    }
    let soa = answer.answers.iter().chain(&answer.authorities).find_map(|record| match &record.data {
        RData::SOA(soa) => Some((record.name.to_ascii(), soa.mname.to_ascii())),
        _ => None,
    });
    Ok(soa.and_then(|(zone, primary)| {
        let zone: DnsName = zone.parse().ok()?;
        // A server that has all of the internet, or a top level domain, is none to write to.
        let is_own = *name == zone || name.below(&zone).is_some();
        (is_own && zone.labels().count() > 1).then_some((zone, primary))
    }))
}

pub(super) fn holding(server: SocketAddr, name: &DnsName, answer: &Message) -> Result<Holding, SessionError> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        code => return Err(error(server, name, code)),
    }
    if !answer.metadata.authoritative {
        return Ok(Holding { obstacle: Some(Obstacle::Delegated), ..Holding::default() });
    }
    let alias = answer.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if is(record, name) => Some(Obstacle::Alias(target.to_ascii())),
        _ => None,
    });
    let (addresses, ttl) = addresses(&answer.answers, name);
    Ok(Holding { addresses, ttl, obstacle: alias, is_guess: false })
}

/// The addresses of a name in a section, with their TTL.
fn addresses(records: &[Record], name: &DnsName) -> (BTreeSet<Ipv4Addr>, u32) {
    let mut found = (BTreeSet::new(), 0);
    for record in records.iter().filter(|record| is(record, name)) {
        if let RData::A(address) = record.data {
            found.0.insert(address.0);
            found.1 = record.ttl;
        }
    }
    found
}

fn is(record: &Record, name: &DnsName) -> bool {
    record.name.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(name.as_str())
}

fn error(server: SocketAddr, name: &DnsName, code: ResponseCode) -> SessionError {
    SessionError::Code { server, name: name.clone(), code: mnemonic(code.low()) }
}
