//! What is said of a diagnosis.

use super::diagnosis::{Code, counts_down};
use super::facts::{Answer, Facts, NameFacts, Reach, Reply, rcode};

/// What a diagnosis is about.
pub(super) fn subject(code: Code, name: &NameFacts) -> String {
    match code {
        Code::NxdomainForOtherTenants => name.sample.zone.to_string(),
        Code::PublicSuffixForwarded => crate::zones::public_suffix(&name.sample.zone)
            .unwrap_or_else(|| name.sample.zone.clone())
            .to_string(),
        _ => name.sample.public.to_string(),
    }
}

/// What was seen of one name.
pub(super) fn seen(code: Code, name: &NameFacts) -> Vec<String> {
    let sample = &name.sample;
    match code {
        Code::NxdomainForOtherTenants => {
            let answer = reply(&name.nobody_in_zone);
            return vec![format!(
                "a name that nobody has in {}: {answer}, by the daemon's zone",
                sample.zone
            )];
        }
        Code::PublicSuffixForwarded => {
            let answer = reply(&name.nobody_below_suffix);
            let (public, own) = (&sample.public, reply(&name.public));
            return vec![format!("a name that nobody has below the suffix: {answer}; {public}: {own}")];
        }
        _ => {}
    }
    let addresses: Vec<String> = sample.addresses.iter().map(ToString::to_string).collect();
    let cached = if counts_down(name) { ", from its cache (the TTL counts down)" } else { "" };
    let mut seen = vec![
        format!("{}: {}{cached}; Azure has {}", sample.public, reply(&name.public), addresses.join(", ")),
        format!("{}: {}", sample.private, reply(&name.private)),
    ];
    if code.is_ok() {
        return seen;
    }
    if let Some(unchecked) = &name.unchecked {
        seen.push(format!("{} without validation: {}", sample.public, reply(unchecked)));
    }
    for (what, reach) in [
        ("the public name", name.reach),
        ("names in the privatelink zone", name.zone_reach),
        ("names below the public suffix", name.suffix_reach),
    ] {
        seen.extend(reach.map(|reach| way(what, reach)));
    }
    seen
}

/// What was seen where it is about no name alone.
pub(super) fn overall(facts: &Facts) -> Vec<String> {
    let mut seen: Vec<String> =
        facts.names.iter().map(|name| format!("{}: {}", name.sample.public, reply(&name.public))).collect();
    let ways = facts.names.first().map(|name| {
        [
            ("names in the privatelink zone", name.zone_reach),
            ("names below the public suffix", name.suffix_reach),
        ]
    });
    let elsewhere = [("names elsewhere", facts.elsewhere)];
    for (what, reach) in ways.into_iter().flatten().chain(elsewhere) {
        seen.extend(reach.map(|reach| way(what, reach)));
    }
    seen
}

fn way(what: &str, reach: Reach) -> String {
    format!("of {} questions for {what} {} arrived at the daemon", reach.asked, reach.arrived)
}

fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Silent(why) => format!("no answer ({why})"),
        Reply::Answer(answer) => self::answer(answer),
    }
}

fn answer(answer: &Answer) -> String {
    let code = match answer.rcode {
        rcode::NOERROR if answer.addresses.is_empty() => "no address".to_owned(),
        rcode::NOERROR => String::new(),
        rcode::SERVFAIL => "SERVFAIL".to_owned(),
        rcode::NXDOMAIN => "NXDOMAIN".to_owned(),
        rcode::REFUSED => "REFUSED".to_owned(),
        other => format!("response code {other}"),
    };
    let addresses = answer.addresses.iter().map(ToString::to_string);
    let chain: Vec<String> = answer.aliases.iter().cloned().chain(addresses).collect();
    let mut parts: Vec<String> =
        [code, chain.join(" -> ")].into_iter().filter(|part| !part.is_empty()).collect();
    parts.extend(answer.ttl.map(|ttl| format!("TTL {ttl}")));
    if answer.authoritative {
        parts.push("authoritative".to_owned());
    }
    parts.join(", ")
}

