//! What a reload keeps of the resolver.

use std::fs;
use std::sync::Arc;

use prometheus::{Registry, TextEncoder};

use super::super::{Recursion, ResolverMetrics};
use crate::config;

fn resolver(section: &str) -> config::Resolver {
    let application = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/\
                       Microsoft.IoTCentral/iotApps/a";
    let text = format!("version = 1\n[[application]]\nid = '{application}'\n[resolver]\n{section}");
    let config = config::parse("test.toml", &text, std::iter::empty()).unwrap_or_else(|e| panic!("{e}"));
    config.resolver.expect("a resolver")
}

fn authority() -> String {
    rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).expect("a certificate").cert.pem()
}

#[tokio::test]
async fn the_same_settings_keep_the_cache_and_changed_files_do_not() {
    let registry = Registry::new();
    let metrics = ResolverMetrics::new(&registry).expect("metrics");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    fs::write(&file, authority()).expect("written");
    let upstreams = "upstreams = ['tls://127.0.0.1:1#dns.test', '127.0.0.1:2']";
    let config = resolver(&format!("{upstreams}\nca_file = '{}'", file.display()));
    let make =
        |config, before| Recursion::new(Some(config), &metrics, before).expect("it").expect("a resolver");
    let first = make(&config, None);
    let same = make(&config, Some(&first));
    assert!(Arc::ptr_eq(&first.resolver, &same.resolver));
    fs::write(&file, authority()).expect("written");
    let renewed = make(&config, Some(&first));
    assert!(!Arc::ptr_eq(&first.resolver, &renewed.resolver), "other authorities under the same name");
    fs::write(&file, "nonsense").expect("written");
    assert!(Recursion::new(Some(&config), &metrics, Some(&first)).is_err());

    // Upstreams that are not asked any more have no metrics; those of a refused reload would be kept.
    let fewer = make(&resolver("upstreams = ['127.0.0.1:2']"), Some(&first));
    first.retire(Some(&fewer), &metrics);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    assert!(text.contains("upstream=\"127.0.0.1:2\"") && !text.contains("tls://"), "{text}");
    fewer.retire(None, &metrics);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    assert!(!text.contains("upstream="), "{text}");
}
