//! Asks Azure: first what it tells everybody, then for a token, then for everything that a poll reads.
//!
//! In this order because each explains the next: without a way to Azure there is no token, and without
//! a token no read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;

use super::report::{Found, Report};
use crate::azure::{Azure, Reading, SetupError, Subscription};
use crate::config::Config;
use crate::zones::ResourceId;

/// Questions to Azure at a time; few enough for a machine that shares its way with others.
const PARALLEL: usize = 4;

/// Checks what the configuration needs of Azure.
pub(super) async fn check(config: &Config) -> Result<Report, SetupError> {
    let azure = Azure::new(&config.azure, Arc::new(()))?;
    let mut found = Found::default();
    let ids = config.applications.iter().map(ResourceId::subscription);
    let ids = ids.chain(config.discoveries.iter().map(|discovery| discovery.subscription.as_str()));
    let ids: BTreeSet<String> = ids.map(str::to_ascii_lowercase).collect();
    let probes = iter(ids).map(async |id| {
        let probe = azure.probe(&id).await;
        (id, probe)
    });
    found.probes = probes.buffered(PARALLEL).collect::<BTreeMap<_, _>>().await;
    let is_unreachable =
        |probe: &crate::azure::Probe| matches!(probe.subscription, Subscription::Unreachable(_));
    if found.probes.values().all(is_unreachable) {
        return Ok(Report::new(config, found));
    }

    found.token = Some(match azure.check_credential().await {
        Ok(()) => Ok(azure.token_expiry()),
        Err(error) => Err(error),
    });
    if matches!(found.token, Some(Err(_))) {
        return Ok(Report::new(config, found));
    }

    let listed = iter(&config.discoveries).map(|discovery| azure.check_discovery(discovery));
    let listed: Vec<(Reading, BTreeSet<ResourceId>)> = listed.buffered(PARALLEL).collect().await;
    let mut applications: Vec<ResourceId> = config.applications.clone();
    for (reading, taken) in listed {
        found.discoveries.push((reading, taken.len()));
        let new = taken.into_iter().filter(|id| !applications.contains(id)).collect::<Vec<_>>();
        applications.extend(new);
    }
    let readings = iter(&applications).map(|application| azure.check(application));
    found.applications = readings.buffered(PARALLEL).collect().await;
    Ok(Report::new(config, found))
}
