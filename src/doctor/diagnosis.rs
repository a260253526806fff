//! From facts to a diagnosis, without any I/O.

use serde::{Serialize, Serializer};

use super::facts::{Facts, NameFacts, Reach, Reply, rcode};
use super::words;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $ok:literal;)+) => {
        /// What a resolver is found to be or to have; the texts are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable text.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Whether it is a shape that works.
            #[must_use]
            pub const fn is_ok(self) -> bool {
                match self { $(Self::$name => $ok),+ }
            }
        }
    };
}

codes! {
    /// The resolver does not answer.
    Silent = "silent", false;
    /// The resolver and the daemon ask each other.
    Loop = "loop", false;
    /// It refuses the questions.
    Refused = "refused", false;
    /// It answers, but does not resolve.
    NotRecursive = "not-recursive", false;
    /// Its validation (DNSSEC) keeps the answers away.
    ServfailDnssec = "servfail-dnssec", false;
    /// It cannot get an answer.
    Servfail = "servfail", false;
    /// A public suffix is forwarded to a daemon that does not resolve.
    PublicSuffixForwarded = "public-suffix-forwarded", false;
    /// Its rule for the privatelink zone is not used on the way from the public name.
    PrivatelinkRuleIgnored = "privatelink-rule-ignored", false;
    /// No question arrives at the daemon.
    NoRule = "no-rule", false;
    /// Its cache has a denial from before.
    StaleNegativeCache = "stale-negative-cache", false;
    /// It takes private addresses out of answers.
    AddressFiltered = "address-filtered", false;
    /// Its copy of the zone is another than the daemon's.
    ZoneBehind = "zone-behind", false;
    /// It gives another address, although it asks the daemon.
    WrongAddress = "wrong-address", false;
    /// Names of others in the privatelink zones do not exist for it.
    NxdomainForOtherTenants = "nxdomain-for-other-tenants", false;
    /// Everything is forwarded to the daemon, or it is the daemon.
    Everything = "ok-shape-everything", true;
    /// The public suffixes are forwarded to the daemon.
    PublicSuffixes = "ok-shape-public-suffixes", true;
    /// The privatelink zones are, and that is used on the way from public names.
    PrivatelinkZones = "ok-shape-privatelink-zones", true;
    /// Single names are.
    PerName = "ok-shape-per-name", true;
    /// It has the zones itself.
    Secondary = "ok-shape-secondary", true;
    /// It has the names in a policy zone, in zones of their own, in local data or in a hosts file.
    Rpz = "ok-shape-rpz", true;
    /// The answers are right; the way cannot be told without the daemon.
    Unknown = "ok-shape-unknown", true;
}

impl Code {
    /// Whether other rules mend it.
    #[must_use]
    pub const fn is_mended_by_rules(self) -> bool {
        matches!(
            self,
            Self::ServfailDnssec
                | Self::Servfail
                | Self::PublicSuffixForwarded
                | Self::PrivatelinkRuleIgnored
                | Self::NoRule
                | Self::AddressFiltered
        )
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What.
    pub code: Code,
    /// The public names or zones that it is about; none where it is about all.
    pub about: Vec<String>,
    /// What was seen, in words.
    pub seen: Vec<String>,
    /// What it means, and what to do.
    pub advice: String,
}

/// What is wrong with a resolver, worst first, and last the shapes that work.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Diagnosis> {
    let mut found: Vec<(Code, Option<&NameFacts>)> = Vec::new();
    if is_loop(facts) {
        found.push((Code::Loop, None));
    } else if !facts.names.is_empty() && facts.names.iter().all(is_silent) {
        found.push((Code::Silent, None));
    } else {
        for name in &facts.names {
            found.push((of_name(facts, name), Some(name)));
            if denies_others(facts, name) {
                found.push((Code::NxdomainForOtherTenants, Some(name)));
            }
            let fails =
                name.nobody_below_suffix.is(rcode::SERVFAIL) || name.nobody_below_suffix.is(rcode::REFUSED);
            if fails && reached(name.suffix_reach) && !facts.truth.resolves && !has_zones_only(name) {
                found.push((Code::PublicSuffixForwarded, Some(name)));
            }
        }
    }
    found.sort_by_key(|(code, _)| *code);
    found.dedup_by(|a, b| a.0 == b.0 && a.1.map(|name| &name.sample) == b.1.map(|name| &name.sample));
    let mut diagnoses = Vec::<Diagnosis>::new();
    for (code, name) in found {
        let (about, seen) = match name {
            Some(name) => (Some(words::subject(code, name)), words::seen(code, name)),
            None => (None, words::overall(facts)),
        };
        match diagnoses.last_mut().filter(|last| last.code == code) {
            Some(last) => {
                last.about.extend(about);
                last.seen.extend(seen);
            }
            None => {
                let advice = words::advice(code, facts);
                diagnoses.push(Diagnosis { code, about: about.into_iter().collect(), seen, advice });
            }
        }
    }
    diagnoses
}

fn is_silent(name: &NameFacts) -> bool {
    name.public.answer().is_none() && name.private.answer().is_none()
}

