//! `[azure.credential]`: who asks.
//!
//! Secrets are never written here, only the files that hold them. What stands in a key for a file is
//! not repeated in messages either: it might be the secret itself, pasted into the wrong place.

use std::path::PathBuf;

use super::reader::{Field, Holds, NamedFile, Report, Section, Wrong, shown};
use super::types::{Credential, UserAssigned};
use crate::zones::ResourceId;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ManagedIdentity,
    Arc,
    WorkloadIdentity,
    ClientSecret,
    ClientCertificate,
    AzureCli,
}

/// The kinds, the default first.
const KINDS: [(&str, Kind); 6] = [
    ("managed-identity", Kind::ManagedIdentity),
    ("arc", Kind::Arc),
    ("workload-identity", Kind::WorkloadIdentity),
    ("client-secret", Kind::ClientSecret),
    ("client-certificate", Kind::ClientCertificate),
    ("azure-cli", Kind::AzureCli),
];

const IDENTITY: [&str; 3] = ["client_id", "object_id", "resource_id"];

impl Kind {
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ManagedIdentity => &IDENTITY,
            Self::Arc | Self::AzureCli => &[],
            Self::WorkloadIdentity => &["tenant_id", "client_id", "token_file"],
            Self::ClientSecret => &["tenant_id", "client_id", "secret_file"],
            Self::ClientCertificate => &["tenant_id", "client_id", "certificate_file", "key_file"],
        }
    }
}

/// Every key but `kind`.
const KEYS: [&str; 8] = [
    "tenant_id",
    "client_id",
    "object_id",
    "resource_id",
    "secret_file",
    "certificate_file",
    "key_file",
    "token_file",
];

const ID: &str = "\"00000000-0000-0000-0000-000000000000\"";

pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Credential {
    let Some(kind) = section.choice("kind", &KINDS, report) else {
        // Without the kind nobody knows which other keys belong here.
        return Credential::AzureCli;
    };
    report_unused(section, kind, report);
    match kind {
        Kind::ManagedIdentity => Credential::ManagedIdentity { identity: user_assigned(section, report) },
        Kind::Arc => Credential::Arc,
        Kind::AzureCli => Credential::AzureCli,
        Kind::WorkloadIdentity => Credential::WorkloadIdentity {
            tenant_id: section.read("tenant_id", ID, report, tenant),
            client_id: section.read("client_id", ID, report, id),
            token_file: file(section, "token_file", Holds::Token, report),
        },
        Kind::ClientSecret => {
            let (tenant_id, client_id) = principal(section, "client-secret", report);
            let secret_file = required_file(section, "secret_file", "client-secret", Holds::Secret, report);
            Credential::ClientSecret { tenant_id, client_id, secret_file }
        }
        Kind::ClientCertificate => {
            let (tenant_id, client_id) = principal(section, "client-certificate", report);
            let alone = section.node("key_file").is_none();
            let holds = if alone { Holds::CertificateAndKey } else { Holds::Certificate };
            let certificate_file =
                required_file(section, "certificate_file", "client-certificate", holds, report);
            let holds = Holds::KeyOf(certificate_file.clone());
            let key_file =
                file(section, "key_file", holds, report).unwrap_or_else(|| certificate_file.clone());
            Credential::ClientCertificate { tenant_id, client_id, certificate_file, key_file }
        }
    }
}

fn report_unused(section: &Section<'_>, kind: Kind, report: &mut Report) {
    let word = KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(word, _)| *word);
    let default = if section.node("kind").is_none() { ", the default" } else { "" };
    for key in KEYS {
        if let Some((place, _)) = section.node(key)
            && !kind.keys().contains(&key)
        {
            let takers: Vec<&str> =
                KINDS.iter().filter(|(_, k)| k.keys().contains(&key)).map(|(word, _)| *word).collect();
            let wrong = Wrong::new(
                format!("is not used with kind = \"{word}\"{default}"),
                format!("remove it, or choose a kind that uses it: {}", takers.join(", ")),
            );
            report.push(place, &section.path(key), wrong);
        }
    }
}

fn user_assigned(section: &Section<'_>, report: &mut Report) -> Option<UserAssigned> {
    let given: Vec<&str> = IDENTITY.into_iter().filter(|key| section.node(key).is_some()).collect();
    if let [first, second, ..] = given.as_slice()
        && let Some((place, _)) = section.node(second)
    {
        let wrong = Wrong::new(
            format!("names the identity a second time, after {first}"),
            "keep one of client_id, object_id and resource_id",
        );
        report.push(place, &section.path(second), wrong);
    }
    let client = section.read("client_id", ID, report, id).map(UserAssigned::ClientId);
    let object = section.read("object_id", ID, report, id).map(UserAssigned::ObjectId);
    let resource = section.read("resource_id", IDENTITY_ID, report, identity_id);
    client.or(object).or_else(|| resource.map(UserAssigned::ResourceId))
}

