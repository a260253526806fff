//! Windows DNS, as a PowerShell script. It knows no TSIG with a shared secret, and port 53 only.

use super::error::RecipeError;
use super::facts::{Facts, PORT};

const SERVER: &str = "Windows DNS";

/// The zones.
pub(super) fn text(facts: &Facts) -> Result<String, RecipeError> {
    facts.fits_without_tsig(SERVER)?;
    if let Some(other) = [facts.primary, facts.secondary.address].into_iter().find(|a| a.port() != PORT) {
        return Err(RecipeError::Port(other));
    }
    let mut steps = vec![
        "PowerShell, as administrator on the DNS server. It can be run again: zones that are there get\n\
         this primary. NOTIFY is taken from the primaries of a zone. Not run by this project's tests."
            .to_owned(),
    ];
    steps.push(facts.listed(false));
    steps.extend(facts.others());
    steps.push(facts.check_zones());
    let names: Vec<String> = facts.zones.iter().map(|origin| format!("    '{origin}'")).collect();
    Ok(facts.head("#", "Windows DNS: the zones", &steps)
        + &format!(
            "$primary = '{}'\n\
             $zones = @(\n{}\n)\n\
             foreach ($zone in $zones) {{\n    \
                 if (Get-DnsServerZone -Name $zone -ErrorAction SilentlyContinue) {{\n        \
                     Set-DnsServerSecondaryZone -Name $zone -MasterServers $primary\n    \
                 }} else {{\n        \
                     Add-DnsServerSecondaryZone -Name $zone -ZoneFile \"$zone.dns\" -MasterServers $primary\n    \
                 }}\n    \
                 Start-DnsServerZoneTransfer -Name $zone\n\
             }}\n\
             Clear-DnsServerCache -Force\n",
            facts.primary.ip(),
            names.join(",\n")
        ))
}
