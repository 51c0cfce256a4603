//! The program: arguments in, exit code out.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use portcullis::{
    cli::{Cli, CliError, Output},
    config::Variables,
    environment::Environment,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut output = Output::of_process(colours);
    match run(cli, &mut output) {
        Ok(code) => code,
        Err(error) => {
            let known = error.downcast_ref::<CliError>();
            if !known.is_some_and(CliError::is_silent) {
                output.note(format_args!("portcullis: {error:#}"));
            }
            known.map_or(ExitCode::FAILURE, CliError::exit_code)
        }
    }
}

fn run(cli: Cli, output: &mut Output) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let exit = runtime.block_on(cli.run(variables(), &Environment::system(), output))?;
    Ok(exit.into())
}

/// The environment, as far as it is text.
fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
