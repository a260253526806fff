//! From which pages a browser may send requests: from this listener's own.
//!
//! A browser sends what a page of any other site tells it to, and says in `Origin` or
//! `Sec-Fetch-Site` whose page that is. Programs send neither; they need the token all the same.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};

/// Whether a page of another origin sent the request.
pub(super) fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    if headers.contains_key(ORIGIN) {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        return !headers.get_all(ORIGIN).iter().all(|origin| {
            // Behind a proxy with TLS the page's scheme is not ours.
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            matches!((origin, host), (Some(("http" | "https", origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
        });
    }
    // Following a link from anywhere is no harm.
    let is_link = (*method == Method::GET || *method == Method::HEAD)
        && headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    !is_link && headers.get_all("sec-fetch-site").iter().any(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        is_foreign(method, &map)
    }

    #[test]
    fn a_page_of_another_origin_is_foreign() {
        let host = ("host", "localhost:9853");
        for method in [Method::GET, Method::POST] {
            for own in ["http://localhost:9853", "https://localhost:9853", "http://LOCALHOST:9853"] {
                assert!(!foreign(&method, &[host, ("origin", own)]), "{own}");
            }
            for other in [
                "null",
                "",
                "http://localhost",
                "http://localhost:9854",
                "http://localhost:9853.evil.example",
                "http://evil.example",
                "file://localhost:9853",
                "http://localhost:9853/",
            ] {
                assert!(foreign(&method, &[host, ("origin", other)]), "{other}");
                assert!(
                    foreign(&method, &[host, ("origin", "http://localhost:9853"), ("origin", other)]),
                    "{other}"
                );
            }
            assert!(foreign(&method, &[("origin", "http://localhost:9853")]), "no Host");
            assert!(!foreign(&method, &[host]), "no browser");
        }
    }

    #[test]
    fn without_an_origin_the_browser_tells_whose_page_it_is() {
        let host = ("host", "localhost:9853");
        for site in ["cross-site", "same-site", "strange"] {
            assert!(foreign(&Method::POST, &[host, ("sec-fetch-site", site)]), "{site}");
            let link = [host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
            assert!(!foreign(&Method::GET, &link), "a link: {site}");
            assert!(foreign(&Method::POST, &link), "a form: {site}");
            let image = [host, ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
            assert!(foreign(&Method::GET, &image), "an image: {site}");
        }
        for site in ["same-origin", "none"] {
            assert!(!foreign(&Method::POST, &[host, ("sec-fetch-site", site)]), "{site}");
        }
    }
}
