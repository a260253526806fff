//! `health`: for container health checks.

use super::client::Client;
use super::{ConfigArgument, FAILURE, Failure, Printed, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Ask for readiness (answers can be given) instead of liveness
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let path = if arguments.ready { "/readyz" } else { "/livez" };
    block_on(async {
        let (status, body) = Client::new(&arguments.config.config)?.get(path).await?;
        let code = if status.is_success() { 0 } else { FAILURE };
        let mut text = String::from_utf8_lossy(&body).trim_end().to_owned();
        text.push('\n');
        Ok(Printed { text, code })
    })
}
