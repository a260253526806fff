//! What the engine shows to everybody else: answers, transfers and targets, and the view.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::outside;
use crate::propagation::Place;
use crate::serve::{Context, Image, Serving, Source};
use crate::sync::view::View;
use crate::zones::{Finding, FindingKind};

impl Engine {
    /// Compiles the generation and lets every answer from now on come from it. Without a generation
    /// the image stays, but who may ask and the limits are those of the configuration.
    pub(super) async fn serve(&self) -> Result<(), EngineError> {
        let before = self.serving.load_full();
        let mut source = self.source();
        let mut answered = None;
        let image = match self.book.generation().cloned() {
            None => before.image.clone(),
            Some(generation) => {
                let number = generation.number;
                self.statistics.zones(generation.shares.values().flat_map(|share| &share.zones));
                let (counters, context) = (self.counters.clone(), self.context());
                let compile = move || Image::compile(&generation, context, &counters);
                match outside::blocking(compile).await? {
                    Ok(image) => {
                        image.carry_leaks(&before.image.leaks());
                        answered = Some(number);
                        Arc::new(image)
                    }
                    Err(error) => {
                        // Only a generation beyond any Azure limit comes here; the one before is served.
                        tracing::error!(%error, "the generation cannot be served");
                        source = before.source.clone();
                        before.image.clone()
                    }
                }
            }
        };
        let recursion = self.recursion.clone();
        let mut serving = Serving::new(image, &self.config.dns, recursion, Some(before.limiter.clone()));
        serving.transfers = self.transfers.clone();
        serving.source = source.clone();
        self.serving.store(Arc::new(serving));
        if let Some(number) = answered {
            self.propagation.reached(&Place::Answer, number);
        }
        if let Some(source) = source {
            self.secondaries.publish(source.generation.clone());
            self.targets.publish(source.generation.clone());
        }
        Ok(())
    }

    /// What transfers are made from. Before every application was read once there is none: a secondary
    /// would lose the names of those that are missing.
    pub(super) fn source(&self) -> Option<Arc<Source>> {
        let generation = self.book.generation().filter(|_| self.book.is_released())?.clone();
        Some(Arc::new(Source { generation, history: self.book.history() }))
    }

    /// What the image has to know beside the generation.
    pub(super) fn context(&self) -> Context {
        let resolver = self.config.resolver.as_ref();
        Context {
            complete: self.book.is_complete(),
            resolver: resolver.is_some(),
            fallback: resolver.is_some_and(|resolver| resolver.fallback),
            expected: if resolver.is_some() { self.book.expected() } else { BTreeSet::new() },
        }
    }

    /// Looks at what changes between events.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        let leaks = self.serving.load().image.leaks();
        let secondaries = self.secondaries.findings(now);
        if self.book.stale(now) != self.view.borrow().stale
            || leaks != self.leaks
            || secondaries != self.secondary_findings
            || self.targets.findings() != self.target_findings
            || self.verify.findings() != self.verify_findings
        {
            self.leaks = leaks;
            self.publish(now);
        }
    }

    /// Shows the state to everybody else.
    pub(super) fn publish(&mut self, now: Timestamp) {
        let stale = self.book.stale(now);
        self.serving.load().image.mark_stale(&stale);
        let mut findings = self.book.findings(now);
        if let Some(generation) = self.book.generation() {
            self.verify.publish(generation.clone(), &findings);
        }
        findings.extend(self.standing.values().cloned());
        findings.extend(self.serving.load().image.leaks().into_keys().map(|member| {
            Finding::global(
                FindingKind::PrivateNameLeaked,
                member,
                "A client asked for this required member, which has no address yet, and got what public DNS says: \
                 it may have connected to a public endpoint, or have been refused there. See \
                 member-without-address; it is over when the member has an address.",
            )
        }));
        self.secondary_findings = self.secondaries.findings(now);
        findings.extend(self.secondary_findings.iter().cloned());
        self.target_findings = self.targets.findings();
        findings.extend(self.target_findings.iter().cloned());
        self.verify_findings = self.verify.findings();
        findings.extend(self.verify_findings.iter().cloned());
        findings.sort_by_key(|f| f.kind.severity());
        self.log.update(&findings);
        let started = self.view.borrow().started;
        self.view.send_replace(Arc::new(View {
            started,
            at: now,
            generation: self.book.generation().cloned(),
            history: self.book.history(),
            applications: self.book.reports().clone(),
            holds: self.book.holds(),
            findings,
            complete: self.book.is_complete(),
            released: self.book.is_released(),
            stale,
            configuration: self.configuration,
            token_expiry: self.azure.token_expiry(),
        }));
    }
}
