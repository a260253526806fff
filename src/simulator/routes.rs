//! From an HTTP request to its answer.
//!
//! [`answer`] is pure but for the random ids: it sees the world, the request and the time. Around
//! it, [`serve`] takes the request apart, logs it and sends.

use std::time::Instant;

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::connection::ConnectionHandle;
use super::errors::ArmError;
use super::faults::{Asked, with_skip};
use super::reply::{Delivery, Reply};
use super::target::Target;
use super::verbs::guid;
use super::{
    Application, Endpoint, Fault, Operation, RawReply, RequestRecord, Site, World, WorldHandle, payloads,
    token,
};
use crate::zones::{ResourceId, same_name};

/// `x-ms-ratelimit-remaining-subscription-global-reads` while nothing is limited, as recorded.
const REMAINING_READS: u32 = 16_499;

/// What of a request matters.
struct Ask<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    pairs: Vec<(String, String)>,
    authorization: Option<&'a str>,
    identity_header: Option<&'a str>,
    now: Timestamp,
    instant: Instant,
    site: &'a Site,
}

impl Ask<'_> {
    /// A query parameter; ARM compares names without case.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What to answer, and what the log keeps of it.
struct Answer {
    reply: Reply,
    operation: Option<Operation>,
    fault: Option<Fault>,
}

