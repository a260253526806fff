//! The validated configuration as the rest of the daemon sees it.
//!
//! Apart from the file format on purpose: the format is versioned and may change, these types
//! follow the code. Every value here has been checked; nobody validates it again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::verify::Verify;
use crate::zones::{DnsName, GuardPolicy, Prefix, Publication, ResourceId, same_name};

/// Everything that the daemon is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How Azure is reached.
    pub azure: Azure,
    /// The applications named one by one; each id once.
    pub applications: Vec<ResourceId>,
    /// Where applications are looked for.
    pub discoveries: Vec<Discovery>,
    /// When removals are believed.
    pub guard: GuardPolicy,
    /// Which zones are made of the names.
    pub publication: Publication,
    /// How DNS is answered.
    pub dns: Dns,
    /// How public DNS is asked; nothing when the daemon is no resolver.
    pub resolver: Option<Resolver>,
    /// Who takes the zones over.
    pub transfer: Transfer,
    /// What is kept in step by writing to it; names are unique, at most 64.
    pub targets: Vec<Target>,
    /// What the daemon looks at by itself.
    pub verify: Verify,
    /// The listener for metrics, health and the API.
    pub admin_listen: SocketAddr,
    /// Where accepted generations are kept.
    pub state_directory: PathBuf,
    /// How the daemon logs.
    pub log: Log,
}

/// How Azure is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// The cloud's endpoints.
    pub cloud: Cloud,
    /// Who asks.
    pub credential: Credential,
    /// PEM file with certificates of authorities trusted beside the system's own.
    pub ca_file: Option<PathBuf>,
    /// Time between two polls of an application, before jitter; 1 s to 1 h.
    pub poll_interval: Duration,
    /// Limit of one request, from connecting to the last byte of the body; 1 s to 5 min.
    pub request_timeout: Duration,
}

/// The endpoints of an Azure cloud; base URLs without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// Azure Resource Manager. `https`, or `http` to a loopback address only.
    pub resource_manager: String,
    /// Microsoft Entra; always `https`, and without a path.
    pub authority: String,
    /// The audience of tokens, without `/.default`.
    pub audience: String,
}

impl Cloud {
    /// Azure public cloud.
    #[must_use]
    pub fn public() -> Self {
        Self::of("https://management.azure.com", "https://login.microsoftonline.com")
    }

    /// Azure Government.
    #[must_use]
    pub fn us_government() -> Self {
        Self::of("https://management.usgovcloudapi.net", "https://login.microsoftonline.us")
    }

    /// Azure operated by 21Vianet.
    #[must_use]
    pub fn china() -> Self {
        Self::of("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn")
    }

    fn of(resource_manager: &str, authority: &str) -> Self {
        Self {
            resource_manager: resource_manager.to_owned(),
            authority: authority.to_owned(),
            audience: resource_manager.to_owned(),
        }
    }
}

/// Who asks Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Managed identity of the virtual machine (IMDS) or of App Service.
    ManagedIdentity {
        /// The user-assigned identity; the system-assigned one when absent.
        identity: Option<UserAssigned>,
    },
    /// Managed identity of an Azure Arc server; always the system-assigned one.
    Arc,
    /// Workload identity federation; what is absent comes from the `AZURE_…` environment variables.
    WorkloadIdentity {
        /// Tenant id.
        tenant_id: Option<String>,
        /// Client id.
        client_id: Option<String>,
        /// File with the federated token.
        token_file: Option<PathBuf>,
    },
    /// A service principal with a secret, read anew from the file for every token.
    ClientSecret {
        /// Tenant id.
        tenant_id: String,
        /// Client id.
        client_id: String,
        /// File with nothing but the secret.
        secret_file: PathBuf,
    },
    /// A service principal with a certificate.
    ClientCertificate {
        /// Tenant id.
        tenant_id: String,
        /// Client id.
        client_id: String,
        /// PEM file with the certificate (and its chain).
        certificate_file: PathBuf,
        /// PEM file with the RSA private key (PKCS #8); may be the same file.
        key_file: PathBuf,
    },
    /// The account that `az login` left; for trying things out.
    AzureCli,
}

/// Names a user-assigned managed identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAssigned {
    /// By client id.
    ClientId(String),
    /// By object id.
    ObjectId(String),
    /// By resource id.
    ResourceId(String),
}

