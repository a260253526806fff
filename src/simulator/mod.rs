//! An Azure Resource Manager that behaves like the real one.
//!
//! There is no public emulator of ARM, and the interesting moments (an endpoint that is `Updating`
//! with an empty `customDnsConfigs`, a member that is required but has no address yet, a 404 that
//! does not mean "deleted") cannot be had from Azure on demand. So tests, benchmarks and the demo
//! talk to this server over real HTTP. It stands in for the service only: nothing in the daemon
//! knows that it is being simulated.
//!
//! Nothing here moves by itself: what Azure does with delay is a verb of [`World`] that the caller
//! invokes ([`World::scale_out`], later [`World::settle`]). Payloads and errors follow recordings of
//! live traffic from 2022 and 2025 and the REST specification.

mod connection;
mod errors;
mod expect;
mod faults;
mod payloads;
mod reply;
mod requests;
mod routes;
pub mod script;
mod target;
mod throttle;
mod token;
mod verbs;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use expect::Record;
pub use faults::{Fault, FaultRule, Faults, RuleId};
pub use requests::{Operation, RequestLog, RequestRecord};
pub use throttle::Throttle;
pub use token::Tokens;
pub use verbs::VerbError;
pub use world::{
    Application, ApplicationOptions, Approval, ConnectionStatus, Endpoint, EndpointOptions, Flavour,
    Interface, IpConfiguration, Member, MemberKind, ProvisioningState, RawReply, World, ZoneCoverage,
    ZoneGroup,
};

use crate::wire::exchange::reachable;
use connection::{ConnectionHandle, Listening};

/// A running simulator. Dropping it closes the listener and resets every connection.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    world: WorldHandle,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Listens on `listen` (port 0 takes a free one) and serves an empty world.
    ///
    /// The task that serves runs on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(listen).await?;
        let address = reachable(tcp.local_addr()?);
        let world = WorldHandle(Arc::new(Shared {
            world: Mutex::new(World::new(1)),
            requests: RequestLog::default(),
            site: Site::of(address),
        }));
        let stop = CancellationToken::new();
        let router = Router::new().fallback(routes::serve).with_state(world.clone());
        let service = router.into_make_service_with_connect_info::<ConnectionHandle>();
        let listening = Listening::new(tcp, stop.clone());
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            // axum::serve never fails: accept errors are retried inside.
            let _ = axum::serve(listening, service).with_graceful_shutdown(stopped).await;
        });
        Ok(Self { address, world, stop, server })
    }

    /// The address to connect to; a wildcard that was listened on is given as loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address:port`, without a trailing slash: the endpoint of resource manager.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.world.0.site.base_url
    }

    /// URL of the managed identity's token endpoint, for the variable `IDENTITY_ENDPOINT`. The
    /// secret for `IDENTITY_HEADER` is [`Tokens::identity_header`].
    #[must_use]
    pub fn identity_endpoint(&self) -> String {
        format!("{}{}", self.base_url(), token::PATH)
    }

    /// What is being served.
    #[must_use]
    pub fn world(&self) -> &WorldHandle {
        &self.world
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        self.world.requests()
    }

    /// Stops, and returns when the listener and all connections are closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A server task that panicked has nothing left to close.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A shared handle on the [`World`]; clones see the same world.
#[derive(Debug, Clone)]
pub struct WorldHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    requests: RequestLog,
    site: Site,
}

impl WorldHandle {
    /// Looks at or changes the world; no request is answered meanwhile.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        // A closure that panicked is a test that failed; the others may go on.
        act(&mut self.0.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }

    fn site(&self) -> &Site {
        &self.0.site
    }

    /// A world without a server, for simulations inside one process.
    #[cfg(test)]
    pub(crate) fn detached(world: World) -> Self {
        let site = Site::of(SocketAddr::from(([127, 0, 0, 1], 1)));
        Self(Arc::new(Shared { world: Mutex::new(world), requests: RequestLog::default(), site }))
    }

    /// The answer to a read, at once; nothing when the connection would break or hang.
    #[cfg(test)]
    pub(crate) fn read(
        &self,
        url: &reqwest::Url,
        headers: &axum::http::HeaderMap,
        now: jiff::Timestamp,
    ) -> Option<axum::http::Response<Vec<u8>>> {
        routes::read_inside(self, url, headers, now)
    }
}

/// Where the simulator is found, under its own name and under one that no client may trust.
#[derive(Debug)]
struct Site {
    base_url: String,
    /// The same server under a host name that is not that of `base_url`, so that a client that
    /// follows a link there shows up in the request log.
    foreign_url: String,
}

impl Site {
    fn of(address: SocketAddr) -> Self {
        Self {
            base_url: format!("http://{address}"),
            foreign_url: format!("http://localhost:{}", address.port()),
        }
    }
}

#[cfg(test)]
mod tests;
