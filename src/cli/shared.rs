//! The options of every command that touches configuration, policy or data.

use std::path::PathBuf;

use clap::Args;

use super::{failure::CliError, output::Output};
use crate::{
    app::{self, Kept, StartError},
    config::{self, Config, ConfigRequest, Loaded, Overrides, Variables},
    environment::Environment,
    mirror::Mirror,
    store::StoreError,
    telemetry::log::{self, LogFilter},
};

/// Where the configuration is, and what replaces it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Configuration")]
pub struct Shared {
    /// Configuration file; else ./portcullis.toml, else /etc/portcullis/portcullis.toml, else defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port for clients
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address and port for health and metrics, or off; with --listen alone: a free loopback port
    #[arg(long, value_name = "ADDR|off")]
    admin: Option<String>,
    /// Folder for everything that is kept
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Policy file
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// An upstream, in place of the configured ones; the first is the default (repeatable)
    #[arg(long = "upstream", value_name = "NAME=URL", value_parser = name_and_url)]
    upstreams: Vec<(String, String)>,
    /// What to log: error, warn, info, debug, trace, or by module as in info,portcullis::store=debug
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// How to log: human or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Shared {
    /// Loads the configuration and says on stderr where it comes from.
    ///
    /// # Errors
    /// [`CliError::Config`] with everything that is wrong.
    pub fn load(&self, variables: Variables, output: &mut Output) -> Result<Loaded, CliError> {
        let loaded = config::load(&self.request(variables))?;
        output.note(format_args!("configuration: {}", loaded.source));
        Ok(loaded)
    }

    /// Loads the configuration for a command that answers and ends, and starts its log.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn start(
        &self,
        variables: Variables,
        output: &mut Output,
    ) -> Result<Config, CliError> {
        let config = self.load(variables, output)?.config;
        self.start_quiet_log(&config, output);
        Ok(config)
    }

    /// What goes wrong is logged, unless `--log` wants more.
    fn start_quiet_log(&self, config: &Config, output: &Output) {
        let mut settings = config.log.clone();
        if self.log.is_none() {
            settings.filter = LogFilter::warnings();
        }
        log::start(&settings, output.allows_colours());
    }

    /// What `--policy` says.
    pub(super) fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// What is to be loaded.
    #[must_use]
    pub fn request(&self, variables: Variables) -> ConfigRequest {
        ConfigRequest {
            file: self.config.clone(),
            overrides: Overrides {
                listen: self.listen.clone(),
                admin: self.admin.clone(),
                data: self.data.clone(),
                policy: self.policy.clone(),
                upstreams: self.upstreams.clone(),
                log: self.log.clone(),
                log_format: self.log_format.clone(),
            },
            variables,
        }
    }
}

/// The mirror on the data directory of `config`, without doors. Where one runs there already, the error
/// says what to do `instead`.
///
/// # Errors
/// When a mirror runs there, or something cannot be opened.
pub(super) fn open_mirror(
    config: &Config,
    environment: &Environment,
    instead: &str,
) -> Result<(Mirror, Kept), CliError> {
    app::mirror(config, environment).map_err(|error| match error {
        StartError::Store(StoreError::Locked { path }) => CliError::Failed(format!(
            "a mirror is running on `{}`: {instead}, or stop it first",
            path.display()
        )),
        error => error.into(),
    })
}

fn name_and_url(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, url)| !name.is_empty() && !url.is_empty());
    let (name, url) =
        pair.ok_or("write NAME=URL, such as docker.io=https://registry-1.docker.io")?;
    Ok((name.to_owned(), url.to_owned()))
}
