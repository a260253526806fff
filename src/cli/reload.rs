//! Reloading: a new configuration is taken as a whole or not at all.
//!
//! Everything that can fail is tried first: the file is checked, the client for Azure is made, the
//! new listeners are opened. Only then does anything change, so listeners, metrics and answers
//! survive a wrong file.

use std::path::Path;
use std::sync::Arc;

use super::logging::Filter;
use super::{Failure, descriptors};
use crate::azure::{Azure, Observer};
use crate::config::Config;
use crate::serve::{Listeners, Recursion, ResolverMetrics, Secondaries, Transfers};
use crate::sync::{Command, Handle};
use crate::targets::{Surroundings, Targets};
use crate::verify::{Prepared, Verify};

/// What a reload works with.
pub(super) struct Reloader<'a> {
    pub(super) file: &'a Path,
    pub(super) engine: &'a Handle,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) resolver_metrics: &'a ResolverMetrics,
    pub(super) secondaries: &'a Secondaries,
    pub(super) targets: &'a Targets,
    pub(super) verify: &'a Verify,
    pub(super) filter: &'a Filter,
    /// The sockets came from systemd; the configured addresses are not used.
    pub(super) passed: bool,
}

impl Reloader<'_> {
    /// Loads the file anew and takes it, or says why not and keeps everything.
    pub(super) async fn reload(
        &self,
        current: &mut Arc<Config>,
        (azure, recursion): (&mut Arc<Azure>, &mut Option<Recursion>),
        listeners: &mut Listeners,
    ) -> Result<(), Failure> {
        match self.prepare(current, azure, recursion, listeners).await {
            Ok((config, client, resolver, transfers, (surroundings, prepared))) => {
                self.filter.set(&config.log);
                if let Some(before) = recursion {
                    before.retire(resolver.as_ref(), self.resolver_metrics);
                }
                (*current, *azure, *recursion) = (config.clone(), client.clone(), resolver.clone());
                let transfers = Arc::new(transfers);
                let clients = (resolver, transfers.clone());
                self.engine.ask(|reply| Command::Reload(config, client, clients, reply)).await?;
                self.secondaries.configure(&current.transfer, &transfers).await;
                self.targets.configure(&current.targets, &surroundings).await;
                self.verify.configure(prepared, listeners.addresses()).await;
                tracing::info!(file = %self.file.display(), "configuration reloaded");
            }
            Err(error) => {
                tracing::error!("the reload is refused, the configuration before it stays in force: {error}");
                self.engine.send(Command::ReloadRefused(error.to_string())).await?;
            }
        }
        Ok(())
    }

    /// Everything that can fail.
    async fn prepare(
        &self,
        current: &Config,
        azure: &Arc<Azure>,
        recursion: &Option<Recursion>,
        listeners: &mut Listeners,
    ) -> Result<(Arc<Config>, Arc<Azure>, Option<Recursion>, Transfers, (Surroundings, Prepared)), Failure>
    {
        let file = self.file.to_owned();
        let mut config = tokio::task::spawn_blocking(move || Config::load(&file)).await??.config;
        descriptors::fit(&mut config.dns);
        if config.admin_listen != current.admin_listen {
            return Err("admin.listen can only be changed by a restart".into());
        }
        if config.state_directory != current.state_directory {
            return Err("state.directory can only be changed by a restart".into());
        }
        if config.dns.udp_threads != current.dns.udp_threads {
            return Err("dns.udp_threads can only be changed by a restart".into());
        }
        if config.log.json != current.log.json {
            return Err("log.format can only be changed by a restart".into());
        }
        // Reads the CA file and sets up TLS, neither of which may hold up the runtime.
        let making = {
            let (azure, config, observer) = (azure.clone(), config.azure.clone(), self.observer.clone());
            move || azure.reconfigured(&config, observer)
        };
        let client = Arc::new(tokio::task::spawn_blocking(making).await??);
        // A resolver of the same settings keeps its cache.
        let resolver = Recursion::new(config.resolver.as_ref(), self.resolver_metrics, recursion.as_ref())?;
        // Both read key files.
        let reading = {
            let (config, records) = (config.clone(), self.secondaries.records());
            move || {
                Ok::<_, Failure>((Transfers::new(&config.transfer, records)?, Surroundings::new(&config)?))
            }
        };
        let (transfers, surroundings) = tokio::task::spawn_blocking(reading).await??;
        let config = Arc::new(config);
        let prepared = Prepared::new(config.clone()).await?;
        listeners.encrypt(config.dns.tls.as_ref())?;
        if !self.passed
            && let Err(error) = listeners.listen(&config.dns.listen, config.dns.udp_threads).await
        {
            listeners.encrypt(current.dns.tls.as_ref())?;
            return Err(error.into());
        }
        Ok((config, client, resolver, transfers, (surroundings, prepared)))
    }
}
