//! Wrong configurations and what a person is told: every `config_errors/NAME.toml` has the expected
//! text in `NAME.txt`. A comment `# environment: NAME=VALUE` in the file sets a variable.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config_errors` writes the texts anew; read them before you
//! commit.

use std::fs;
use std::path::{Path, PathBuf};

use privatelink_dns::config;

fn told(path: &Path) -> String {
    let name = path.file_name().and_then(|n| n.to_str()).expect("a file name");
    let text = fs::read_to_string(path).expect("a readable file");
    let environment = text
        .lines()
        .filter_map(|line| line.strip_prefix("# environment: ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    match config::parse(name, &text, environment) {
        Ok(_) => panic!("{name} is not wrong"),
        Err(errors) => format!("{errors}\n"),
    }
}

#[test]
fn every_wrong_configuration_gets_its_answer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config_errors");
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 35, "only {} wrong configurations", paths.len());
    let mut differing = Vec::new();
    for path in paths {
        let told = told(&path);
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &told).expect("a writable file");
        } else if fs::read_to_string(&golden).unwrap_or_default() != told {
            differing.push(format!("{}:\n{told}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "these texts changed:\n\n{}", differing.join("\n"));
}
