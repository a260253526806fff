//! What can be wrong: stable codes, and what is told of each case.

use serde::{Deserialize, Serialize};

use crate::zones::{ResourceId, Severity};

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $severity:ident;)+) => {
        /// What can be wrong with DNS and connections; Azure's side has the codes of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Check {
            /// Every check.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// How much it matters.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }
        }
    };
}

checks! {
    /// A server answers nothing at all.
    ResolverSilent = "resolver-silent", Error;
    /// A server does not answer for a name, but for others.
    Unanswered = "unanswered", Error;
    /// SERVFAIL, or another code of failure.
    ServerFailure = "server-failure", Error;
    /// REFUSED.
    Refused = "refused", Error;
    /// NXDOMAIN, or no A record.
    NameMissing = "name-missing", Error;
    /// The answer ends at a public address.
    PublicAddress = "public-address", Error;
    /// The application's own name ends at a public address, which is usual.
    PublicSite = "public-site", Info;
    /// The answer has none of the right addresses.
    WrongAddress = "wrong-address", Error;
    /// The answer has an address beside the right ones that no endpoint gives.
    StaleAddress = "stale-address", Error;
    /// The answer lacks an address.
    AddressMissing = "address-missing", Error;
    /// The addresses are right, but the aliases on the way are not.
    WrongChain = "wrong-chain", Warning;
    /// No TCP connection: refused.
    ConnectRefused = "connect-refused", Error;
    /// No TCP connection: no reply.
    ConnectTimeout = "connect-timeout", Error;
    /// No TCP connection for another reason.
    ConnectFailed = "connect-failed", Error;
    /// No name of a zone takes connections at a port, those of other zones do.
    PortNotOffered = "port-not-offered", Info;
    /// No name of any zone takes connections at a port.
    PortBlocked = "port-blocked", Warning;
    /// The connection is there, and nothing comes back.
    TlsTimeout = "tls-timeout", Error;
    /// The handshake fails for another reason than the certificate.
    TlsFailed = "tls-failed", Error;
    /// The certificate is over.
    CertificateExpired = "certificate-expired", Error;
    /// The certificate is not valid yet.
    CertificateNotYetValid = "certificate-not-yet-valid", Error;
    /// The certificate is for other names.
    CertificateWrongName = "certificate-wrong-name", Error;
    /// Nobody trusted has signed the certificate.
    CertificateUnknownAuthority = "certificate-unknown-authority", Error;
    /// The certificate cannot be used for another reason.
    CertificateInvalid = "certificate-invalid", Error;
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The stable code, of a [`Check`] or of a finding.
    pub check: String,
    /// The name, resource or server in question.
    pub subject: String,
    /// The server that was asked, or address and port.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<String>,
    /// The application that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<ResourceId>,
    /// What was seen.
    pub seen: String,
    /// What should have been seen.
    pub expected: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// A problem with DNS or a connection.
    pub(super) fn new(
        check: Check,
        subject: impl Into<String>,
        seen: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: check.severity(),
            check: check.code().to_owned(),
            subject: subject.into(),
            server: None,
            application: None,
            seen: seen.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn at(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    pub(super) fn of(mut self, application: &ResourceId) -> Self {
        self.application = Some(application.clone());
        self
    }

    /// Whether something has to be done, unlike what is only worth knowing.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.severity != Severity::Info
    }

    /// Whether it is the same case, however it looks at the moment.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.check, &self.subject, &self.server) == (&other.check, &other.subject, &other.server)
    }
}