/// What a diagnosis means and what to do.
pub(super) fn advice(code: Code, facts: &Facts) -> String {
    let resolver = facts.resolver;
    let rules = format!("`privatelink-dns doctor {resolver} --server KIND` prints the rules for its kind.");
    let text = match code {
        Code::Silent => {
            "It does not answer over UDP. Check its address and port, that it runs, and the firewalls."
        }
        Code::Loop => {
            "The daemon and this resolver ask each other for the same names. Take it out of [resolver] upstreams: put \
             a server there that knows public DNS and does not forward to the daemon, in Azure 168.63.129.16."
        }
        Code::Refused => {
            "It refuses this client. Let it resolve for the clients' networks (BIND: allow-query and allow-recursion; \
             Unbound: access-control), and run this from a host that is one of them."
        }
        Code::NotRecursive => {
            "It answers for its own zones, but resolves for nobody. Point clients to a resolver, or switch recursion \
             on."
        }
        Code::ServfailDnssec => {
            "Its DNSSEC validation does not accept the daemon's answers, which are not signed. Exempt the zones \
             (BIND: validate-except; Unbound: domain-insecure)."
        }
        Code::Servfail => {
            "It gets no usable answer. Check its way to the daemon (address, port, firewall, [dns] allow_query), \
             do-not-query-localhost in Unbound, and that rules are of the type `forward`: stub rules for public \
             suffixes fail."
        }
        Code::PublicSuffixForwarded => {
            "It forwards everything below the public suffix to the daemon, which has no [resolver]: the names of others \
             cannot be resolved. Give the daemon [resolver] upstreams, or forward the single names only."
        }
        Code::PrivatelinkRuleIgnored => {
            "Its rule for the privatelink zone works when that is asked, but is not used on the way from the public name: \
             it takes the whole chain from another resolver. Devices ask for public names. Forward the public suffixes \
             (the daemon needs [resolver]) or the single names."
        }
        Code::NoRule => {
            "No question for the name arrives at the daemon, so it gives what public DNS says. It has no rule for the \
             name, or one that is not used."
        }
        Code::StaleNegativeCache => {
            "It has a denial in its cache from before the name was there. It ends with its TTL; or flush (BIND: rndc \
             flushtree SUFFIX; Unbound: unbound-control flush_zone SUFFIX; dnsmasq: SIGHUP; Windows: \
             Clear-DnsServerCache). If it stays, the name has no rule."
        }
        Code::AddressFiltered => {
            "It takes private addresses out of answers (rebinding protection). Make an exception (dnsmasq: \
             rebind-domain-ok; Unbound: private-domain)."
        }
        Code::ZoneBehind => {
            "It answers from a zone of its own that is another than the daemon's. See its serial beside that of \
             `privatelink-dns status`, and whether it is a [[secondary]] there that lags, or a zone or local data made by hand."
        }
        Code::WrongAddress => {
            "It gives another address although questions for the name arrive at the daemon. Most likely its cache is \
             older than the rule: flush it. If it stays, something answers before the daemon is asked (`forward first`, \
             local data, a hosts file)."
        }
        Code::NxdomainForOtherTenants => {
            "Names of other tenants in the privatelink zone do not exist for its clients, a partner's hub for example. \
             Give the daemon [resolver] with fallback, or publish per_name_zones or a policy zone instead of the \
             privatelink zones."
        }
        Code::Everything => "It asks the daemon for every name, or is the daemon.",
        Code::PublicSuffixes => "It forwards the public suffixes to the daemon: new hubs need nobody.",
        Code::PrivatelinkZones => {
            "It forwards the privatelink zones to the daemon and uses that on the way from public names: new hubs need \
             nobody."
        }
        Code::PerName => {
            "It forwards single names to the daemon. A new hub has to be added to its rules: take them from the daemon \
             with a timer."
        }
        Code::Secondary => {
            "It has the zones itself. Only servers that ask it for them see the names; `privatelink-dns status` shows \
             whether it follows."
        }
        Code::Rpz => {
            "It answers from data of its own: a policy zone, zones of single names, local data or a hosts file. See that \
             this follows the daemon."
        }
        Code::Unknown => {
            "The answers are right. By which way they come cannot be told without the running daemon."
        }
    };
    if code.is_mended_by_rules() { format!("{text} {rules}") } else { text.to_owned() }
}
