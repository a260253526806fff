//! What a path asks for. ARM compares path segments without case, and callers rely on it: ids come
//! back as `iotApps` from one API and `IoTApps` from the next.

use super::Operation;
use super::errors::ArmError;
use crate::zones::ResourceId;

/// The only api-version of IoT Central with private link.
const PRIVATE_LINK_VERSION: &str = "2021-11-01-preview";

/// Api-versions of IoT Central, the newest first.
const IOT_CENTRAL_VERSIONS: &[&str] = &[PRIVATE_LINK_VERSION, "2021-06-01", "2018-09-01"];

/// A choice of the api-versions of Microsoft.Network that know private endpoints.
const NETWORK_VERSIONS: &[&str] = &[
    "2025-01-01",
    "2024-10-01",
    "2024-07-01",
    "2024-05-01",
    "2024-03-01",
    "2024-01-01",
    "2023-11-01",
    "2023-09-01",
    "2023-06-01",
    "2023-04-01",
    "2022-07-01",
    "2022-01-01",
    "2021-08-01",
    "2021-05-01",
    "2020-11-01",
    "2020-05-01",
    "2019-04-01",
];

/// What a path asks for; resources by the id that the path spells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Applications of a subscription or of one resource group.
    Applications { subscription: String, group: Option<String> },
    /// One application.
    Application(ResourceId),
    /// Private link resources of an application, or one of them.
    LinkResources(ResourceId, Option<String>),
    /// Connections of an application, or one of them.
    Connections(ResourceId, Option<String>),
    /// A private endpoint.
    Endpoint(ResourceId),
    /// The zone groups of an endpoint, or one of them.
    ZoneGroups(ResourceId, Option<String>),
    /// A network interface.
    Interface(ResourceId),
}

impl Target {
    /// Takes a path apart; nothing when it is none of the served ones.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let owned = |index: usize| parts.get(index).map(|part| (*part).to_owned());
        // The id of the resource that the first eight segments name.
        let id = || format!("/{}", parts.get(..8)?.join("/")).parse().ok();
        match lower.as_slice() {
            ["subscriptions", _, "providers", "microsoft.iotcentral", "iotapps"] => {
                Some(Self::Applications { subscription: owned(1)?, group: None })
            }
            ["subscriptions", _, "resourcegroups", _, "providers", rest @ ..] => match rest {
                ["microsoft.iotcentral", "iotapps"] => {
                    Some(Self::Applications { subscription: owned(1)?, group: owned(3) })
                }
                ["microsoft.iotcentral", "iotapps", _] => Some(Self::Application(id()?)),
                ["microsoft.iotcentral", "iotapps", _, "privatelinkresources", ..] if rest.len() <= 5 => {
                    Some(Self::LinkResources(id()?, owned(9)))
                }
                ["microsoft.iotcentral", "iotapps", _, "privateendpointconnections", ..]
                    if rest.len() <= 5 =>
                {
                    Some(Self::Connections(id()?, owned(9)))
                }
                ["microsoft.network", "privateendpoints", _] => Some(Self::Endpoint(id()?)),
                ["microsoft.network", "privateendpoints", _, "privatednszonegroups", ..]
                    if rest.len() <= 5 =>
                {
                    Some(Self::ZoneGroups(id()?, owned(9)))
                }
                ["microsoft.network", "networkinterfaces", _] => Some(Self::Interface(id()?)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The kind of read.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Applications { .. } => Operation::ApplicationList,
            Self::Application(_) => Operation::ApplicationGet,
            Self::LinkResources(..) => Operation::PrivateLinkResources,
            Self::Connections(..) => Operation::Connections,
            Self::Endpoint(_) => Operation::Endpoint,
            Self::ZoneGroups(..) => Operation::ZoneGroup,
            Self::Interface(_) => Operation::Interface,
        }
    }

    /// The subscription as the path spells it.
    pub(super) fn subscription(&self) -> &str {
        match self {
            Self::Applications { subscription, .. } => subscription,
            _ => self.id().map_or("", ResourceId::subscription),
        }
    }

    /// The resource group as the path spells it.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Self::Applications { group, .. } => group.as_deref(),
            _ => self.id().and_then(ResourceId::resource_group),
        }
    }

    /// Whether Microsoft.Network answers, not IoT Central.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Endpoint(_) | Self::ZoneGroups(..) | Self::Interface(_))
    }

    fn id(&self) -> Option<&ResourceId> {
        match self {
            Self::Applications { .. } => None,
            Self::Application(id)
            | Self::LinkResources(id, _)
            | Self::Connections(id, _)
            | Self::Endpoint(id)
            | Self::ZoneGroups(id, _)
            | Self::Interface(id) => Some(id),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Applications { .. } | Self::Application(_) => "IoTApps",
            Self::LinkResources(..) => "IoTApps/privateLinkResources",
            Self::Connections(..) => "IoTApps/privateEndpointConnections",
            Self::Endpoint(_) => "privateEndpoints",
            Self::ZoneGroups(..) => "privateEndpoints/privateDnsZoneGroups",
            Self::Interface(_) => "networkInterfaces",
        }
    }

    /// Checks `api-version`. `Ok(true)` means that payloads show private link.
    pub(super) fn check_version(&self, version: Option<&str>) -> Result<bool, ArmError> {
        let version = version.filter(|v| !v.is_empty()).ok_or_else(ArmError::missing_api_version)?;
        let supported = match self {
            Self::Applications { .. } | Self::Application(_) => IOT_CENTRAL_VERSIONS,
            Self::LinkResources(..) | Self::Connections(..) => &[PRIVATE_LINK_VERSION],
            Self::Endpoint(_) | Self::ZoneGroups(..) | Self::Interface(_) => NETWORK_VERSIONS,
        };
        if supported.iter().any(|known| known.eq_ignore_ascii_case(version)) {
            return Ok(self.is_network() || version.eq_ignore_ascii_case(PRIVATE_LINK_VERSION));
        }
        let supported = supported.join(", ");
        Err(if looks_like_version(version) {
            ArmError::no_registered_provider(self.kind(), version, &supported)
        } else {
            ArmError::invalid_api_version(version, &supported)
        })
    }
}

