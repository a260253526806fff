//! `init`: a first configuration, from questions or from flags.
//!
//! What is written is plain text with comments, as somebody would write it by hand, and goes through the
//! same checks as every configuration before it is put in its place. Nothing that configures anything is
//! ever overwritten.

mod answers;
mod questions;

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{CONFIG, Failure, Printed};
use crate::config::Config;
use answers::{Answers, Credential, Followed, Role};

/// Longer than any answer.
const MAX_LINE: u64 = 4096;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An application's resource id (Azure portal: Properties, Resource ID), or a subscription's id,
    /// SUBSCRIPTION or SUBSCRIPTION/GROUP, to follow all applications in it; may be repeated
    #[arg(long = "application", value_name = "ID")]
    applications: Vec<String>,
    /// Of a subscription only the applications with this tag
    #[arg(long, value_name = "NAME[=VALUE]")]
    tag: Option<String>,
    /// The cloud: public, us-government or china
    #[arg(long)]
    cloud: Option<String>,
    /// Who asks Azure
    #[arg(long, value_name = "KIND")]
    credential: Option<Credential>,
    /// Of client-secret and client-certificate: the tenant
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// Of client-secret, client-certificate and a user-assigned managed-identity: the client
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Of client-secret and client-certificate: the file with the secret, or with certificate and key
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
    /// What the daemon is for
    #[arg(long)]
    role: Option<Role>,
    /// Where it answers DNS, ADDRESS or ADDRESS:PORT; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Of beside-dns-server and resolver: a server that knows public DNS; may be repeated
    #[arg(long = "upstream", value_name = "ADDRESS")]
    upstreams: Vec<String>,
    /// Of hidden-primary and push: a server that takes the zones or the updates; may be repeated
    #[arg(long = "server", value_name = "ADDRESS")]
    servers: Vec<String>,
    /// Of hidden-primary and push: the file with the TSIG key, named `privatelink-dns-key` in it
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    /// Ask nothing: what no flag tells has its default
    #[arg(long)]
    yes: bool,
    /// Where the configuration is written
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    output: PathBuf,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("{} is a configuration already; nothing was changed. Edit it, or write elsewhere with --output", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {reason}; nothing was changed", path.display())]
    Unwritable { path: PathBuf, reason: io::Error },
    #[error("the configuration would be wrong, nothing was written:\n{0}")]
    Wrong(String),
    #[error("{flag} is needed with --yes: {asks}")]
    Missing { flag: &'static str, asks: &'static str },
    #[error("the answers ended before the last question; nothing was written")]
    Ended,
    #[error(
        "a flag is wrong, nothing was written:
{0}"
    )]
    Flag(String),
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let path = &arguments.output;
    // Before anybody has answered a dozen questions.
    let replaces = may_write(path)?;
    let mut answers = told(arguments)?;
    let (mut input, mut prompts) = (io::stdin().lock(), io::stderr().lock());
    let mut asker = if arguments.yes { None } else { Some((&mut input, &mut prompts)) };
    for question in questions::ALL {
        question.answer(&mut answers, &mut asker)?;
    }
    write(path, &answers.text(), replaces)?;
    Ok(Printed::ok(answers.next(path)))
}

/// What the flags say.
fn told(arguments: &Arguments) -> Result<Answers, InitError> {
    let mut answers = Answers {
        tag: arguments.tag.clone(),
        cloud: arguments.cloud.clone(),
        credential: arguments.credential,
        tenant_id: arguments.tenant_id.clone(),
        client_id: arguments.client_id.clone(),
        secret_file: arguments.secret_file.clone(),
        role: arguments.role,
        listen: arguments.listen.clone(),
        upstreams: arguments.upstreams.clone(),
        servers: arguments.servers.clone(),
        key_file: arguments.key_file.clone(),
        ..Answers::default()
    };
    answers.followed = arguments.applications.iter().map(|text| Followed::parse(text)).collect();
    match answers.fault() {
        Some(problem) => Err(InitError::Flag(problem)),
        None => Ok(answers),
    }
}

/// Whether the file is there, and configures nothing, as the one that the package installs.
fn may_write(path: &Path) -> Result<bool, InitError> {
    match fs::read_to_string(path) {
        Ok(text) if configures_nothing(&text) => Ok(true),
        Ok(_) => Err(InitError::Exists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(reason) => Err(InitError::Unwritable { path: path.to_owned(), reason }),
    }
}

/// Nothing but comments and the version.
fn configures_nothing(text: &str) -> bool {
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.all(|line| line.is_empty() || line.replace(' ', "") == "version=1")
}

/// Writes beside, checks, and puts it in its place.
fn write(path: &Path, text: &str, replaces: bool) -> Result<(), InitError> {
    let unwritable = |reason| InitError::Unwritable { path: path.to_owned(), reason };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = (|| {
        // Left over from an attempt that was killed.
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })();
    let placed = written.map_err(unwritable).and_then(|()| {
        let wrong = |errors: &dyn std::fmt::Display| {
            InitError::Wrong(
                errors.to_string().replace(&beside.display().to_string(), &path.display().to_string()),
            )
        };
        let loaded = Config::load(&beside).map_err(|errors| wrong(&errors))?;
        if let Some(faults) = loaded.credential {
            return Err(wrong(&faults));
        }
        if replaces {
            return fs::rename(&beside, path).map_err(unwritable);
        }
        // Unlike a rename it fails when somebody else was faster.
        fs::hard_link(&beside, path).map_err(unwritable)
    });
    // After a rename there is none.
    let _ = fs::remove_file(&beside);
    placed
}

/// The next line of the input, without blanks around it; nothing at its end.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::Read::take(&mut *input, MAX_LINE).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_configures_nothing_is_written_over() {
        assert!(configures_nothing("# a comment\n\nversion = 1   # the format\n#[azure]\n"));
        for text in ["version = 1\n[azure]\n", "version = 2", "x", "version = 1\napplication = []"] {
            assert!(!configures_nothing(text), "{text}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        assert!(!may_write(&path).expect("there is none"));
        fs::write(&path, "version = 1\n").expect("written");
        assert!(may_write(&path).expect("an empty one"));
        fs::write(&path, "version = 1\n[log]\n").expect("written");
        assert!(matches!(may_write(&path), Err(InitError::Exists(_))));
        assert!(matches!(may_write(directory.path()), Err(InitError::Unwritable { .. })));
    }

    #[test]
    fn nothing_wrong_is_put_in_place_and_nothing_is_left_beside() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        let error = write(&path, "version = 1\n", false).expect_err("no application").to_string();
        assert!(error.contains("config.toml: ") && !error.contains(".new"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);

        let text = Answers::default().text();
        write(&path, &text, false).expect("a configuration");
        // Somebody was faster.
        assert!(matches!(write(&path, &text, false), Err(InitError::Unwritable { .. })));
        write(&path, &text, true).expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }
}
