//! File descriptors: as many as the system gives, and no more TCP connections than these allow.
//!
//! The usual soft limit, 1024, is the default of `tcp_connections`: at the limit nothing else could
//! be opened any more, neither a connection to Azure nor the state file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Dns;

/// What everything but TCP connections may need.
const OTHERS: u64 = 128;

/// Raises the soft limit to the hard one.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(from = ?current, to = ?maximum, "the limit of open files is raised"),
        Err(error) => tracing::debug!(limit = ?current, %error, "the limit of open files cannot be raised"),
    }
}

/// Lowers `tcp_connections` to what the limit allows.
pub(super) fn fit(dns: &mut Dns) {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return };
    let most = usize::try_from(limit.saturating_sub(OTHERS).max(1)).unwrap_or(usize::MAX);
    if dns.tcp_connections > most {
        tracing::warn!(
            configured = dns.tcp_connections,
            allowed = most,
            limit,
            "too few open files are allowed for dns.tcp_connections: raise the limit (LimitNOFILE= of systemd, \
             ulimit -n) or lower the number"
        );
        dns.tcp_connections = most;
        dns.tcp_connections_per_client = dns.tcp_connections_per_client.min(most);
    }
}
