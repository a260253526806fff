//! ARM's answers, changed in any way: from the octets to the names that would be published.
//!
//! Payloads that were recorded are changed as the input says, and a real poll reads them. What an operator
//! relies on has to hold whatever Azure sends: no panic, nothing in part, no name outside the required
//! zones, and no name lost by one look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::inside::Pollable;
use crate::serve::{Context, Counters, Image};
use crate::zones::{
    ApplicationEvidence, Derived, EndpointEvidence, GuardPolicy, Publication, ResourceId, Share, derive,
    generation, guard, public_suffix,
};

const APPLICATION: &str = include_str!("../../tests/fixtures/arm/application.json");
const CONNECTIONS: &str = include_str!("../../tests/fixtures/arm/connections.json");
const LINKS: [&str; 2] = [
    include_str!("../../tests/fixtures/arm/link-two-hubs.json"),
    include_str!("../../tests/fixtures/arm/link-one-hub.json"),
];
const ENDPOINTS: [&str; 4] = [
    include_str!("../../tests/fixtures/arm/endpoint-two-hubs.json"),
    include_str!("../../tests/fixtures/arm/endpoint-with-zone-group.json"),
    include_str!("../../tests/fixtures/arm/endpoint-updating.json"),
    include_str!("../../tests/fixtures/arm/endpoint-manual.json"),
];
const INTERFACES: [&str; 3] = [
    include_str!("../../tests/fixtures/arm/interface-two-hubs.json"),
    include_str!("../../tests/fixtures/arm/interface-one-hub.json"),
    include_str!("../../tests/fixtures/arm/interface-empty.json"),
];
const GROUPS: [&str; 3] = [
    include_str!("../../tests/fixtures/arm/zone-group-complete.json"),
    include_str!("../../tests/fixtures/arm/zone-group-partial.json"),
    include_str!("../../tests/fixtures/arm/zone-group-mismatch.json"),
];

/// The documents of one poll, by the end of their path: status and body.
type Documents = BTreeMap<&'static str, (u16, Vec<u8>)>;

/// What the recordings publish, and who reads them.
struct Lab {
    application: ResourceId,
    now: Timestamp,
    before: Share,
    counters: Counters,
}

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    static POLLABLE: Pollable = Pollable::new(|request| {
        let path = request.url().path().to_ascii_lowercase();
        let documents = DOCUMENTS.lock().expect("no panic");
        let list = documents.iter().rfind(|(end, _)| path.ends_with(**end));
        let below = || documents.iter().find(|(end, _)| path.contains(&format!("{end}/")));
        let (status, body) = list.or_else(below).map_or((404, Vec::new()), |(_, document)| document.clone());
        Some(Response::builder().status(status).body(body).expect("a response"))
    });
}

/// What is answered now.
static DOCUMENTS: LazyLock<Mutex<Documents>> = LazyLock::new(Mutex::default);

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let id =
        serde_json::from_str::<Value>(APPLICATION).expect("JSON")["id"].as_str().expect("an id").to_owned();
    let mut lab = Lab {
        application: id.parse().expect("an id"),
        now: Timestamp::from_second(1_700_000_000).expect("a time"),
        before: Share::empty(id.parse().expect("an id")),
        counters: Counters::new().expect("counters"),
    };
    let derived = lab.poll(recorded(0)).expect("the recordings can be read");
    assert!(derived.share.names().len() > 3);
    lab.before = derived.share;
    lab
});

fn recorded(choice: u8) -> Vec<(&'static str, Value)> {
    let [a, b, c, d] = [choice & 1, choice >> 1 & 3, choice >> 3 & 3, choice >> 5 & 3].map(usize::from);
    let read = |text: &str| serde_json::from_str(text).expect("JSON");
    vec![
        ("/iotapps/iotc-cli-test000002", read(APPLICATION)),
        ("/privateendpointconnections", read(CONNECTIONS)),
        ("/privatelinkresources", read(LINKS[a])),
        ("/privateendpoints/cli-pe-000005", read(ENDPOINTS[b])),
        ("/networkinterfaces", read(INTERFACES[c % 3])),
        ("/privatednszonegroups", read(GROUPS[d % 3])),
    ]
}

