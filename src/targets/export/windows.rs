//! A script for Windows DNS, where the zones stay on the server.
//!
//! It holds the zones as data, and code that makes the server's A records equal to them. Where a zone
//! was there before, records of names that are not ours may be somebody's: they are told, and removed
//! only when the operator says so.

use std::fmt::Write;

use crate::zones::Generation;

const HEAD: &str = "\
# From privatelink-dns, for Windows DNS. Makes the A records in these zones equal to those of Azure's
# private endpoints; records of other types and other zones are left alone.
# Run it as often as you like: what is right already stays. -WhatIf tells what it would do.
#Requires -Modules DnsServer
[CmdletBinding(SupportsShouldProcess)]
param(
    # Where new zones are kept in a domain: Domain, Forest or Legacy. Empty: in a file of this server.
    [string] $ReplicationScope = '',
    # Also remove the A records of names in these zones that are not in this script.
    [switch] $RemoveOthers
)
$ErrorActionPreference = 'Stop'
";

const CODE: &str = r"
foreach ($entry in $zones.GetEnumerator()) {
    $zone, $names = $entry.Key, $entry.Value
    $found = Get-DnsServerZone -Name $zone -ErrorAction SilentlyContinue
    if (-not $found) {
        if (-not $PSCmdlet.ShouldProcess($zone, 'add the zone')) { continue }
        if ($ReplicationScope) {
            Add-DnsServerPrimaryZone -Name $zone -ReplicationScope $ReplicationScope -DynamicUpdate None
        } else {
            Add-DnsServerPrimaryZone -Name $zone -ZoneFile ($zone + '.dns') -DynamicUpdate None
        }
    } elseif ($found.ZoneType -ne 'Primary') {
        Write-Warning ($zone + ' is there as a zone of type ' + $found.ZoneType + '; it is left alone')
        continue
    }
    $there = @(Get-DnsServerResourceRecord -ZoneName $zone -RRType A)
    foreach ($wanted in $names.GetEnumerator()) {
        $name = $wanted.Key
        $have = @($there | Where-Object HostName -eq $name | ForEach-Object {
                $_.RecordData.IPv4Address.IPAddressToString })
        foreach ($address in $wanted.Value) {
            if ($address -notin $have -and $PSCmdlet.ShouldProcess($name + ' in ' + $zone, 'add ' + $address)) {
                Add-DnsServerResourceRecordA -ZoneName $zone -Name $name -IPv4Address $address -TimeToLive $ttl
            }
        }
    }
    foreach ($record in $there) {
        $address = $record.RecordData.IPv4Address.IPAddressToString
        $isOurs = $names.ContainsKey($record.HostName)
        if ($isOurs -and $address -in $names[$record.HostName]) { continue }
        if (-not $isOurs -and -not $RemoveOthers) {
            Write-Warning ($record.HostName + ' in ' + $zone + ' is not in this script; -RemoveOthers removes it')
            continue
        }
        if ($PSCmdlet.ShouldProcess($record.HostName + ' in ' + $zone, 'remove ' + $address)) {
            Remove-DnsServerResourceRecord -ZoneName $zone -RRType A -Name $record.HostName -RecordData $address -Force
        }
    }
}
";

/// The script. Its texts are host names and addresses, which need no quoting.
pub(super) fn text(generation: &Generation) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "$ttl = New-TimeSpan -Seconds {}", generation.publication.ttl);
    text += "$zones = @{\n";
    for (origin, zone) in generation.zones.iter().filter(|(_, zone)| zone.form.is_answered()) {
        let _ = writeln!(text, "    '{origin}' = @{{");
        for (owner, addresses) in &zone.addresses {
            let name = owner.below(origin).unwrap_or("@");
            let addresses: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
            let _ = writeln!(text, "        '{name}' = @({})", addresses.join(", "));
        }
        text += "    }\n";
    }
    text += "}\n";
    text + CODE
}
