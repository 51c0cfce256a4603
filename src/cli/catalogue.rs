//! `portcullis catalogue`: who is trusted where nobody has written a policy.

use clap::Args;

use super::{
    failure::{CliError, Exit},
    output::Output,
};
use crate::{
    environment::Environment,
    oci::UpstreamTable,
    trust::{CATALOGUE, Kind, Policy},
};

/// Shows the built-in catalogue: publishers of well-known images who really sign.
///
/// It is the policy where none is named, so that `portcullis serve` is of use from its first minute.
/// Every image that it does not list is refused.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis catalogue
  portcullis catalogue --toml > policy.toml     a start for one's own policy")]
pub struct Catalogue {
    /// Print it as a policy, with where each entry is from
    #[arg(long)]
    toml: bool,
}

impl Catalogue {
    /// Shows it.
    pub(super) fn run(
        &self,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.toml {
            output.answer().write_all(CATALOGUE.as_bytes())?;
            return Ok(Exit::Success);
        }
        let now = environment.clock.now();
        let policy = Policy::catalogue(&UpstreamTable::default(), None, now);
        for (pattern, rule) in policy.coverage() {
            output.line(format_args!("{pattern}"))?;
            let names = rule.require.authorities();
            let signers = policy.authorities().iter().filter(|one| names.contains(&&one.name));
            for signer in signers {
                output.line(format_args!("  {}: {}", signer.name, identity(&signer.kind)))?;
            }
        }
        output.line("everything else is refused")?;
        Ok(Exit::Success)
    }
}

/// Who somebody is, in words.
fn identity(kind: &Kind) -> String {
    match kind {
        Kind::Keyless(keyless) => match &keyless.issuer {
            Some(issuer) => format!("{}, as `{issuer}` knows them", keyless.subject),
            None => keyless.subject.to_string(),
        },
        Kind::Keys(_) => "by key".to_owned(),
        Kind::Notation(_) => "by Notation".to_owned(),
    }
}