/// Handles every request.
pub(super) async fn serve(
    State(world): State<WorldHandle>,
    ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
    request: Request,
) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let ask = Ask {
        method: request.method(),
        // Names in other scripts than ASCII come percent-encoded.
        path: &percent_decode_str(uri.path()).decode_utf8_lossy(),
        query: uri.query().unwrap_or_default(),
        // A query that is none has no parameters.
        pairs: Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default(),
        authorization: header(headers, "authorization"),
        identity_header: header(headers, "x-identity-header"),
        now: Timestamp::now(),
        instant: Instant::now(),
        site: world.site(),
    };
    let (Answer { mut reply, operation, fault }, clock) =
        world.with(|world| (answer(world, &ask), ask.now + world.clock_ahead));
    reply.headers.push(("date", clock.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    let correlation_id = identify(&mut reply, headers, ask.now);
    world.requests().add(RequestRecord {
        sequence: 0,
        method: ask.method.to_string(),
        path: ask.path.to_owned(),
        query: ask.query.to_owned(),
        host: header(headers, "host").unwrap_or_default().to_owned(),
        authorized: ask.authorization.is_some(),
        operation,
        status: (reply.delivery != Delivery::Never).then_some(reply.status),
        correlation_id,
        fault,
    });
    reply.send(&connection).await
}

/// What [`serve`] would send, without a connection.
#[cfg(test)]
pub(super) fn read_inside(
    world: &WorldHandle,
    url: &reqwest::Url,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<axum::http::Response<Vec<u8>>> {
    let ask = Ask {
        method: &Method::GET,
        path: &percent_decode_str(url.path()).decode_utf8_lossy(),
        query: url.query().unwrap_or_default(),
        pairs: url.query_pairs().into_owned().collect(),
        authorization: header(headers, "authorization"),
        identity_header: None,
        now,
        instant: Instant::now(),
        site: world.site(),
    };
    let Answer { reply, .. } = world.with(|world| answer(world, &ask));
    if reply.delivery != Delivery::Whole {
        return None;
    }
    let mut response = axum::http::Response::builder().status(reply.status);
    response = response.header("content-type", &reply.content_type);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    Some(response.body(reply.body).expect("a response"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Adds the ids that every answer of ARM has; returns the correlation id.
fn identify(reply: &mut Reply, headers: &HeaderMap, now: Timestamp) -> String {
    let mut random = fastrand::Rng::new();
    let (request, correlation) = (guid(&mut random), guid(&mut random));
    let routing = format!("WESTEUROPE:{}:{}", now.strftime("%Y%m%dT%H%M%SZ"), guid(&mut random));
    reply.headers.extend([
        ("x-ms-request-id", request),
        ("x-ms-correlation-request-id", correlation.clone()),
        ("x-ms-routing-request-id", routing),
    ]);
    let wanted = header(headers, "x-ms-return-client-request-id");
    if wanted.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && let Some(id) = header(headers, "x-ms-client-request-id")
    {
        reply.headers.push(("x-ms-client-request-id", id.to_owned()));
    }
    correlation
}

/// Decides what to answer.
fn answer(world: &mut World, ask: &Ask<'_>) -> Answer {
    let for_token = ask.path.eq_ignore_ascii_case(token::PATH);
    let target = Target::parse(ask.path);
    let operation = if for_token { Some(Operation::Token) } else { target.as_ref().map(Target::operation) };
    let rule = operation.and_then(|operation| world.faults.take(operation, ask.path));
    let fault = rule.as_ref().map(|rule| rule.fault);
    let mut normal = || {
        if for_token { issue(world, ask) } else { read(world, ask, target.as_ref()) }
    };
    let reply = match (operation, rule) {
        (Some(operation), Some(rule)) => {
            let asked = Asked {
                operation,
                path: ask.path,
                query: ask.query,
                version: ask.parameter("api-version").unwrap_or_default(),
                subscription: target.as_ref().map_or("", Target::subscription),
                group: target.as_ref().and_then(Target::group).unwrap_or_default(),
                retry_after: rule.retry_after,
                site: ask.site,
            };
            rule.fault.apply(&asked, normal)
        }
        _ => normal(),
    };
    Answer { reply, operation, fault }
}

fn issue(world: &mut World, ask: &Ask<'_>) -> Reply {
    if ask.method != Method::GET {
        return token::refusal(405, "Only GET is served.");
    }
    world.tokens.issue(ask.identity_header, &ask.pairs, ask.now, &mut world.random)
}

/// A read of ARM without injected faults.
fn read(world: &mut World, ask: &Ask<'_>, target: Option<&Target>) -> Reply {
    let subscription = target.map_or("", Target::subscription);
    if ask.authorization.is_none()
        && let Some(error) = stranger(world, ask.path)
    {
        return error.reply();
    }
    let remaining = match world.tokens.check(ask.authorization, ask.now) {
        Err(error) => return error.reply(),
        Ok(()) => world.throttle.as_mut().map_or(Ok(REMAINING_READS), |limit| limit.take(ask.instant)),
    };
    let remaining = match remaining {
        Err(seconds) => return ArmError::throttled(subscription, seconds).reply(),
        Ok(remaining) => remaining.to_string(),
    };
    let reply = resource(world, ask, target).unwrap_or_else(|error| error.reply());
    reply.with("x-ms-ratelimit-remaining-subscription-global-reads", remaining)
}

/// What a request for a subscription without a token is told of subscriptions that do not exist; of
/// others the tenant is in the challenge (as packer and Microsoft's EventHubs library expect).
fn stranger(world: &World, path: &str) -> Option<ArmError> {
    let subscription = path.strip_prefix("/subscriptions/").filter(|rest| !rest.contains('/'))?;
    let is_known = world.groups.iter().any(|(known, _)| known.eq_ignore_ascii_case(subscription));
    (!is_known).then(|| ArmError::subscription_not_found(subscription))
}

fn resource(world: &World, ask: &Ask<'_>, target: Option<&Target>) -> Result<Reply, ArmError> {
    if ask.method != Method::GET {
        let text = format!("The HTTP method '{}' is not supported here.", ask.method);
        return Err(ArmError::new(405, "MethodNotAllowed", text));
    }
    if let Some(RawReply { status, content_type, body }) = world.raw.get(&ask.path.to_ascii_lowercase()) {
        return Ok(Reply {
            content_type: content_type.clone(),
            body: body.clone().into_bytes(),
            ..Reply::json(*status, &Value::Null)
        });
    }
    let target = target.ok_or_else(|| {
        let text = "The request did not have a subscription or a valid tenant level resource provider.";
        ArmError::new(404, "MissingSubscription", text)
    })?;
    let private_link = target.check_version(ask.parameter("api-version"))?;
    check_group(world, target)?;
    let reply = render(world, ask, target, private_link)?;
    Ok(if target.is_network() {
        reply
            .with("cache-control", "no-cache")
            .with("x-ms-arm-service-request-id", guid(&mut fastrand::Rng::new()))
    } else {
        reply
            .with("cache-control", "no-store, must-revalidate, no-cache, max-age=0")
            .with("x-iot-correlation", guid(&mut fastrand::Rng::new()))
            .with("x-iot-cluster", "simulator")
            .with("x-iot-version", "1")
    })
}

/// Unknown subscriptions and groups have errors of their own, which do not mean "deleted".
fn check_group(world: &World, target: &Target) -> Result<(), ArmError> {
    let (subscription, group) = (target.subscription(), target.group());
    let lower = subscription.to_ascii_lowercase();
    let mut known = world.groups.iter().filter(|(s, _)| *s == lower).peekable();
    if known.peek().is_none() {
        return Err(ArmError::subscription_not_found(subscription));
    }
    match group {
        Some(group) if !known.any(|(_, g)| same_name(g, group)) => Err(ArmError::group_not_found(group)),
        _ => Ok(()),
    }
}

fn render(world: &World, ask: &Ask<'_>, target: &Target, private_link: bool) -> Result<Reply, ArmError> {
    match target {
        Target::Applications { subscription, group } => {
            let within = |app: &&Application| {
                app.id.subscription().eq_ignore_ascii_case(subscription)
                    && group
                        .as_ref()
                        .is_none_or(|group| app.id.resource_group().is_some_and(|own| same_name(own, group)))
            };
            let apps = world.applications.values().filter(within);
            let items = apps.map(|app| payloads::application(app, &endpoints(world, app), private_link));
            page(world, ask, items.collect())
        }
        Target::Application(id) => {
            let app = application(world, id)?;
            let value = payloads::application(app, &endpoints(world, app), private_link);
            Ok(Reply::json(200, &value).with("etag", payloads::etag(&app.etag)))
        }
        Target::LinkResources(id, None) => {
            let item = payloads::link_resource(application(world, id)?);
            Ok(Reply::json(200, &payloads::list(vec![item], None)))
        }
        Target::LinkResources(id, Some(group)) => {
            let app = application(world, id)?;
            if !group.eq_ignore_ascii_case("iotApp") {
                return Err(nested_not_found("Microsoft.IoTCentral/IoTApps/privateLinkResources", id, group));
            }
            Ok(Reply::json(200, &payloads::link_resource(app)))
        }
        Target::Connections(id, None) => {
            let app = application(world, id)?;
            let endpoints = endpoints(world, app);
            let items = payloads::listed(&endpoints).map(|e| payloads::connection(app, e)).collect();
            Ok(Reply::json(200, &payloads::list(items, None)))
        }
        Target::Connections(id, Some(name)) => {
            let app = application(world, id)?;
            let endpoints = endpoints(world, app);
            let found = payloads::listed(&endpoints).find(|e| e.connection_name.eq_ignore_ascii_case(name));
            let kind = "Microsoft.IoTCentral/IoTApps/privateEndpointConnections";
            let found = found.ok_or_else(|| nested_not_found(kind, id, name))?;
            Ok(Reply::json(200, &payloads::connection(app, found)))
        }
        Target::Endpoint(id) => {
            let endpoint = endpoint(world, id)?;
            Ok(Reply::json(200, &payloads::endpoint(endpoint)).with("etag", payloads::etag(&endpoint.etag)))
        }
        Target::Interface(id) => {
            let owner = world.endpoints.values().find(|endpoint| endpoint.interface.id == *id);
            let owner = owner.ok_or_else(|| ArmError::id_not_found(id))?;
            let etag = payloads::etag(&owner.interface.etag);
            Ok(Reply::json(200, &payloads::interface(owner)).with("etag", etag))
        }
        Target::ZoneGroups(id, name) => {
            let endpoint = endpoint(world, id)?;
            let app = world.applications.get(&endpoint.application);
            let groups = endpoint.zone_group.iter();
            match name {
                None => {
                    let items = groups.map(|group| payloads::zone_group(group, endpoint, app));
                    page(world, ask, items.collect())
                }
                Some(name) => {
                    let kind = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups";
                    let mut groups = groups.filter(|group| group.name.eq_ignore_ascii_case(name));
                    let group = groups.next().ok_or_else(|| nested_not_found(kind, id, name))?;
                    let etag = payloads::etag(&group.etag);
                    Ok(Reply::json(200, &payloads::zone_group(group, endpoint, app)).with("etag", etag))
                }
            }
        }
    }
}

fn application<'a>(world: &'a World, id: &ResourceId) -> Result<&'a Application, ArmError> {
    world.applications.get(id).ok_or_else(|| ArmError::id_not_found(id))
}

fn endpoint<'a>(world: &'a World, id: &ResourceId) -> Result<&'a Endpoint, ArmError> {
    world.endpoints.get(id).ok_or_else(|| ArmError::id_not_found(id))
}

fn endpoints<'a>(world: &'a World, app: &Application) -> Vec<&'a Endpoint> {
    world.endpoints_of(&app.id).collect()
}

fn nested_not_found(kind: &str, parent: &ResourceId, name: &str) -> ArmError {
    let name = format!("{}/{name}", parent.name());
    ArmError::resource_not_found(kind, &name, parent.resource_group().unwrap_or_default()).of_service()
}

/// One page of a list, with the URL of the next.
fn page(world: &World, ask: &Ask<'_>, items: Vec<Value>) -> Result<Reply, ArmError> {
    let start = match ask.parameter("$skiptoken").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(start)) => start.min(items.len()),
        Some(Err(_)) => {
            let text = "The page could not be read. Please try again later.";
            return Err(ArmError::new(500, "InternalServerError", text).of_service());
        }
    };
    let total = items.len();
    let size = world.page_size.map_or(total, usize::from);
    let items: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let end = start + items.len();
    let next = (end < total)
        .then(|| format!("{}{}?{}", ask.site.base_url, ask.path, with_skip(ask.query, &end.to_string())));
    Ok(Reply::json(200, &payloads::list(items, next)))
}