impl Lab {
    fn poll(&self, documents: Vec<(&'static str, Value)>) -> Result<Derived, String> {
        let documents =
            documents.into_iter().map(|(end, value)| (end, (200, value.to_string().into_bytes())));
        self.poll_octets(documents.collect())
    }

    fn poll_octets(&self, documents: Documents) -> Result<Derived, String> {
        *DOCUMENTS.lock().expect("no panic") = documents;
        let known: BTreeSet<ResourceId> = self.before.endpoints.keys().cloned().collect();
        let poll = async |pollable: &Pollable| pollable.poll(&self.application, &known, self.now).await;
        let observation = RUNTIME.with(|runtime| POLLABLE.with(|pollable| runtime.block_on(poll(pollable))));
        let observation = observation.map_err(|error| error.to_string())?;
        let derived = derive(&observation);
        assert_eq!(derive(&observation), derived, "pure");
        Ok(derived)
    }
}

/// Polls recordings that are changed as the octets say. The first chooses the recordings; then changes of
/// at least four octets each.
pub fn arm(octets: &[u8]) {
    let Some((choice, mut rest)) = octets.split_first() else { return };
    let lab = &*LAB;
    let mut documents = recorded(*choice);
    let mut raw = Documents::new();
    while let [which, place, what, value, more @ ..] = rest {
        rest = more;
        let which = usize::from(*which) % documents.len();
        let Some((end, document)) = documents.get_mut(which) else { break };
        match what % 16 {
            // The rest is the body, or a part of it.
            14 => {
                let body = if value & 1 == 0 {
                    rest.to_vec()
                } else {
                    let text = document.to_string();
                    let at = text.len() * usize::from(*place) / 256;
                    [&text.as_bytes()[..at], rest, &text.as_bytes()[at..]].concat()
                };
                raw.insert(end, (200, body));
                break;
            }
            15 => {
                let code = ["ResourceNotFound", "AuthorizationFailed", "SubscriptionNotFound", "x"];
                let status = [404, 403, 404, 401][usize::from(value & 3)];
                let error = json!({"error": {"code": code[usize::from(value >> 2 & 3)], "message": "m"}});
                raw.insert(end, (status, error.to_string().into_bytes()));
            }
            what => {
                let text_length = usize::from(*value).min(rest.len());
                let nodes = count(document);
                let mut at = usize::from(*place) * nodes / 256;
                let donor = document.clone();
                if let Some(node) = node(document, &mut at) {
                    rest = change(node, what, *value, &donor, rest, text_length);
                }
            }
        }
    }
    let mut all: Documents =
        documents.into_iter().map(|(end, value)| (end, (200, value.to_string().into_bytes()))).collect();
    all.extend(raw);
    if let Ok(derived) = lab.poll_octets(all) {
        judge(lab, &derived);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that is so many steps down, in the order of the document.
fn node<'a>(value: &'a mut Value, steps: &mut usize) -> Option<&'a mut Value> {
    if *steps == 0 {
        return Some(value);
    }
    *steps -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| node(item, steps)),
        Value::Object(fields) => fields.values_mut().find_map(|field| node(field, steps)),
        _ => None,
    }
}

/// Changes one value; gives what is left of the octets.
fn change<'a>(
    node: &mut Value,
    what: u8,
    value: u8,
    donor: &Value,
    rest: &'a [u8],
    length: usize,
) -> &'a [u8] {
    const TEXTS: [&str; 16] = [
        "",
        "Approved",
        "Pending",
        "Disconnected",
        "Succeeded",
        "10.0.0.99",
        "::1",
        "0.0.0.0",
        "255.255.255.255",
        "*.azure-devices.net",
        "azure-devices.net",
        "privatelink.net",
        "net",
        "privatelink.azure-devices.net",
        "evil.example.com",
        "a..b",
    ];
    match what {
        0 => *node = Value::Null,
        1 => *node = json!({}),
        2 => *node = json!([]),
        3 => *node = json!(value),
        4 | 5 => *node = json!(TEXTS[usize::from(value) % TEXTS.len()]),
        6 => {
            let (text, left) = rest.split_at(length);
            *node = json!(String::from_utf8_lossy(text));
            return left;
        }
        7 => {
            if let Some(text) = node.as_str() {
                let text = if value & 1 == 0 { text.to_ascii_uppercase() } else { format!("{text}.") };
                *node = json!(text);
            }
        }
        8 => {
            if let Some(items) = node.as_array_mut() {
                items.extend_from_within(..);
            }
        }
        9 => {
            if let Some(items) = node.as_array_mut() {
                items.truncate(usize::from(value) % (items.len() + 1));
            }
        }
        10 => {
            if let Some(fields) = node.as_object_mut() {
                let key = fields.keys().nth(usize::from(value) % fields.len().max(1)).cloned();
                key.map(|key| fields.remove(&key));
            }
        }
        11 => {
            // Something from elsewhere in the document.
            let mut donor = donor.clone();
            let mut steps = usize::from(value) * count(&donor) / 256;
            if let Some(other) = self::node(&mut donor, &mut steps) {
                *node = other.clone();
            }
        }
        12 => {
            if let Some(items) = node.as_array_mut() {
                items.reverse();
            }
        }
        _ => *node = json!([node.clone()]),
    }
    rest
}

fn judge(lab: &Lab, derived: &Derived) {
    for (_, public, placement) in derived.share.placements() {
        assert!(derived.share.zones.contains(&placement.zone), "{public} lies in a required zone");
        let suffix = public_suffix(&placement.zone).expect("a privatelink zone");
        assert!(public.below(&suffix).is_some(), "{public} lies below {suffix}");
        assert!(placement.owner(public).is_some() && !placement.addresses.is_empty());
    }
    let review = guard::review(
        Some(&lab.before),
        derived,
        &guard::GuardState::default(),
        &GuardPolicy::default(),
        lab.now,
    );
    let evidence = &derived.evidence;
    for (endpoint, public, placement) in lab.before.placements() {
        // ARM's plain word is proof; anything else takes more than one look.
        let is_final = evidence.application != ApplicationEvidence::Found
            || matches!(
                evidence.endpoints.get(endpoint),
                Some(EndpointEvidence::NotFound | EndpointEvidence::NotApproved(_))
            );
        let kept = review.share.placement(endpoint, public);
        assert!(kept.is_some() || is_final, "{public} is lost by one look");
        assert!(kept.is_none_or(|kept| !kept.addresses.is_empty()), "{placement:?}");
    }
    let publication = publication();
    let shares = BTreeMap::from([(lab.application.clone(), Arc::new(review.share))]);
    let (generation, _) =
        generation::succeed(None, shares, &publication, "fuzzing", lab.now).expect("a first generation");
    Image::compile(&generation, Context::default(), &lab.counters).expect("an image");
}

fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: true,
        application_name: true,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec!["ns.invalid".parse().expect("a name")],
        hostmaster: "hostmaster.invalid".parse().expect("a name"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: Some("rpz.invalid".parse().expect("a name")),
        serial_at_least: None,
    }
}
