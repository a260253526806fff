//! What servers have answered, compared with what is right. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::resolve::Answered;
use super::servers::Kind;
use super::{Check, Facts, Name, Problem, Server};
use crate::zones::DnsName;

/// How a server knows a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// With the right addresses.
    Right,
    /// Otherwise.
    Wrong,
    /// It did not answer.
    Unanswered,
}

/// One answer of a server.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    /// The public name that it is about.
    pub(super) public: &'a DnsName,
    /// The name that was asked for.
    pub(super) question: &'a DnsName,
    /// What came.
    pub(super) answered: Answered,
}

/// How a server knows each name, and what is wrong with it.
pub(super) fn judge(facts: &Facts, server: &Server, asked: &[Asked<'_>]) -> (Vec<Known>, Vec<Problem>) {
    let mut known = Vec::with_capacity(asked.len());
    let mut problems = Vec::new();
    for asked in asked {
        let problem =
            facts.names.get(asked.public).and_then(|name| Case { facts, server, asked, name }.problem());
        known.push(match &problem {
            Some(_) if matches!(asked.answered, Answered::Nothing(_) | Answered::Failed(_)) => {
                Known::Unanswered
            }
            Some(problem) if problem.is_failure() => Known::Wrong,
            _ => Known::Right,
        });
        problems.extend(problem.map(|problem| problem.at(&server.title)));
    }
    (known, together(server, asked.len(), problems))
}

/// A server that fails for every name in the same way is one problem.
fn together(server: &Server, names: usize, problems: Vec<Problem>) -> Vec<Problem> {
    let Some(first) = problems.first() else { return problems };
    let grouped = [Check::Unanswered, Check::ServerFailure, Check::Refused].map(Check::code);
    let is_same = |problem: &Problem| problem.check == first.check;
    if problems.len() < names || !grouped.contains(&first.check.as_str()) || !problems.iter().all(is_same) {
        return problems;
    }
    let mut one = Problem {
        subject: server.title.clone(),
        application: None,
        expected: "an answer for every name".to_owned(),
        ..first.clone()
    };
    if first.check == Check::Unanswered.code() {
        one.check = Check::ResolverSilent.code().to_owned();
        one.remedy = format!(
            "look whether a DNS server listens at {}, lets this machine ask, and no firewall is between",
            server.address
        );
    }
    vec![one]
}

/// One answer with all that it is compared with.
struct Case<'a> {
    facts: &'a Facts,
    server: &'a Server,
    asked: &'a Asked<'a>,
    name: &'a Name,
}

