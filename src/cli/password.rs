//! The password of a private key: from `COSIGN_PASSWORD`, which may be empty, else from the terminal.

use super::failure::CliError;
use crate::{config::Variables, secret::Secret};

/// Asks for the password of the key in `file`.
///
/// # Errors
/// [`CliError::Usage`] where there is neither the variable nor a terminal.
pub(super) fn existing(
    variables: &Variables,
    file: &std::path::Path,
) -> Result<Secret<Vec<u8>>, CliError> {
    match variables.given(VARIABLE) {
        Some(password) => Ok(secret(password)),
        None => prompt(&format!("Password of `{}`: ", file.display())),
    }
}

/// Asks for a new password, twice.
///
/// # Errors
/// As [`existing`], and when the two differ.
pub(super) fn new(variables: &Variables) -> Result<Secret<Vec<u8>>, CliError> {
    if let Some(password) = variables.given(VARIABLE) {
        return Ok(secret(password));
    }
    let first = prompt("Password for the private key: ")?;
    if prompt("The same again: ")? == first {
        Ok(first)
    } else {
        Err(CliError::Usage("the two passwords differ: nothing was written".to_owned()))
    }
}

fn prompt(text: &str) -> Result<Secret<Vec<u8>>, CliError> {
    match rpassword::prompt_password(text) {
        Ok(password) => Ok(secret(&password)),
        Err(error) => Err(CliError::Usage(format!(
            "cannot ask for a password ({error}): set `{VARIABLE}` where there is no terminal"
        ))),
    }
}

fn secret(password: &str) -> Secret<Vec<u8>> {
    Secret::new(password.as_bytes().to_vec())
}

const VARIABLE: &str = "COSIGN_PASSWORD";
