//! `portcullis completions`: what a shell needs to complete the command line.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{
    failure::{CliError, Exit},
    output::Output,
};

/// Prints the completions for a shell.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > ~/.zfunc/_portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Prints them for `command`.
    pub(super) fn run(self, mut command: Command, output: &mut Output) -> Result<Exit, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "portcullis", &mut script);
        output.answer().write_all(&script)?;
        Ok(Exit::Success)
    }
}
