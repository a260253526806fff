//! `[azure]`: which cloud is asked, and how often.

use std::time::Duration;

use reqwest::Url;

use super::credential;
use super::reader::{Field, Holds, Report, Section, Wrong, shown};
use super::types::{Azure, Cloud};

/// Keys that only a custom cloud takes.
const CUSTOM: [&str; 3] = ["resource_manager", "authority", "audience"];

/// What the keys of a custom cloud look like.
const MANAGER: &str = "\"https://management.example.net\"";
const AUTHORITY: &str = "\"https://login.example.net\"";

pub(super) fn read(root: &Section<'_>, report: &mut Report) -> Azure {
    let azure = root.child("azure", report);
    let second = Duration::from_secs(1);
    let half_minute = Duration::from_secs(30);
    Azure {
        cloud: cloud(&azure, report),
        credential: credential::read(&azure.child("credential", report), report),
        ca_file: credential::file(&azure, "ca_file", Holds::Authorities, report),
        poll_interval: azure.duration(
            "poll_interval",
            half_minute,
            second..=Duration::from_secs(3600),
            report,
        ),
        request_timeout: azure.duration(
            "request_timeout",
            half_minute,
            second..=Duration::from_secs(300),
            report,
        ),
    }
}

fn cloud(azure: &Section<'_>, report: &mut Report) -> Cloud {
    let kinds = [
        ("public", Some(Cloud::public())),
        ("us-government", Some(Cloud::us_government())),
        ("china", Some(Cloud::china())),
        ("custom", None),
    ];
    let choices: Vec<(&str, usize)> = kinds.iter().enumerate().map(|(i, (word, _))| (*word, i)).collect();
    let Some((word, cloud)) = azure.choice("cloud", &choices, report).and_then(|i| kinds.get(i)) else {
        // Without the cloud nobody knows which other keys belong here.
        return Cloud::public();
    };
    if let Some(cloud) = cloud {
        for key in CUSTOM {
            if let Some((place, _)) = azure.node(key) {
                let wrong = Wrong::new(
                    format!("is not used with cloud = \"{word}\""),
                    "remove it, or write cloud = \"custom\"",
                );
                report.push(place, &azure.path(key), wrong);
            }
        }
        return cloud.clone();
    }
    let reason = " (cloud = \"custom\" needs it)";
    let resource_manager =
        azure.require("resource_manager", MANAGER, reason, report, |field| base_url(field, true));
    let authority = azure.require("authority", AUTHORITY, reason, report, authority);
    let resource_manager = resource_manager.unwrap_or_default();
    Cloud {
        audience: azure
            .read("audience", MANAGER, report, audience)
            .unwrap_or_else(|| resource_manager.clone()),
        resource_manager,
        authority: authority.unwrap_or_default(),
    }
}

/// A base URL, without a trailing slash. Tokens travel to it, hence TLS; a simulated ARM may speak
/// plain HTTP where the network is not involved.
fn base_url(field: &Field<'_>, loopback_http: bool) -> Result<String, Wrong> {
    let text = field.text()?;
    let url = Url::parse(text).map_err(|e| field.wrong(format!("{} is no URL ({e})", shown(text))))?;
    // Before any message that quotes the URL.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(field.wrong("is a URL with a user name or password, which is not supported"));
    }
    let loopback = url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|a| a.is_loopback())
    });
    let allowed = url.scheme() == "https" || (loopback_http && loopback && url.scheme() == "http");
    if !allowed || url.host_str().is_none() {
        let exception = if loopback_http { " (http is accepted for a loopback address only)" } else { "" };
        return Err(field.wrong(format!("{} is no https URL{exception}", shown(text))));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            field.wrong(format!("{} has a query or a fragment, but has to be a base URL", shown(text)))
        );
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// As [`base_url`], without a path: Microsoft's library would drop it and ask elsewhere.
fn authority(field: &Field<'_>) -> Result<String, Wrong> {
    let text = base_url(field, false)?;
    match Url::parse(&text) {
        Ok(url) if url.path() == "/" => Ok(text),
        _ => Err(field.wrong(format!("{} has a path, but has to be a host only", shown(&text)))),
    }
}

fn audience(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    if let Some(bare) = text.strip_suffix("/.default") {
        let remedy = field.write(&format!("\"{bare}\""));
        return Err(Wrong::new(
            format!("{} ends with /.default, which is added by the daemon", shown(text)),
            remedy,
        ));
    }
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    if plain { Ok(text.to_owned()) } else { Err(field.wrong(format!("{} is no audience", shown(text)))) }
}
