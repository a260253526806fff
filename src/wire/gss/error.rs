//! What can be wrong between a client, its KDC and a DNS server, each with what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::credential::Credential;
use super::library::Failure;
use super::signature::GssResponseError;
use crate::wire::connection::ExchangeError;

/// Why there is no context. Nothing was changed at the server.
#[derive(Debug, thiserror::Error)]
pub enum GssError {
    /// The system has no Kerberos library, or one that lacks something.
    #[error(
        "GSS-TSIG needs the Kerberos library libgssapi_krb5.so.2 ({0}); install the package libgssapi-krb5-2 \
         (Debian, Ubuntu) or krb5-libs (Fedora, Red Hat)"
    )]
    Library(String),
    /// A file with a secret cannot be read, or everybody can.
    #[error("{problem}; {remedy}")]
    File {
        /// What is wrong, with the file's name.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The keytab lacks the account, or is no keytab.
    #[error(
        "{file} has no usable key of {principal}; look at what it has with `klist -k {file}`, and name an \
         account that is in it or make it anew"
    )]
    NoKey {
        /// The keytab.
        file: PathBuf,
        /// The account.
        principal: String,
    },
    /// The ticket cache is empty, or is none.
    #[error("{file} has no usable ticket ({said}); fill it with kinit or k5start, or use a keytab")]
    NoTicket {
        /// The cache.
        file: PathBuf,
        /// What Kerberos says.
        said: String,
    },
    /// The tickets have expired.
    #[error("the ticket of {who} has expired ({said}); renew it, or use a keytab, from which it is renewed")]
    Expired {
        /// Whose.
        who: String,
        /// What Kerberos says.
        said: String,
    },
    /// The KDC does not know the account.
    #[error("the KDC knows no account {who} ({said}); correct the principal, or create the account")]
    ClientUnknown {
        /// The account.
        who: String,
        /// What Kerberos says.
        said: String,
    },
    /// The account is locked, disabled or has an expired password.
    #[error(
        "the account {who} is locked, disabled or has expired ({said}); put it in order in the directory"
    )]
    ClientRevoked {
        /// The account.
        who: String,
        /// What Kerberos says.
        said: String,
    },
    /// The password, or the key in the keytab, is not that of the account.
    #[error(
        "the password or key of {who} in {file} is wrong ({said}); write the right one, or make the keytab \
         anew: a changed password makes the keys in it worthless"
    )]
    WrongSecret {
        /// The account.
        who: String,
        /// The file.
        file: PathBuf,
        /// What Kerberos says.
        said: String,
    },
    /// The KDC knows no such service: the server's name is not the one that its account has.
    #[error(
        "the KDC knows no service {service} ({said}); give the name by which the DNS server has its Kerberos \
         account, for Windows the full name of the domain controller (`setspn -L` lists it). When Kerberos \
         asked for another host than this, set dns_canonicalize_hostname = false in krb5.conf"
    )]
    ServiceUnknown {
        /// What was asked for, `DNS@host`.
        service: String,
        /// What Kerberos says.
        said: String,
    },
    /// The DNS server has another key than the KDC thinks.
    #[error(
        "{service} and the KDC have different keys ({said}); make the DNS server's keytab anew, or look \
         whether another account has its service principal"
    )]
    ServiceKey {
        /// What was asked for, `DNS@host`.
        service: String,
        /// What Kerberos says.
        said: String,
    },
    /// Clocks differ by more than Kerberos and TSIG take, mostly five minutes.
    #[error(
        "the clocks of this host, the KDC and the DNS server differ too much ({0}); set all of them by NTP"
    )]
    ClockSkew(String),
    /// No KDC answers.
    #[error(
        "no KDC can be reached ({0}); look at [realms] in /etc/krb5.conf or at the SRV records \
         _kerberos._tcp of the realm, and whether a firewall keeps port 88 closed"
    )]
    KdcUnreachable(String),
    /// Something else.
    #[error("Kerberos fails: {0}")]
    Kerberos(String),
    /// The DNS server cannot be talked to.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The DNS server's answer cannot be read, or is none.
    #[error("{0} answers TKEY with something that is none; look whether it is a DNS server with GSS-TSIG")]
    Malformed(SocketAddr),
    /// The DNS server wants no context.
    #[error("{0} refuses to negotiate: {1}")]
    Refused(SocketAddr, TkeyRefusal),
    /// The last answer of the negotiation is signed, and wrongly. It was changed on its way.
    #[error("the end of the negotiation with {0} cannot be trusted: {1}; look at who is in between")]
    Signature(SocketAddr, GssResponseError),
    /// It took too long.
    #[error(
        "Kerberos did not finish within {0:?}; look whether the KDC in /etc/krb5.conf answers, and whether names \
         resolve here"
    )]
    TimeLimit(Duration),
}

