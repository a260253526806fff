//! The manual pages in `man/`: made from the command line and from config/reference.toml, up to date,
//! and rendered without a warning.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap_mangen::Man;

const REFERENCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference.toml"));

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// The page of a command and those of its subcommands, by file name. `title` has all names up to here.
fn pages(command: &clap::Command, title: &str, pages: &mut BTreeMap<String, String>) {
    // The page's own name has hyphens, what a user types has blanks.
    let name: &'static str = title.replace(' ', "-").leak();
    let command = command.clone().name(name).display_name(name).bin_name(title.to_owned());
    let command = command.disable_help_subcommand(true);
    let mut page = Vec::new();
    let man = Man::new(command.clone()).source(concat!("privatelink-dns ", env!("CARGO_PKG_VERSION")));
    man.manual("privatelink-dns").render(&mut page).expect("a page");
    pages_of_subcommands(&command, title, pages);
    // No date, which clap_mangen would leave out: a page changes when its text does.
    let page = String::from_utf8(page).expect("text").replacen(" 1  \"", " 1 \"\" \"", 1);
    pages.insert(format!("{name}.1"), page);
}

fn pages_of_subcommands(command: &clap::Command, title: &str, all: &mut BTreeMap<String, String>) {
    for subcommand in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        pages(subcommand, &format!("{title} {}", subcommand.get_name()), all);
    }
}

/// The reference as a page, line by line.
fn reference() -> String {
    let mut page = format!(
        ".TH PRIVATELINK-DNS.TOML 5 \"\" \"privatelink-dns {}\" privatelink-dns\n.SH NAME\n\
         privatelink-dns.toml \\- configuration of privatelink\\-dns\n.SH SYNOPSIS\n\
         /etc/privatelink\\-dns/config.toml\n.SH DESCRIPTION\n\
         .BR privatelink\\-dns\\-init (1)\nwrites a first one, and\n.BR privatelink\\-dns\\-check\\-config (1)\n\
         tells all that is wrong with one.\n.PP\n.nf\n",
        env!("CARGO_PKG_VERSION")
    );
    for line in REFERENCE.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('^', "\\(ha");
        let line = line.replace('~', "\\(ti").replace('`', "\\(ga").replace('…', "...");
        // A dot at the beginning of a line is a request.
        page += &if line.starts_with('.') { format!("\\&{line}\n") } else { line + "\n" };
    }
    page + ".fi\n.SH SEE ALSO\n.BR privatelink\\-dns (1)\n"
}

#[test]
fn the_pages_are_those_of_the_command_line() {
    let mut made = BTreeMap::new();
    pages(&privatelink_dns::cli::command(), "privatelink-dns", &mut made);
    made.insert("privatelink-dns.toml.5".to_owned(), reference());
    let directory = directory();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("man/");
        for (name, text) in &made {
            fs::write(directory.join(name), text).expect("written");
        }
    }
    let kept = fs::read_dir(&directory).expect("man/").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("text"))
    });
    let kept: BTreeMap<String, String> = kept.collect();
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let remedy = "run UPDATE_GOLDEN=1 cargo test --test man";
    assert_eq!(names(&kept), names(&made), "{remedy}");
    for (name, text) in &made {
        assert!(kept[name] == *text, "man/{name} is not up to date: {remedy}");
    }
}

#[test]
fn every_page_is_rendered_without_a_warning() {
    let pages = fs::read_dir(directory()).expect("man/").map(|entry| entry.expect("an entry").path());
    let by_hand = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/privatelink-dns-hosts.1");
    let mut rendered = 0;
    for path in pages.chain([by_hand]) {
        let mut man = Command::new("man");
        // As lintian does.
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&path);
        man.env("LC_ALL", "C.UTF-8").env("MANROFFSEQ", "").env("MANWIDTH", "80").stdin(Stdio::null());
        let output = man.output().expect("man is installed; scripts/test installs what tests need");
        assert!(output.status.success(), "{path:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{path:?}");
        assert!(output.stdout.len() > 500, "{path:?}");
        rendered += 1;
    }
    assert!(rendered > 10);
}
