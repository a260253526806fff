//! A Kerberos identity as the configuration, the ledger and the wire have it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{self, KerberosIdentity};
use crate::wire::gss::Credential;
use crate::zones::DnsName;

/// As the ledger has it: where the secret is, not the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kerberos {
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    service: Option<DnsName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Identity {
    Keytab { path: PathBuf, principal: String },
    Ccache(PathBuf),
    Password { file: PathBuf, principal: String },
}

impl From<config::Kerberos> for Kerberos {
    fn from(kerberos: config::Kerberos) -> Self {
        let identity = match kerberos.identity {
            KerberosIdentity::Keytab { path, principal } => Identity::Keytab { path, principal },
            KerberosIdentity::Ccache(path) => Identity::Ccache(path),
            KerberosIdentity::Password { file, principal } => Identity::Password { file, principal },
        };
        Self { identity, service: kerberos.service }
    }
}

impl From<Kerberos> for config::Kerberos {
    fn from(kerberos: Kerberos) -> Self {
        let identity = match kerberos.identity {
            Identity::Keytab { path, principal } => KerberosIdentity::Keytab { path, principal },
            Identity::Ccache(path) => KerberosIdentity::Ccache(path),
            Identity::Password { file, principal } => KerberosIdentity::Password { file, principal },
        };
        Self { identity, service: kerberos.service }
    }
}

impl From<&KerberosIdentity> for Credential {
    fn from(identity: &KerberosIdentity) -> Self {
        match identity.clone() {
            KerberosIdentity::Keytab { path, principal } => Self::Keytab { path, principal },
            KerberosIdentity::Ccache(path) => Self::Ccache { path },
            KerberosIdentity::Password { file, principal } => Self::Password { principal, file },
        }
    }
}
