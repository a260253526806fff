//! The reads that the daemon makes, each with its api-version and the right that it needs.

/// The only api-version of Microsoft.IoTCentral that knows private endpoints.
pub const IOT_CENTRAL_API_VERSION: &str = "2021-11-01-preview";

/// The api-version of Microsoft.Network; `privateLinkConnectionProperties` are in it.
pub const NETWORK_API_VERSION: &str = "2024-05-01";

/// A kind of read; the bounded label of metrics and the first words of error texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// An IoT Central application.
    Application,
    /// The applications of a subscription or resource group.
    Applications,
    /// The private endpoint connections of an application, where its own read lacks them.
    Connections,
    /// The `privateLinkResources` of an application.
    LinkResources,
    /// A private endpoint.
    Endpoint,
    /// A network interface.
    Interface,
    /// The private DNS zone groups of a private endpoint.
    ZoneGroups,
}

impl Operation {
    /// Every operation, for metrics that show zeros from the start.
    pub const ALL: [Self; 7] = [
        Self::Application,
        Self::Applications,
        Self::Connections,
        Self::LinkResources,
        Self::Endpoint,
        Self::Interface,
        Self::ZoneGroups,
    ];

    /// The stable label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Applications => "applications",
            Self::Connections => "connections",
            Self::LinkResources => "link-resources",
            Self::Endpoint => "endpoint",
            Self::Interface => "interface",
            Self::ZoneGroups => "zone-groups",
        }
    }

    /// The action that the role has to allow.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Application | Self::Applications => "Microsoft.IoTCentral/IoTApps/read",
            Self::Connections => "Microsoft.IoTCentral/IoTApps/privateEndpointConnections/read",
            Self::LinkResources => "Microsoft.IoTCentral/IoTApps/privateLinkResources/read",
            Self::Endpoint => "Microsoft.Network/privateEndpoints/read",
            Self::Interface => "Microsoft.Network/networkInterfaces/read",
            Self::ZoneGroups => "Microsoft.Network/privateEndpoints/privateDnsZoneGroups/read",
        }
    }

    /// The api-version that is asked for.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Application | Self::Applications | Self::Connections | Self::LinkResources => {
                IOT_CENTRAL_API_VERSION
            }
            Self::Endpoint | Self::Interface | Self::ZoneGroups => NETWORK_API_VERSION,
        }
    }

    /// What is read, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Application => "the application",
            Self::Applications => "the applications",
            Self::Connections => "the private endpoint connections",
            Self::LinkResources => "the private link resources",
            Self::Endpoint => "the private endpoint",
            Self::Interface => "the network interface",
            Self::ZoneGroups => "the private DNS zone groups",
        }
    }
}
