//! What goes wrong between client, KDC and server: each has its own error, which says what to do.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use privatelink_dns::wire::gss::{Credential, GssError, Peer, Session, TkeyRefusal};

use crate::bind::{Site, configure};
use crate::support::{REALM, ZONE, alone, alone_with, eventually, keytab, negotiate, now, run};

/// The error of a negotiation that fails.
async fn failure(peer: &Peer) -> GssError {
    let error = negotiate(peer).await.expect_err("no context");
    eprintln!("{error}");
    error
}

#[test]
fn wrong_credentials() {
    alone("failures::wrong_credentials", async |directory| {
        let site = Site::start(directory);
        let sync = site.secret("sync.keytab");

        let other = failure(&site.peer(keytab(sync.clone(), "other"))).await;
        assert!(matches!(other, GssError::NoKey { .. }), "{other:?}");

        let nothing = failure(&site.peer(keytab(site.directory.join("missing"), "sync"))).await;
        assert!(matches!(nothing, GssError::File { .. }), "{nothing:?}");
        run(&site.directory, "chmod", &["0644", "nobody.keytab"], "");
        let open = failure(&site.peer(keytab(site.directory.join("nobody.keytab"), "nobody"))).await;
        assert!(matches!(open, GssError::File { .. }), "{open:?}");
        fs::write(site.directory.join("garbage"), "garbage").expect("written");
        let garbage = failure(&site.peer(keytab(site.secret("garbage"), "sync"))).await;
        assert!(matches!(garbage, GssError::NoKey { .. }), "{garbage:?}");
        let garbage = failure(&site.peer(Credential::Ccache { path: site.secret("garbage") })).await;
        assert!(matches!(garbage, GssError::NoTicket { .. }), "{garbage:?}");

        let principal = format!("human@{REALM}");
        let password = Credential::Password { principal, file: site.secret("garbage") };
        let password = failure(&site.peer(password)).await;
        assert!(matches!(password, GssError::WrongSecret { .. }), "{password:?}");
        let principal = format!("nobody-knows@{REALM}");
        let unknown = Credential::Password { principal, file: site.secret("garbage") };
        let unknown = failure(&site.peer(unknown)).await;
        assert!(matches!(unknown, GssError::ClientUnknown { .. }), "{unknown:?}");

        site.kadmin("modprinc -allow_tix sync\n");
        let locked = failure(&site.peer(keytab(sync.clone(), "sync"))).await;
        assert!(matches!(locked, GssError::ClientRevoked { .. }), "{locked:?}");
        site.kadmin("modprinc +allow_tix sync\ncpw -randkey sync\n");
        let changed = failure(&site.peer(keytab(sync.clone(), "sync"))).await;
        assert!(matches!(changed, GssError::WrongSecret { .. }), "{changed:?}");
        site.kadmin("delprinc -force sync\n");
        let deleted = failure(&site.peer(keytab(sync, "sync"))).await;
        assert!(matches!(deleted, GssError::ClientUnknown { .. }), "{deleted:?}");
    });
}

#[test]
fn a_ticket_that_has_expired() {
    alone("failures::a_ticket_that_has_expired", async |directory| {
        let site = Site::start(directory);
        let arguments = ["-l", "1s", "-k", "-t", "sync.keytab", "-c", "FILE:tickets", "sync"];
        run(&site.directory, "kinit", &arguments, "");
        let peer = site.peer(Credential::Ccache { path: site.secret("tickets") });
        let handle = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            eventually("it has expired", || match handle.block_on(negotiate(&peer)) {
                Err(GssError::Expired { .. }) => Ok(()),
                other => Err(format!("{other:?}")),
            })
        })
        .await
        .expect("no panic");
    });
}

#[test]
fn wrong_services() {
    alone("failures::wrong_services", async |directory| {
        let mut site = Site::start(directory);
        let mut peer = site.sync();
        peer.host = format!("ns2.{ZONE}").parse().expect("a name");
        let unknown = failure(&peer).await;
        assert!(matches!(unknown, GssError::ServiceUnknown { .. }), "{unknown:?}");
        let text = unknown.to_string();
        assert!(text.contains(&format!("DNS@ns2.{ZONE}")) && text.contains("setspn"), "{text}");

        site.kadmin(&format!("cpw -randkey DNS/ns1.{ZONE}\n"));
        let changed = failure(&site.sync()).await;
        assert!(matches!(changed, GssError::Refused(_, TkeyRefusal::BadKey)), "{changed:?}");

        fs::write(site.directory.join("named.conf"), plain(&site)).expect("written");
        site.restart_named();
        let plain = failure(&site.sync()).await;
        assert!(matches!(plain, GssError::Refused(..)), "{plain:?}");
    });
}

/// The name server's configuration without GSS-TSIG.
fn plain(site: &Site) -> String {
    let text = fs::read_to_string(site.directory.join("named.conf")).expect("readable");
    let (before, rest) = text.split_once("tkey-gssapi-keytab").expect("it is there");
    format!("{before}{}", rest.split_once(';').expect("an end").1)
}

#[test]
fn clocks_that_differ() {
    alone("failures::clocks_that_differ", async |directory| {
        let site = Site::start_with(directory, &["faketime", "-f", "+1h"]);
        // Kerberos goes by the KDC's clock, and the server does not.
        let server = failure(&site.sync()).await;
        assert!(matches!(server, GssError::Refused(_, TkeyRefusal::BadKey)), "{server:?}");
        assert!(server.to_string().contains("clock"), "{server}");
        // Kerberos goes by the clock here.
        configure(&site.directory, site.kerberos, " kdc_timesync = 0\n");
        let here = failure(&site.sync()).await;
        assert!(matches!(here, GssError::ClockSkew(_)), "{here:?}");
    });
}

#[test]
fn a_kdc_that_is_down_or_silent() {
    alone("failures::a_kdc_that_is_down_or_silent", async |directory| {
        let mut site = Site::start(directory);
        site.kdc.take().expect("it runs").stop();
        let down = failure(&site.sync()).await;
        assert!(matches!(down, GssError::KdcUnreachable(_)), "{down:?}");

        let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
        configure(&site.directory, silent.local_addr().expect("an address"), "");
        let limit = Duration::from_millis(300);
        let error = Session::negotiate(&site.sync(), now(), limit).await.expect_err("no context");
        assert!(matches!(error, GssError::TimeLimit(told) if told == limit), "{error:?}");
    });
}

#[test]
fn a_dns_server_that_is_down() {
    alone("failures::a_dns_server_that_is_down", async |directory| {
        let site = Site::start(directory);
        let mut peer = site.sync();
        peer.address = crate::support::address();
        let down = failure(&peer).await;
        assert!(matches!(down, GssError::Exchange(ref error) if !error.may_be_seen()), "{down:?}");
    });
}

#[test]
fn a_missing_library() {
    // What the loader finds first is no library.
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("libgssapi_krb5.so.2"), "none").expect("written");
    let hidden = directory.path().to_owned();
    alone_with(
        "failures::a_missing_library",
        |_| vec![("LD_LIBRARY_PATH", hidden)],
        async |directory| {
            fs::write(directory.join("keytab"), "none").expect("written");
            let host = "ns1.example".parse().expect("a name");
            let credential = keytab(directory.join("keytab"), "sync");
            let missing = failure(&Peer { address: crate::support::address(), host, credential }).await;
            assert!(matches!(missing, GssError::Library(_)), "{missing:?}");
            assert!(missing.to_string().contains("libgssapi-krb5-2"), "{missing}");
        },
    );
}