const IDENTITY_ID: &str =
    "\"/subscriptions/…/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME\"";

fn identity_id(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let id: ResourceId =
        text.parse().map_err(|_| field.wrong(format!("{} is no resource id", shown(text))))?;
    subscription(&id)?;
    let kind = id.resource_type();
    if kind.eq_ignore_ascii_case("Microsoft.ManagedIdentity/userAssignedIdentities") {
        return Ok(id.as_str().to_owned());
    }
    Err(field.wrong(format!("is the id of a {}, not of a user-assigned identity", shown(&kind))))
}

fn principal(section: &Section<'_>, kind: &str, report: &mut Report) -> (String, String) {
    let reason = format!(" (kind = \"{kind}\" needs it)");
    let tenant_id = section.require("tenant_id", ID, &reason, report, tenant).unwrap_or_default();
    let client_id = section.require("client_id", ID, &reason, report, id).unwrap_or_default();
    (tenant_id, client_id)
}

/// The id of a tenant, or one of its domain names. It becomes part of a URL.
fn tenant(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let domain = text.len() <= 253 && text.contains('.') && text.chars().all(plain) && !text.starts_with('.');
    if domain || is_guid(text) {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is neither the GUID nor a domain name of a tenant", shown(text))))
}

/// A GUID, which ids of subscriptions, service principals and identities are. It becomes part of a
/// URL or a query.
pub(super) fn id(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    if is_guid(text) {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is no GUID", shown(text))))
}

/// The subscription in a resource id has to be one; in examples a word stands there.
pub(super) fn subscription(id: &ResourceId) -> Result<(), Wrong> {
    let subscription = id.subscription();
    if is_guid(subscription) {
        return Ok(());
    }
    Err(Wrong::new(
        format!("{} is no subscription: that is a GUID", shown(subscription)),
        "copy the whole id from the Azure portal: Properties, Resource ID",
    ))
}

/// Whether a text is five groups of hexadecimal digits, such as `00000000-0000-0000-0000-000000000000`.
fn is_guid(text: &str) -> bool {
    let hexadecimal = |group: &str| group.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(hexadecimal)
}

fn required_file(section: &Section<'_>, key: &str, kind: &str, holds: Holds, report: &mut Report) -> PathBuf {
    if section.node(key).is_none() {
        // Only the absence is reported; there is nothing to read.
        let reason = format!(" (kind = \"{kind}\" needs it)");
        section.require(key, &example(key), &reason, report, |_| Ok(()));
    }
    file(section, key, holds, report).unwrap_or_default()
}

fn example(key: &str) -> String {
    let name = key.strip_suffix("_file").unwrap_or(key);
    let end = if ["ca", "certificate", "key"].contains(&name) { ".pem" } else { "" };
    format!("\"/etc/privatelink-dns/{name}{end}\"")
}

/// The path in a key for a file; a leading `$CREDENTIALS_DIRECTORY` is expanded.
pub(super) fn file(section: &Section<'_>, key: &str, holds: Holds, report: &mut Report) -> Option<PathBuf> {
    let directory = report.credentials_directory.clone();
    let path = section.read(key, example(key), report, |field| path(field, directory.as_deref()))?;
    let (_, node) = section.node(key)?;
    let file = NamedFile { path: path.clone(), key: section.path(key), place: node.place.clone(), holds };
    report.files.push(file);
    Some(path)
}

/// An absolute path; a leading `$CREDENTIALS_DIRECTORY` stands for `directory`.
pub(super) fn path(field: &Field<'_>, directory: Option<&str>) -> Result<PathBuf, Wrong> {
    let text = field.text()?;
    let Some(name) = text.strip_prefix("$CREDENTIALS_DIRECTORY/") else {
        return absolute(field, text);
    };
    let directory = directory.ok_or_else(|| {
        Wrong::new(
            "uses $CREDENTIALS_DIRECTORY, which is not set",
            "start the daemon by systemd with LoadCredential=, set the variable, or write the whole path",
        )
    })?;
    absolute(field, &format!("{directory}/{name}"))
}

pub(super) fn absolute(field: &Field<'_>, text: &str) -> Result<PathBuf, Wrong> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(PathBuf::from(text));
    }
    let problem = if text.starts_with('$') || text.starts_with('~') {
        "is no absolute path; of all variables only a leading $CREDENTIALS_DIRECTORY/ is expanded"
    } else {
        "is no absolute path"
    };
    Err(field.wrong(problem))
}
