//! `portcullis list`: which images are here.

use clap::Args;
use serde::Deserialize;

use super::{Station, server::ServerAddress};
use crate::{
    cli::{CliError, Exit, Output, shared::Shared},
    config::Variables,
    environment::Environment,
    mirror::Holding,
    timestamp::Timestamp,
    units::Rounded,
};

/// Shows which images are here: what they are, who vouched for them, and how they came.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis list
  portcullis list --json | jq '.images[].image'")]
pub struct List {
    /// Ask the running mirror whose admin listener this is
    #[arg(long, value_name = "ADDR")]
    server: Option<ServerAddress>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl List {
    /// Lists.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        let Images { images: holdings } = match &self.server {
            Some(server) => {
                let answer = server.fetch("/v1/images")?;
                serde_json::from_str(&answer).map_err(|error| {
                    CliError::Failed(format!("the mirror's answer makes no sense: {error}"))
                })?
            }
            None => {
                let station = Station::open(&config, environment, "list")?;
                let images = station.mirror.holdings().await;
                station.close().await;
                Images { images: images.map_err(|error| CliError::Failed(error.to_string()))? }
            }
        };
        if self.json {
            output.json(&serde_json::json!({ "images": holdings }))?;
            return Ok(Exit::Success);
        }
        for holding in &holdings {
            tell(holding, output)?;
        }
        if holdings.is_empty() {
            output
                .note("nothing is here yet: `portcullis seed` or `portcullis import` bring images");
        }
        Ok(Exit::Success)
    }
}

/// The answer of a mirror.
#[derive(Deserialize)]
struct Images {
    images: Vec<Holding>,
}

/// Two lines for each, so that long names fit into 80 columns.
fn tell(holding: &Holding, output: &mut Output) -> std::io::Result<()> {
    output.line(format_args!("{}:{}", holding.image, holding.tag))?;
    let mut facts = vec![Rounded(holding.size).to_string()];
    match holding.platforms.as_slice() {
        [] => {}
        platforms => facts.push(platforms.join(" ")),
    }
    facts.push(match holding.signed_by.as_slice() {
        [] if holding.admitted => "admitted without a signature".to_owned(),
        [] => "not admitted by the policy of now".to_owned(),
        signers => format!("signed by {}", signers.join(", ")),
    });
    let since = Timestamp(holding.since.0).to_string();
    let day = since.split('T').next().unwrap_or_default();
    facts.push(match &holding.from {
        Some(archive) => format!("{day} from {archive}"),
        None => format!("{day} from the upstream"),
    });
    output.line(format_args!("    {}", facts.join(", ")))
}