/// A scope whose IoT Central applications are all taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The subscription's id.
    pub subscription: String,
    /// Only this resource group.
    pub resource_group: Option<String>,
    /// Only applications with this tag: name, and value when given. Names are compared without
    /// case, values with.
    pub tag: Option<(String, Option<String>)>,
}

impl Discovery {
    /// Whether an application's tags are those that the discovery asks for.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        self.tag.as_ref().is_none_or(|(name, value)| {
            tags.iter()
                .any(|(n, v)| n.eq_ignore_ascii_case(name) && value.as_ref().is_none_or(|value| value == v))
        })
    }

    /// Whether the application lies in the scope; its tags are not looked at.
    #[must_use]
    pub fn covers(&self, application: &ResourceId) -> bool {
        application.subscription().eq_ignore_ascii_case(&self.subscription)
            && self
                .resource_group
                .as_ref()
                .is_none_or(|group| application.resource_group().is_some_and(|g| same_name(g, group)))
    }
}

/// How DNS is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// UDP and TCP listen on each of them; no wildcard beside a single address of the same port.
    pub listen: Vec<SocketAddr>,
    /// Who may ask; anybody else is refused.
    pub allow_query: Vec<Prefix>,
    /// UDP sockets, each with a thread, per address; 0 means one per core.
    pub udp_threads: usize,
    /// TCP connections at a time.
    pub tcp_connections: usize,
    /// TCP connections at a time of one client address.
    pub tcp_connections_per_client: usize,
    /// How long a TCP connection may be silent, or take to accept an answer.
    pub tcp_idle_timeout: Duration,
    /// Limits on UDP responses per client network.
    pub rate_limit: RateLimit,
    /// Answers are marked stale when an application had no complete poll for this long.
    pub stale_after: Duration,
    /// The encrypted listeners; nothing without a certificate.
    pub tls: Option<Tls>,
}

/// The encrypted listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    pub certificate_file: PathBuf,
    /// PEM file with the private key; may be the same file.
    pub key_file: PathBuf,
    /// Where DNS over TLS is answered (RFC 7858).
    pub listen: Vec<SocketAddr>,
    /// Where DNS over HTTPS is answered (RFC 8484), HTTP/2.
    pub https_listen: Vec<SocketAddr>,
    /// The path of DNS over HTTPS.
    pub https_path: String,
}

/// How public DNS is asked for names that are not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// The servers that are asked; 1 to 16.
    pub upstreams: Vec<Upstream>,
    /// Ask the first three at once, instead of one after the other.
    pub race: bool,
    /// Who may ask for names of public DNS; anybody else is refused.
    pub allow: Vec<Prefix>,
    /// A name that is missing in a zone of ours is asked of public DNS too, instead of being denied.
    pub fallback: bool,
    /// The longest time for a query, all upstreams and attempts included; 100 ms to 30 s.
    pub timeout: Duration,
    /// Queries that may be under way at the upstreams.
    pub max_in_flight: usize,
    /// Memory for cached answers, in octets.
    pub cache_bytes: usize,
    /// The longest time that an answer is cached.
    pub max_ttl: Duration,
    /// The longest time that a denial is cached (RFC 2308 section 5).
    pub max_negative_ttl: Duration,
    /// PEM file with certificates of authorities trusted for upstreams beside the system's own.
    pub ca_file: Option<PathBuf>,
}

/// A server that knows public DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// How it is asked.
    pub transport: UpstreamTransport,
}

/// How an upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamTransport {
    /// Datagrams; TCP for answers that do not fit.
    Udp,
    /// A TCP connection for each query.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls {
        /// The name in its certificate.
        server_name: String,
    },
    /// DNS over HTTPS (RFC 8484), HTTP/2.
    Https {
        /// The name in its certificate.
        server_name: String,
        /// The path of its service.
        path: String,
    },
}

/// Who takes the zones over, and when that is late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Files with TSIG keys.
    pub key_files: Vec<PathBuf>,
    /// How long a secondary may lack a change before it is a finding; 1 s to 1 d.
    pub lag_limit: Duration,
    /// Who they are; names are unique, at most 64.
    pub secondaries: Vec<Secondary>,
}

/// A server that transfers the zones from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// What it is called in metrics and logs.
    pub name: String,
    /// Where it takes NOTIFY; its transfers come from this address, and from any port.
    pub address: SocketAddr,
    /// The address that NOTIFY and questions to it come from; the system chooses where there is none.
    pub source: Option<IpAddr>,
    /// The name of its TSIG key.
    pub key: Option<DnsName>,
    /// What allows it to transfer. With a key in it, there is a key.
    pub access: Access,
    /// How it is notified. When signed, there is a key.
    pub notification: Notification,
}

