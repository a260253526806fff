//! ARM resource ids, which differ in case from one API to the next (`iotApps`, `IoTApps`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of an Azure resource, `/subscriptions/…/providers/…`.
///
/// Keeps the spelling it was given; compared, ordered and hashed without case, as ARM does: see
/// [`same_name`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(Box<str>);

/// Why a text is not a resource id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no resource id: it has to look like \
     /subscriptions/ID/resourceGroups/NAME/providers/NAMESPACE/TYPE/NAME"
)]
pub struct ResourceIdError(String);

impl ResourceId {
    /// The id as it was spelled when first seen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segment that follows `key`, found without case.
    fn segment(&self, key: &str) -> Option<&str> {
        let mut parts = self.0.split('/').skip(1);
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            if name.eq_ignore_ascii_case(key) {
                return Some(value);
            }
        }
        None
    }

    /// The subscription's id.
    #[must_use]
    pub fn subscription(&self) -> &str {
        self.segment("subscriptions").unwrap_or_default()
    }

    /// The resource group's name.
    #[must_use]
    pub fn resource_group(&self) -> Option<&str> {
        self.segment("resourceGroups")
    }

    /// The resource's own name, the last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Provider namespace and type without names, such as `Microsoft.Network/privateEndpoints`.
    #[must_use]
    pub fn resource_type(&self) -> String {
        let mut parts = self.0.split('/');
        parts.by_ref().find(|p| p.eq_ignore_ascii_case("providers"));
        let namespace = parts.next().unwrap_or_default();
        let types: Vec<&str> = parts.step_by(2).collect();
        format!("{namespace}/{}", types.join("/"))
    }

    /// The id of the virtual network that this subnet id lies in.
    #[must_use]
    pub fn virtual_network(&self) -> Option<Self> {
        let lower = self.0.to_ascii_lowercase();
        lower.find("/subnets/").map(|end| Self(self.0[..end].into()))
    }
}

/// Whether a name of a resource or resource group may hold the character: letters and digits of any
/// script, `-`, `_`, `.`, `(` and `)`. (Azure's naming rules for resource groups, the widest.)
#[must_use]
pub fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "-_.()".contains(c)
}

/// Whether two names are the same to ARM, which compares them without case.
///
/// How it does so beyond ASCII is not documented. Here letters are equal when their lower-case forms
/// are, one letter for one, and never equal to an ASCII letter: `ß` is not `ss`, the Kelvin sign is
/// not `k`, composed and decomposed forms differ.
#[must_use]
pub fn same_name(a: &str, b: &str) -> bool {
    folded(a).eq(folded(b))
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| {
        if c.is_ascii() {
            return c.to_ascii_lowercase();
        }
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(single), None) if !single.is_ascii() => single,
            _ => c,
        }
    })
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, ResourceIdError> {
        let bad = || ResourceIdError(text.to_owned());
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        // Keeps an id from turning into another URL when it is put behind the ARM host, where letters
        // and digits outside of ASCII are percent-encoded.
        let parts: Vec<&str> = trimmed.strip_prefix('/').ok_or_else(bad)?.split('/').collect();
        let shaped = parts.len() >= 6
            && parts.len().is_multiple_of(2)
            && parts[0].eq_ignore_ascii_case("subscriptions")
            && parts.iter().any(|p| p.eq_ignore_ascii_case("providers"))
            && parts.iter().all(|p| !p.is_empty() && *p != "." && *p != ".." && p.chars().all(is_plain));
        if shaped { Ok(Self(trimmed.into())) } else { Err(bad()) }
    }
}

impl TryFrom<String> for ResourceId {
    type Error = ResourceIdError;

    fn try_from(text: String) -> Result<Self, ResourceIdError> {
        text.parse()
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0.into()
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        same_name(&self.0, &other.0)
    }
}

impl Eq for ResourceId {}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        folded(&self.0).cmp(folded(&other.0))
    }
}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for c in folded(&self.0) {
            c.hash(state);
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps/my-app";

    fn id(text: &str) -> ResourceId {
        text.parse().expect("an id")
    }

    #[test]
    fn compares_without_case_and_keeps_the_spelling() {
        let other = id(&APP.replace("iotApps", "IoTApps").replace("resourceGroups", "resourcegroups"));
        assert_eq!(id(APP), other);
        assert_eq!(id(APP).cmp(&other), Ordering::Equal);
        assert!(other.as_str().contains("IoTApps"));
    }

    #[test]
    fn a_group_may_have_letters_of_any_script() {
        let of = |group: &str| id(&APP.replace("/rg/", &format!("/{group}/")));
        for (a, b) in [("Übung_(1).é", "übung_(1).É"), ("ΔΕΛΤΑ", "δελτα"), ("数据-１", "数据-１")]
        {
            assert_eq!(of(a), of(b));
            assert_eq!(of(a).cmp(&of(b)), Ordering::Equal);
            assert_eq!(std::collections::HashSet::from([of(a), of(b)]).len(), 1);
            assert_eq!(of(a).resource_group(), Some(a));
        }
        for (a, b) in [("straße", "strasse"), ("\u{212a}", "k"), ("\u{e9}", "e\u{301}"), ("İ", "i")] {
            assert!(!same_name(a, b), "{a} {b}");
        }
    }

    #[test]
    fn takes_an_id_apart() {
        let app = id(APP);
        assert_eq!(app.subscription(), "S1");
        assert_eq!(app.resource_group(), Some("rg"));
        assert_eq!(app.name(), "my-app");
        assert_eq!(app.resource_type(), "Microsoft.IoTCentral/iotApps");
        let subnet =
            id("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/n");
        assert!(subnet.virtual_network().expect("a network").as_str().ends_with("/virtualNetworks/v"));
    }

    #[test]
    fn refuses_what_could_be_another_url() {
        for bad in [
            "",
            "my-app",
            "/subscriptions/s",
            "subscriptions/s/resourceGroups/r/providers/N/t/n",
            "/subscriptions/s/resourceGroups/r/providers/N/t",
            "/subscriptions/s/resourceGroups/../providers/N/t/n",
            "/subscriptions/s/resourceGroups/r/providers/N/t/n?x=y",
            "/subscriptions/s/resourceGroups/r/providers/N/t/n@evil",
            "/subscriptions/s/resourceGroups/r#/providers/N/t/n",
            "/subscriptions/s/resourceGroups/%2e%2e/providers/N/t/n",
            "/subscriptions/s/resourceGroups/a b/providers/N/t/n",
            "/subscriptions/s/resourceGroups/a\u{a0}b/providers/N/t/n",
            "/subscriptions/s/resourceGroups/a\\b/providers/N/t/n",
            "/subscriptions/s/resourceGroups/a\u{202e}b/providers/N/t/n",
            "/subscriptions/s/resourceGroups/a\u{2215}b/providers/N/t/n",
            "/subscriptions//resourceGroups/r/providers/N/t/n",
        ] {
            assert!(bad.parse::<ResourceId>().is_err(), "{bad}");
        }
    }
}
