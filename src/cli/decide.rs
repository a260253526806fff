//! `approve` and `reject`: the operator's word on held removals.

use std::collections::BTreeSet;

use super::client::Client;
use super::{ConfigArgument, Failure, Printed, block_on};
use crate::admin::{Count, Decision};
use crate::zones::{DnsName, ResourceId};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Public names whose removal is held
    #[arg(value_name = "NAME", required_unless_present_any = ["application", "all"])]
    names: Vec<DnsName>,
    /// All held removals of this application
    #[arg(long, value_name = "ID", conflicts_with_all = ["names", "all"])]
    application: Option<ResourceId>,
    /// All held removals
    #[arg(long, conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// What the operator says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Approve,
    Reject,
}

pub(super) fn main(arguments: &Arguments, word: Word) -> Result<Printed, Failure> {
    let decision = match (&arguments.application, arguments.all) {
        (Some(id), _) => Decision::Application(id.clone()),
        (None, true) => Decision::All,
        (None, false) => Decision::Names(arguments.names.iter().cloned().collect::<BTreeSet<_>>()),
    };
    let (path, done) = match word {
        Word::Approve => ("/api/v1/holds/approve", "approved"),
        Word::Reject => ("/api/v1/holds/reject", "rejected"),
    };
    block_on(async {
        let client = Client::new(&arguments.config.config)?;
        let body = client.post(path, serde_json::to_vec(&decision)?).await?;
        let Count { count } = serde_json::from_slice(&body)?;
        if count == 0 {
            return Err("no held removal matches; `privatelink-dns status` lists them".into());
        }
        let plural = if count == 1 { "" } else { "s" };
        Ok(Printed::ok(format!("{count} removal{plural} {done}\n")))
    })
}