/// Whether it is responsible for the zone and resolves for nobody, as the daemon without `[resolver]`.
fn has_zones_only(name: &NameFacts) -> bool {
    let answer = name.private.answer();
    name.private.is_right(&name.sample.addresses)
        && answer.is_some_and(|answer| answer.authoritative && !answer.recursion_available)
}

/// Whether questions arrive at the daemon, as far as that is known.
fn reached(reach: Option<Reach>) -> bool {
    reach.is_some_and(Reach::is_reached)
}

/// Whether the daemon and the resolver ask each other.
fn is_loop(facts: &Facts) -> bool {
    let of_name = |name: &NameFacts| [name.reach, name.zone_reach, name.suffix_reach];
    let ways = || facts.names.iter().flat_map(of_name).chain([facts.elsewhere]);
    // The daemon itself is no upstream of its own: the configuration refuses that.
    let asks_it = facts.truth.resolves && facts.truth.upstreams.contains(&facts.resolver);
    // What the daemon has it does not ask for, so a public name of ours alone is no loop.
    let comes_back = || facts.names.iter().any(|name| reached(name.zone_reach) || reached(name.suffix_reach));
    let is_around = || facts.truth.resolves && ways().flatten().any(Reach::is_loop);
    asks_it && (comes_back() || reached(facts.elsewhere)) || is_around()
}

/// What is found of one name.
fn of_name(facts: &Facts, name: &NameFacts) -> Code {
    let right = &name.sample.addresses;
    let Some(answer) = name.public.answer() else { return Code::Silent };
    if name.public.is_right(right) {
        return shape(facts, name);
    }
    let has_zone = has_zones_only(name);
    let knows_way = reached(name.reach) || reached(name.suffix_reach);
    match answer.rcode {
        // It is there for whoever asks it for its zones only.
        rcode::REFUSED if has_zone => Code::Secondary,
        rcode::REFUSED | rcode::SERVFAIL
            if knows_way && !facts.truth.resolves && reached(name.suffix_reach) =>
        {
            Code::PublicSuffixForwarded
        }
        rcode::REFUSED => Code::Refused,
        rcode::SERVFAIL if name.unchecked.as_ref().is_some_and(|reply| reply.is_right(right)) => {
            Code::ServfailDnssec
        }
        rcode::NXDOMAIN if answer.authoritative => Code::ZoneBehind,
        rcode::NXDOMAIN if knows_way || reached(name.zone_reach) || counts_down(name) => {
            Code::StaleNegativeCache
        }
        rcode::NXDOMAIN => Code::NoRule,
        rcode::NOERROR if answer.addresses.is_empty() => {
            if answer.authoritative {
                Code::ZoneBehind
            } else if !answer.recursion_available {
                if has_zone { Code::Secondary } else { Code::NotRecursive }
            } else if answer.soa.is_none() {
                Code::AddressFiltered
            } else if knows_way || counts_down(name) {
                Code::StaleNegativeCache
            } else {
                Code::NoRule
            }
        }
        rcode::NOERROR if answer.authoritative => Code::ZoneBehind,
        rcode::NOERROR if knows_way => Code::WrongAddress,
        rcode::NOERROR if reached(name.zone_reach) || name.private.is_right(right) => {
            Code::PrivatelinkRuleIgnored
        }
        rcode::NOERROR => Code::NoRule,
        _ => Code::Servfail,
    }
}

/// By which way right addresses come.
fn shape(facts: &Facts, name: &NameFacts) -> Code {
    let has_zone = name.soa.answer().is_some_and(|answer| {
        let of_zone = answer.soa.as_ref().is_some_and(|soa| soa.zone == name.sample.zone.as_str());
        answer.authoritative && of_zone
    });
    if reached(facts.elsewhere) || facts.truth.listeners.contains(&facts.resolver) {
        Code::Everything
    } else if reached(name.suffix_reach) {
        Code::PublicSuffixes
    } else if reached(name.reach) && reached(name.zone_reach) {
        Code::PrivatelinkZones
    } else if reached(name.reach) {
        Code::PerName
    } else if has_zone {
        Code::Secondary
    } else if name.reach.is_some() {
        Code::Rpz
    } else {
        Code::Unknown
    }
}

/// Whether the answer comes from a cache.
pub(super) fn counts_down(name: &NameFacts) -> bool {
    let ttl = |reply: &Reply| reply.answer().and_then(|answer| answer.ttl);
    ttl(&name.public).zip(ttl(&name.again)).is_some_and(|(first, then)| then < first)
}

/// Whether a resolver takes the daemon's word, or that of a copy of its zone, that a name in the
/// privatelink zone does not exist.
fn denies_others(facts: &Facts, name: &NameFacts) -> bool {
    let Some(answer) = name.nobody_in_zone.answer() else { return false };
    let ours = answer.soa.as_ref().is_some_and(|soa| {
        soa.zone == name.sample.zone.as_str() && soa.primary == facts.truth.primary.as_str()
    });
    answer.rcode == rcode::NXDOMAIN && answer.recursion_available && ours
}
