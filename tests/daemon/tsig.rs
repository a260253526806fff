//! Keys that this daemon and BIND make, each read by the other.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use privatelink_dns::wire::tsig::Keys;
use tokio::process::Command;

use crate::support::home::{BINARY, Said, said};

async fn run(program: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new(program);
    command.args(arguments);
    said(command).await
}

#[tokio::test]
async fn keys_of_the_daemon_and_of_bind_are_taken_by_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    for algorithm in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let made = run(BINARY, &["tsig", "generate", "Ours.example", "--algorithm", algorithm]).await;
        assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
        fs::write(&ours, made.out).expect("written");
        let checked = run("named-checkconf", &[&ours.display().to_string()]).await;
        assert_eq!((checked.code, checked.out.as_str(), checked.err.as_str()), (Some(0), "", ""));

        let keygen = run("tsig-keygen", &["-a", algorithm, "theirs.example"]).await;
        assert_eq!(keygen.code, Some(0), "{}", keygen.err);
        fs::write(&theirs, keygen.out).expect("written");
        for path in [&ours, &theirs] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("a mode");
        }
        let keys = Keys::read(&[ours.clone(), theirs.clone()]).expect("read");
        let found: Vec<String> =
            keys.iter().map(|key| format!("{} {}", key.name(), key.algorithm())).collect();
        assert_eq!(found, [format!("ours.example {algorithm}"), format!("theirs.example {algorithm}")]);
    }
    let again = run(BINARY, &["tsig", "generate", "ours.example"]).await.out;
    assert_ne!(again, run(BINARY, &["tsig", "generate", "ours.example"]).await.out);
}
