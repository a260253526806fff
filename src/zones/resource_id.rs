//! ARM resource ids, which differ in case from one API to the next (`iotApps`, `IoTApps`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of an Azure resource, `/subscriptions/…/providers/…`.
///
/// Keeps the spelling it was given; compared, ordered and hashed without case, as ARM does.
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

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, ResourceIdError> {
        let bad = || ResourceIdError(text.to_owned());
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        // Keeps an id from turning into another URL when it is put behind the ARM host.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
        let parts: Vec<&str> = trimmed.strip_prefix('/').ok_or_else(bad)?.split('/').collect();
        let shaped = parts.len() >= 6
            && parts.len().is_multiple_of(2)
            && parts[0].eq_ignore_ascii_case("subscriptions")
            && parts.iter().any(|p| p.eq_ignore_ascii_case("providers"))
            && parts.iter().all(|p| !p.is_empty() && *p != "." && *p != ".." && p.chars().all(plain));
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
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ResourceId {}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        self.0.bytes().map(lower).cmp(other.0.bytes().map(lower))
    }
}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
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
            "/subscriptions//resourceGroups/r/providers/N/t/n",
        ] {
            assert!(bad.parse::<ResourceId>().is_err(), "{bad}");
        }
    }
}