/// `YYYY-MM-DD`, perhaps followed by `-preview` or the like.
fn looks_like_version(text: &str) -> bool {
    let date: Vec<&str> = text.splitn(4, '-').collect();
    let digits = |part: &&str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    matches!(date.as_slice(), [y, m, d, ..] if digits(y, 4) && digits(m, 2) && digits(d, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "/subscriptions/S/resourceGroups/g/providers/Microsoft.IoTCentral/iotApps/app";
    const ENDPOINT: &str =
        "/subscriptions/S/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/pe";

    fn target(path: &str) -> Target {
        Target::parse(path).unwrap_or_else(|| panic!("{path}"))
    }

    #[test]
    fn reads_every_served_path_without_case() {
        for (path, operation) in [
            (
                "/subscriptions/S/providers/Microsoft.IoTCentral/iotApps".to_owned(),
                Operation::ApplicationList,
            ),
            (APP.trim_end_matches("/app").to_owned(), Operation::ApplicationList),
            (APP.to_owned(), Operation::ApplicationGet),
            (format!("{APP}/privateLinkResources"), Operation::PrivateLinkResources),
            (format!("{APP}/privateLinkResources/iotApp"), Operation::PrivateLinkResources),
            (format!("{APP}/privateEndpointConnections"), Operation::Connections),
            (ENDPOINT.to_owned(), Operation::Endpoint),
            (format!("{ENDPOINT}/privateDnsZoneGroups"), Operation::ZoneGroup),
            (ENDPOINT.replace("privateEndpoints", "networkInterfaces"), Operation::Interface),
        ] {
            assert_eq!(target(&path).operation(), operation, "{path}");
            assert_eq!(target(&path.to_ascii_uppercase()).operation(), operation, "{path}");
            assert_eq!(target(&path).subscription(), "S");
        }
        for bad in ["", "/", "/subscriptions/S", "/x/y", &format!("{APP}/x"), &format!("{ENDPOINT}/a/b/c/d")]
        {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_preview_version_has_private_link() {
        let code =
            |path: &str, version: Option<&str>| target(path).check_version(version).map_err(|e| e.code);
        let link = format!("{APP}/privateLinkResources");
        assert_eq!(code(&link, Some("2021-11-01-preview")), Ok(true));
        assert_eq!(code(APP, Some("2021-06-01")), Ok(false));
        assert_eq!(code(ENDPOINT, Some("2024-05-01")), Ok(true));
        assert_eq!(code(&link, Some("2021-06-01")), Err("NoRegisteredProviderFound"));
        assert_eq!(code(ENDPOINT, Some("2021-11-01-preview")), Err("NoRegisteredProviderFound"));
        assert_eq!(code(APP, Some("latest")), Err("InvalidApiVersionParameter"));
        assert_eq!(code(APP, None), Err("MissingApiVersionParameter"));
    }
}
