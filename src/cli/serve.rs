//! `portcullis serve`: the mirror itself.

use clap::Args;

use super::shared::Shared;

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
    pub(super) shared: Shared,
}
