//! The documentation: its links lead somewhere, its configurations and commands work, and the runbook
//! knows everything that a person may be told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use privatelink_dns::zones::FindingKind;
use tokio::process::Command;

use crate::monitoring::tool;
use crate::readme::{blocks, spans};
use crate::support::home::said;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// README.md and docs/*.md, relative to the repository.
pub(crate) fn pages() -> Vec<String> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).expect("docs/");
    let docs = docs.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut pages: Vec<String> = docs.map(|name| format!("docs/{name}")).collect();
    pages.sort();
    pages.insert(0, "README.md".to_owned());
    pages
}

pub(crate) fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The anchors of a page's headings, as GitHub makes them.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let prose = blocks(&read(page)).1;
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    });
    anchors.collect()
}

/// The targets of a page's links that are no web addresses.
fn links(page: &str) -> Vec<String> {
    let prose = blocks(&read(page)).1;
    let links = prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default().to_owned());
    links.filter(|link| !link.contains("://")).collect()
}

/// Where a link of a page leads to, and the anchor there.
fn target(page: &str, link: &str) -> (String, Option<String>) {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (link, None),
    };
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut whole = PathBuf::new();
    for component in Path::new(page).parent().expect("a folder").join(path).components() {
        match component {
            Component::ParentDir => assert!(whole.pop(), "{page}: {link} leaves the repository"),
            component => whole.push(component),
        }
    }
    (whole.to_str().expect("UTF-8").to_owned(), anchor)
}

#[test]
fn every_link_leads_somewhere() {
    let more = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned);
    let mut count = 0;
    for page in pages().into_iter().chain(more) {
        for link in links(&page) {
            let (path, anchor) = target(&page, &link);
            assert!(Path::new(ROOT).join(&path).exists(), "{page}: {link}: there is no {path}");
            if let Some(anchor) = anchor {
                assert!(anchors(&path).contains(&anchor), "{page}: {link}: {path} has no #{anchor}");
            }
            count += 1;
        }
    }
    assert!(count > 150, "{count} links");
}

#[test]
fn every_page_is_reached_from_the_first() {
    let mut reached = BTreeSet::new();
    let mut open = vec!["README.md".to_owned()];
    while let Some(page) = open.pop() {
        if reached.insert(page.clone()) {
            let paths = links(&page).into_iter().map(|link| target(&page, &link).0);
            open.extend(paths.filter(|path| path.starts_with("docs/") && path.ends_with(".md")));
        }
    }
    for page in pages() {
        assert!(reached.contains(&page), "no link leads to {page}");
    }
}

#[tokio::test]
async fn every_script_is_one() {
    let mut count = 0;
    for page in pages() {
        for (_, script) in blocks(&read(&page)).0.iter().filter(|(language, _)| language == "sh") {
            let mut shell = Command::new("bash");
            shell.args(["-n", "-c", script]);
            let checked = said(shell).await;
            assert_eq!(checked.code, Some(0), "{page}: {}{script}", checked.err);
            count += 1;
        }
    }
    assert!(count > 30, "{count} scripts");
}

#[test]
fn every_script_for_windows_is_powershell() {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).expect("a grammar");
    let mut count = 0;
    for page in pages() {
        for (_, script) in blocks(&read(&page)).0.iter().filter(|(language, _)| language == "powershell") {
            let tree = parser.parse(script, None).expect("a tree");
            assert!(!tree.root_node().has_error(), "{page}: {script}: {}", tree.root_node().to_sexp());
            count += 1;
        }
    }
    assert!(count > 2, "{count} scripts");
}