/// Why a server does not negotiate (RFC 2930 section 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TkeyRefusal {
    /// It cannot use the ticket: RFC 3645 section 4.1.2 has one code for all reasons.
    #[error(
        "BADKEY; it cannot use the ticket: its keytab lacks this key, its clock differs, or it has no \
         Kerberos. Its log says which"
    )]
    BadKey,
    /// It has a key of that name already, which a new negotiation, with another name, may not meet.
    #[error("BADNAME; it has a context of this name; try again")]
    BadName,
    /// It knows no negotiation of this kind.
    #[error("BADMODE; it has no GSS-TSIG")]
    BadMode,
    /// It does not do this.
    #[error(
        "REFUSED; it takes no TKEY from here: BIND needs tkey-gssapi-keytab, Windows a zone in the directory"
    )]
    Refused,
    /// Not for this.
    #[error("NOTAUTH; it is not the right server, or cannot use the ticket")]
    NotAuth,
    /// Another error of TKEY, or response code.
    #[error("error {0}; its log may say more")]
    Other(u16),
}

impl TkeyRefusal {
    pub(super) const fn new(code: u16) -> Self {
        match code {
            5 => Self::Refused,
            9 => Self::NotAuth,
            17 => Self::BadKey,
            19 => Self::BadMode,
            20 => Self::BadName,
            code => Self::Other(code),
        }
    }
}

/// The context signs nothing any more. The message was not sent. Negotiate anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kerberos context cannot sign: {0}")]
pub struct SignError(pub(super) String);

/// Why there is no response to a message.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It could not be signed, and was not sent.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// It could not be sent, or was not answered.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl SendError {
    /// Whether the server may have seen the message, and acted on it.
    #[must_use]
    pub const fn may_be_seen(&self) -> bool {
        match self {
            Self::Sign(_) => false,
            Self::Exchange(error) => error.may_be_seen(),
        }
    }
}

/// At what Kerberos failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// The client's own ticket.
    Credential,
    /// A ticket for this service, or its answer.
    Context(&'a str),
}

/// `GSS_S_NO_CRED` and `GSS_S_CREDENTIALS_EXPIRED` (RFC 2744 section 3.9.1).
const NO_CREDENTIAL: u8 = 7;
const CREDENTIAL_EXPIRED: u8 = 11;

impl GssError {
    /// What a failure of Kerberos means.
    pub(super) fn of(failure: Failure, credential: &Credential, step: Step<'_>) -> Self {
        let Failure { routine, minor, text: said } = failure;
        let (who, file) = (credential.who(), credential.file().to_owned());
        let service = match step {
            Step::Credential => "krbtgt",
            Step::Context(service) => service,
        };
        let service = service.to_owned();
        let no_credential = match credential {
            Credential::Keytab { .. } => |file, principal, _| Self::NoKey { file, principal },
            Credential::Ccache { .. } => |file, _, said| Self::NoTicket { file, said },
            Credential::Password { .. } => |_, _, said| Self::Kerberos(said),
        };
        // Codes of RFC 4120 section 7.5.9, and above 127 MIT's own.
        match (minor.wrapping_sub(KRB5), step) {
            (6, _) => Self::ClientUnknown { who, said },
            (7, _) => Self::ServiceUnknown { service, said },
            (18 | 23, _) => Self::ClientRevoked { who, said },
            (24 | 31, Step::Credential) => Self::WrongSecret { who, file, said },
            (32, _) => Self::Expired { who, said },
            (33 | 37, _) => Self::ClockSkew(said),
            (31 | 41 | 44, Step::Context(_)) => Self::ServiceKey { service, said },
            (29 | 154 | 156, _) => Self::KdcUnreachable(said),
            (181, _) => no_credential(file, who, said),
            _ if routine == CREDENTIAL_EXPIRED => Self::Expired { who, said },
            _ if routine == NO_CREDENTIAL => no_credential(file, who, said),
            _ => Self::Kerberos(said),
        }
    }
}

/// Where the codes of Kerberos begin (`ERROR_TABLE_BASE_krb5`).
const KRB5: u32 = 0x96c7_3a00;
