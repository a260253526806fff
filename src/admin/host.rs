//! By which names the API may be asked.
//!
//! Reading needs no token, and a web page in a browser on this host can reach the listener: with a
//! name of its own that it points at 127.0.0.1 (DNS rebinding), the browser takes the answers for
//! the page's own and lets it read them. Such a request carries the page's name in `Host`.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;

/// Whether every `Host` is an IP address, `localhost` or the host's own name. Without one, the
/// request is no browser's.
pub(super) fn is_own(headers: &HeaderMap, own_name: &str) -> bool {
    headers.get_all(HOST).iter().all(|host| {
        let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
        host.is_some_and(|host| is_address_or_own(host.host(), own_name))
    })
}

fn is_address_or_own(host: &str, own_name: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.eq_ignore_ascii_case(own_name)
}

/// The host's own name, as `hostname` prints it.
pub(super) fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_own_name_are_own() {
        let is_own = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().expect("a header"));
            }
            is_own(&headers, "server1")
        };
        for own in ["127.0.0.1:9853", "10.0.0.5", "[::1]:9853", "[fd00::1]", "LocalHost:1", "SERVER1:9853"] {
            assert!(is_own(&[own]), "{own}");
        }
        for foreign in ["evil.example", "evil.example:9853", "server1.evil.example", "127.0.0.1.evil.example"]
        {
            assert!(!is_own(&[foreign]), "{foreign}");
            assert!(!is_own(&["localhost", foreign]), "{foreign}");
        }
        for broken in ["", ":", "[", "a b", "::1", "localhost/"] {
            assert!(!is_own(&[broken]), "{broken}");
        }
        assert!(is_own(&[]));
        assert!(!own_name().is_empty());
    }
}
