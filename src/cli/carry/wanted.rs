//! Which images a command is about: named one by one, or in lists with one a line.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use crate::{
    cli::{CliError, image::ImageArgument},
    mirror::{Denied, Order, Platforms},
    oci::UpstreamTable,
};

/// The orders for `arguments`: a file or `-` is a list, anything else an image.
///
/// # Errors
/// [`CliError::Usage`] names the list and the line that is no image.
pub(super) fn orders(
    arguments: &[String],
    platforms: &Platforms,
    table: &UpstreamTable,
) -> Result<Vec<Order>, CliError> {
    let mut orders = Vec::new();
    for argument in arguments {
        let list = match argument.as_str() {
            "-" => {
                let mut text = String::new();
                let read = io::stdin().read_to_string(&mut text);
                read.map_err(|error| unreadable(argument, &error))?;
                Some(text)
            }
            path if Path::new(path).is_file() => {
                Some(fs::read_to_string(path).map_err(|error| unreadable(path, &error))?)
            }
            _ => None,
        };
        match list {
            None => orders.push(order(argument, platforms, table).map_err(CliError::Usage)?),
            Some(list) => {
                for (number, line) in list.lines().enumerate() {
                    let line = line.split('#').next().unwrap_or_default().trim();
                    if !line.is_empty() {
                        let order = order(line, platforms, table);
                        orders.push(order.map_err(|error| {
                            CliError::Usage(format!("{argument}:{}: {error}", number + 1))
                        })?);
                    }
                }
            }
        }
    }
    Ok(orders)
}

fn order(text: &str, platforms: &Platforms, table: &UpstreamTable) -> Result<Order, String> {
    let argument: ImageArgument = text.parse().map_err(|error| format!("`{text}`: {error}"))?;
    let image = argument.image(table).map_err(|error| format!("`{text}`: {error}"))?;
    Ok(Order {
        image,
        reference: argument.reference_or_latest(),
        platforms: platforms.clone(),
        denied: Denied::Left,
        from: None,
    })
}

fn unreadable(path: &str, error: &io::Error) -> CliError {
    CliError::Usage(format!("cannot read the list `{path}`: {error}"))
}