impl Case<'_> {
    fn problem(&self) -> Option<Problem> {
        let (denied, aliases, addresses) = match &self.asked.answered {
            Answered::Found { denied, aliases, addresses } => (*denied, aliases, addresses),
            Answered::Nothing(seen) => {
                let remedy = "ask again; look at the server's log and load";
                return Some(self.tell(Check::Unanswered, seen.clone(), remedy));
            }
            Answered::Failed(code) => {
                use hickory_proto::op::ResponseCode;
                let (check, remedy) = match *code {
                    ResponseCode::Refused if self.server.kind == Kind::Resolver => {
                        (Check::Refused, "let this machine ask it: its access list, or recursion")
                    }
                    ResponseCode::Refused => {
                        (Check::Refused, "give the zone to the server: it does not have it")
                    }
                    _ => {
                        (Check::ServerFailure, "look at the server's log: can it reach whom it forwards to?")
                    }
                };
                return Some(self.tell(check, code.to_str(), remedy));
            }
        };
        if self.name.answers.contains(addresses) {
            return self.chain(aliases);
        }
        let right = self.name.addresses();
        let private = self.name.private.as_ref();
        let beyond = private.and_then(|private| {
            let here = aliases.iter().position(|alias| alias == private.as_str());
            here.and_then(|at| aliases.get(at + 1)).or_else(|| {
                // The question was the privatelink name itself.
                aliases.first().filter(|_| self.asked.question == private)
            })
        });
        let ends_outside = beyond.is_some() || !addresses.is_empty() && addresses.iter().all(is_public);
        if self.name.own_name && ends_outside && addresses.is_disjoint(&right) {
            let remedy = "nothing: Microsoft keeps web interface and APIs public. Unless they are meant to be \
                          private: then as for the other names";
            return Some(self.tell(Check::PublicSite, self.answer(), remedy));
        }
        Some(if addresses.is_empty() && !(denied && beyond.is_some()) {
            let seen =
                if denied { "NXDOMAIN".to_owned() } else { "the name exists without an A record".to_owned() };
            let remedy = match self.server.kind {
                Kind::Resolver => {
                    "let the server ask the daemon for it, or add the record; a denial may be in its cache still"
                }
                _ => "look whether its zone is up to date: `privatelink-dns status`",
            };
            self.tell(Check::NameMissing, seen, remedy)
        } else if ends_outside && addresses.is_disjoint(&right) {
            let remedy = match (beyond, private) {
                (Some(_), Some(private)) => format!(
                    "the server follows {private} to public DNS: let it ask the daemon for the public suffix (shape B \
                     in the README), not only for the privatelink zone"
                ),
                _ => "let the server ask the daemon for this name".to_owned(),
            };
            self.tell(Check::PublicAddress, self.answer(), &remedy)
        } else if addresses.is_disjoint(&right) {
            self.tell(
                Check::WrongAddress,
                self.answer(),
                "correct the record, or let the server ask the daemon",
            )
        } else if !addresses.is_subset(&right) {
            let extra: BTreeSet<Ipv4Addr> = addresses.difference(&right).copied().collect();
            let remedy = format!("remove {}: {}", list(&extra), self.origin(&extra));
            self.tell(Check::StaleAddress, self.answer(), &remedy)
        } else {
            let lacking: BTreeSet<Ipv4Addr> = right.difference(addresses).copied().collect();
            let remedy = format!("add {}; {}", list(&lacking), self.origin(&lacking));
            self.tell(Check::AddressMissing, self.answer(), &remedy)
        })
    }

    /// The addresses are right; are the aliases? A server may give them without any, from a zone or a rule for
    /// the name alone.
    fn chain(&self, aliases: &[String]) -> Option<Problem> {
        let private = self.name.private.as_ref()?.as_str();
        let is_right = match aliases {
            [] => true,
            [only] => only == private,
            _ => false,
        };
        let remedy = "let the alias of the public name be its privatelink name, or let there be none";
        (!is_right).then(|| self.tell(Check::WrongChain, self.answer(), remedy))
    }

    fn tell(&self, check: Check, seen: impl Into<String>, remedy: &str) -> Problem {
        let right: Vec<String> = self.name.answers.iter().map(list).collect();
        let alias = self.name.private.as_ref().filter(|private| *private != self.asked.question);
        let by_way = alias.map_or_else(String::new, |private| format!("{private}, "));
        let expected = format!("{by_way}{}", right.join(" or "));
        Problem::new(check, self.asked.public.as_str(), seen, expected, remedy).of(&self.name.application)
    }

    /// The answer as it was seen, with what is known of its addresses.
    fn answer(&self) -> String {
        let Answered::Found { aliases, addresses, .. } = &self.asked.answered else { return String::new() };
        let mut seen = aliases.clone();
        seen.push(if addresses.is_empty() { "no address".to_owned() } else { list(addresses) });
        let others: Vec<String> = addresses
            .iter()
            .filter_map(|address| Some((address, self.facts.whose(*address)?.0)))
            .filter(|(_, public)| *public != self.asked.public)
            .map(|(address, public)| format!("{address} is the address of {public}"))
            .collect();
        let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
        format!("{}{others}", seen.join(", "))
    }

    /// Where addresses come from.
    fn origin(&self, addresses: &BTreeSet<Ipv4Addr>) -> String {
        let of = |address: &Ipv4Addr| match self.facts.whose(*address) {
            Some((_, endpoint)) => format!("{address} is given by endpoint {}", endpoint.name()),
            None => format!("no endpoint gives {address}; it may be left from one that is gone"),
        };
        addresses.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

fn list(addresses: &BTreeSet<Ipv4Addr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether an address is of the internet, as far as addresses tell.
fn is_public(address: &Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(address.is_private() || address.is_loopback() || address.is_link_local() || shared)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::VerifyResolver;

    fn set(addresses: &[[u8; 4]]) -> BTreeSet<Ipv4Addr> {
        addresses.iter().copied().map(Ipv4Addr::from).collect()
    }

    /// Two hubs with an address each, and a site.
    fn facts() -> Facts {
        let application = "/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a";
        let endpoint = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe";
        let name = |label: &str, suffix: &str, host: u8| {
            let private: DnsName = format!("{label}.privatelink.{suffix}").parse().expect("a name");
            let zone: DnsName = format!("privatelink.{suffix}").parse().expect("a name");
            let name = Name {
                application: application.parse().expect("an id"),
                zone: zone.clone(),
                private: Some(private.clone()),
                own_name: label == "site",
                owners: vec![(zone, private)],
                answers: vec![set(&[[10, 0, 0, host]])],
                given: BTreeMap::from([(endpoint.parse().expect("an id"), set(&[[10, 0, 0, host]]))]),
            };
            (format!("{label}.{suffix}").parse().expect("a name"), name)
        };
        let names = [name("one", "hubs.test", 1), name("two", "hubs.test", 2), name("site", "apps.test", 3)];
        Facts { names: BTreeMap::from(names), ..Facts::default() }
    }

    fn server() -> Server {
        Server {
            configured: VerifyResolver::System,
            title: "system".to_owned(),
            address: ([127, 0, 0, 1], 53).into(),
            kind: Kind::Resolver,
            zones: Vec::new(),
        }
    }

    fn found(aliases: &[&str], addresses: &[[u8; 4]]) -> Answered {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Answered::Found { denied: false, aliases, addresses: set(addresses) }
    }

    fn nothing() -> Answered {
        Answered::Nothing("no answer".to_owned())
    }

    /// The codes and subjects of what is told when the names are answered like this, in their order.
    fn told(facts: &Facts, answers: &[Answered]) -> Vec<(String, String)> {
        let one = |(public, answered): (_, &Answered)| Asked {
            public,
            question: public,
            answered: answered.clone(),
        };
        let asked: Vec<Asked<'_>> = facts.names.keys().zip(answers).map(one).collect();
        let (known, problems) = judge(facts, &server(), &asked);
        assert_eq!(known.len(), answers.len());
        problems.into_iter().map(|problem| (problem.check, problem.subject)).collect()
    }

    #[test]
    fn a_server_that_fails_for_all_names_is_one_problem_and_otherwise_each_name_is() {
        let facts = facts();
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(check, subject)| ((*check).to_owned(), (*subject).to_owned())).collect()
        };
        assert_eq!(told(&facts, &[nothing(), nothing(), nothing()]), pairs(&[("resolver-silent", "system")]));
        let right = found(&["one.privatelink.hubs.test"], &[[10, 0, 0, 1]]);
        let site = found(&["site.privatelink.apps.test"], &[[10, 0, 0, 3]]);
        assert_eq!(told(&facts, &[right, site, nothing()]), pairs(&[("unanswered", "two.hubs.test")]));
    }
}