/// Of programs that tell their commands without a server; pdns_control does not.
#[tokio::test]
async fn every_command_of_other_programs_exists() {
    let (scripts, prose): (Vec<_>, Vec<_>) = pages().iter().map(|page| blocks(&read(page))).unzip();
    let scripts = scripts.concat().into_iter().filter(|(language, _)| language == "sh");
    let mut lines: Vec<String> =
        scripts.flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.extend(prose.iter().flat_map(|prose| spans(prose)));
    let calls: Vec<Vec<&str>> = lines
        .iter()
        .flat_map(|line| line.split(['|', ';', '&', '#']))
        .map(|call| call.split_whitespace().skip_while(|word| *word == "sudo").collect())
        .collect();
    let mut count = 0;
    for (name, help) in [
        ("rndc", "-h"),
        ("knotc", "--help"),
        ("nsd-control", "-h"),
        ("unbound-control", "-h"),
        ("pdnsutil", "--help"),
        ("promtool", "--help"),
    ] {
        let mut command = Command::new(tool(name));
        command.arg(help);
        let told = said(command).await;
        let known: BTreeSet<&str> = told
            .out
            .lines()
            .chain(told.err.lines())
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        for call in calls.iter().filter(|call| call.first() == Some(&name)) {
            if let Some(subcommand) = call.get(1) {
                assert!(known.contains(subcommand), "{name} knows no {subcommand}: {call:?}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} commands");
}

/// What the page on operations tells to write into prometheus.yml, with the rules of this repository.
#[tokio::test]
async fn prometheus_takes_its_configuration() {
    let blocks = blocks(&read("docs/operations.md")).0;
    let text = &blocks.iter().find(|(_, text)| text.contains("scrape_configs")).expect("a configuration").1;
    let rules = format!("{ROOT}/monitoring/alerts.yml");
    let text = text.replace("/etc/prometheus/privatelink-dns/alerts.yml", &rules);
    assert!(text.contains(&rules), "{text}");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("prometheus.yml");
    fs::write(&file, text).expect("written");
    let mut promtool = Command::new(tool("promtool"));
    promtool.args(["check", "config"]).arg(&file);
    let checked = said(promtool).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
}

#[test]
fn every_finding_has_an_entry_in_the_runbook() {
    let text = read("docs/runbook.md");
    let entries = text.split("\n### ").skip(1);
    let entries: BTreeMap<&str, &str> = entries.filter_map(|entry| entry.split_once('\n')).collect();
    for kind in FindingKind::ALL {
        let entry = entries.get(kind.code()).unwrap_or_else(|| panic!("no entry for {}", kind.code()));
        for part in ["**Means**", "**Risk**", "**Look**", "**Do**"] {
            assert!(entry.contains(part), "{}: {part}", kind.code());
        }
    }
    for (code, entry) in entries.iter().filter(|(code, _)| code.starts_with("alert-")) {
        for part in ["**Means**", "**Risk**", "**Look**", "**Do**"] {
            assert!(entry.contains(part), "{code}: {part}");
        }
    }
}

/// The Rust sources below a directory, with their paths in the repository.
fn sources(directory: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(Path::new(ROOT).join(directory)).expect("a directory") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let path = format!("{directory}/{name}");
        if Path::new(ROOT).join(&path).is_dir() {
            all.extend(sources(&path));
        } else if name.ends_with(".rs") {
            let text = read(&path);
            all.insert(path, text);
        }
    }
    all
}

/// How often code says a word; comments do not count.
fn says(text: &str, word: &str) -> usize {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| *w == word).count())
        .sum()
}

#[test]
fn the_threat_model_names_tests_that_exist_and_all_unsafe_code() {
    let text = read("docs/threat-model.md");
    let (product, tests) = (sources("src"), sources("tests"));
    let functions: BTreeSet<&str> = product
        .values()
        .chain(tests.values())
        .flat_map(|source| source.split("fn ").skip(1))
        .map(|rest| rest.split(['(', '<']).next().unwrap_or_default())
        .collect();
    let named = spans(&text);
    let named = named.iter().filter(|span| {
        span.matches('_').count() > 1
            && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    });
    let mut count = 0;
    for name in named {
        assert!(functions.contains(name.as_str()), "there is no test {name}");
        count += 1;
    }
    assert!(count > 40, "{count} tests");

    let found: BTreeMap<&str, usize> = product
        .iter()
        .map(|(path, source)| (path.as_str(), says(source, "unsafe")))
        .filter(|(_, count)| *count > 0)
        .collect();
    let (_, table) = text.split_once("| file | `unsafe` | why |").expect("a table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: BTreeMap<&str, usize> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let path = cells.next().expect("a file").trim_matches('`');
            let count = cells.next().expect("a count").parse().expect("a number");
            assert!(cells.next().is_some_and(|why| why.len() > 20), "{path}: why?");
            (path, count)
        })
        .collect();
    assert_eq!(found, listed, "every `unsafe` is listed with a reason");
}