/// What allows a client to transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The TSIG key of the secondary.
    Key,
    /// Its address.
    Address,
    /// Either of them.
    KeyOrAddress,
    /// Both of them.
    KeyAndAddress,
}

/// How a secondary is told of changes (RFC 1996).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// With TSIG.
    Signed,
    /// Without.
    Unsigned,
    /// Not at all.
    Off,
}

/// Something that is kept in step by writing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is called in metrics and logs.
    pub name: String,
    /// Tell what would be written, and write nothing.
    pub dry_run: bool,
    /// What it is.
    pub kind: TargetKind,
}

/// What a target is. Paths are absolute, and no two targets have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A block in a hosts file.
    Hosts {
        /// The file.
        path: PathBuf,
        /// Write into the file where it cannot be replaced, which is not atomic.
        in_place: bool,
    },
    /// A zone file for each zone, `ORIGIN.zone`.
    ZoneFiles {
        /// Where they are.
        directory: PathBuf,
        /// What makes a server read them.
        reload: Option<TargetReload>,
    },
    /// Records at a server that stays primary.
    Rfc2136(Rfc2136),
    /// The policy zone as a zone file.
    RpzFile {
        /// The file.
        path: PathBuf,
        /// The policy zone, which is that of the publication.
        origin: DnsName,
        /// What makes a server read it.
        reload: Option<TargetReload>,
    },
}

/// A server that stays primary and takes updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfc2136 {
    /// The servers, at least one and at most 16.
    pub servers: Vec<SocketAddr>,
    /// Which of them are written to.
    pub mode: ServerMode,
    /// Small updates go over UDP.
    pub udp: bool,
    /// The name of the TSIG key that signs; it is in one of the key files of `[transfer]`.
    pub key: Option<DnsName>,
    /// The Kerberos account that signs (GSS-TSIG); never with a TSIG key.
    pub kerberos: Option<Kerberos>,
    /// The zones that may be written to; all that the server has when there is none.
    pub zones: Vec<DnsName>,
    /// Foreign records at our names are replaced instead of reported.
    pub take_over: bool,
    /// How often the server is asked for every record of ours; 10 s to 1 day.
    pub check_interval: Duration,
    /// Updates go to the server that a zone's SOA names.
    pub find_primary: bool,
    /// How often records that do not change are written again; 1 hour to 30 days.
    pub refresh: Option<Duration>,
}

/// A Kerberos account, and the service that it talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kerberos {
    /// Who the daemon is.
    pub identity: KerberosIdentity,
    /// The host of the service `DNS/HOST`; the primary that a zone's SOA names when there is none.
    pub service: Option<DnsName>,
}

/// Where a Kerberos identity comes from; paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KerberosIdentity {
    /// Keys of an account, `name@REALM`.
    Keytab {
        /// The keytab.
        path: PathBuf,
        /// The account.
        principal: String,
    },
    /// A cache of tickets that something else keeps fresh.
    Ccache(PathBuf),
    /// The password of an account, `name@REALM`.
    Password {
        /// A file with the password.
        file: PathBuf,
        /// The account.
        principal: String,
    },
}

/// Which of several servers are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerMode {
    /// Each, as they know nothing of each other.
    All,
    /// The first that can be reached, as all hold the same.
    Failover,
}

/// A command that makes a server read its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetReload {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// How long it may take; 1 s to 5 min.
    pub timeout: Duration,
}

/// Response rate limiting of UDP, per client network; loopback is never limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Responses per second and network; 0 turns the limit off.
    pub responses_per_second: u32,
    /// Every how many-th response over the limit goes out, truncated, so that real clients come
    /// back over TCP; 1 means each, 0 none.
    pub slip: u32,
    /// Length of the prefix that makes an IPv4 network; 1 to 32.
    pub ipv4_prefix: u8,
    /// Length of the prefix that makes an IPv6 network; 1 to 128.
    pub ipv6_prefix: u8,
}

/// How the daemon logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON lines.
    pub json: bool,
    /// A level, or directives of `tracing`'s filter such as `info,privatelink_dns::azure=debug`.
    pub filter: String,
}
