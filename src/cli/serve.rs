//! `portcullis serve`: runs the mirror until it is told to stop.

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    failure::{CliError, Exit},
    output::Output,
    shared::Shared,
};
use crate::{
    app::{App, StartError},
    config::Variables,
    environment::Environment,
    telemetry,
};

/// Runs the mirror until SIGTERM or SIGINT.
///
/// Loads the configuration and the policy, opens the listeners, and serves. On SIGHUP, and whenever
/// the policy or one of its keys changes, the policy is loaded again; one with a mistake changes
/// nothing. On SIGTERM and SIGINT what streams may finish, then it exits with 0.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis serve
  portcullis serve --config /etc/portcullis/portcullis.toml --log-format json
  portcullis serve --listen 127.0.0.1:8080 --data /tmp/data --policy policy.toml \\
      --upstream registry.example=https://registry.example

Exits with 2 when configuration or policy are wrong, with 1 when it cannot start.")]
pub struct Serve {
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl Serve {
    /// Serves.
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let loaded = self.shared.load(variables, output)?;
        let _unwritten = telemetry::log::start_serving(&loaded.config.log, output.allows_colours())
            .map_err(|error| CliError::Failed(format!("cannot start the log: {error}")))?;
        raise_file_limit();
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        // Before the first line says that it listens: whoever reads that may signal at once.
        let stop = stopped()?;
        let mut hangups = signal(SignalKind::hangup()).map_err(no_signals)?;
        let has_policy = loaded.config.policy.is_some();
        let app = App::start(loaded.config, environment).await?;
        if !has_policy {
            output.note(CATALOGUE_IN_FORCE);
            for (pattern, rule) in app.policy().coverage() {
                output.note(format_args!("  {pattern}: {}", rule.require.demand()));
            }
        }
        output.note(format_args!("listening on {}", app.address()));
        if let Some(admin) = app.admin_address() {
            output.note(format_args!("admin on {admin}"));
        }
        let keeper = app.policy_keeper();
        let reloading = tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                keeper.reload();
            }
        });
        app.serve(stop).await;
        reloading.abort();
        Ok(Exit::Success)
    }
}

/// Ends when the process is told to stop.
pub(super) fn stopped() -> Result<impl Future<Output = ()> + Send, CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Every connection and every open blob is a file; the soft limit is often 1024 for the sake of
/// programs that use `select`, which this one does not.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

fn no_signals(error: std::io::Error) -> CliError {
    CliError::Failed(format!("cannot listen for signals: {error}"))
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Policy(problems) => {
                Self::Config(problems.0.into_iter().map(Into::into).collect())
            }
            error @ (StartError::Tls(_) | StartError::Upstream(_)) => {
                Self::Usage(error.to_string())
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

/// What whoever has not written a policy has to know.
const CATALOGUE_IN_FORCE: &str =
    "no policy is named: the built-in catalogue is in force, and everything else is refused
  (`portcullis catalogue --toml > policy.toml` is a start for your own; name it with `--policy`)";
