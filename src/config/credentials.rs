//! Who the mirror is at an upstream: a password in a file, in the environment, or in a docker
//! `config.json`. A configuration file never holds a password itself.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{check::Check, problem::Problem, raw};
use crate::{oci::table::DOCKER_HUB, secret::Secret, upstream::Credentials};

/// The credentials that `raw`, the upstream at `key`, asks for.
pub(super) fn check(check: &mut Check<'_>, key: &str, raw: &raw::Upstream) -> Option<Credentials> {
    if let Some(file) = &raw.auth_file {
        return from_auth_file(check, key, raw, file);
    }
    let password = password(check, key, raw);
    let username_key = format!("{key}.username");
    match (&raw.username, password) {
        (None, Source::None) => None,
        (Some(_), Source::None) => {
            let step = "add `password_file` or `password_env`";
            check.refuse(&username_key, Problem::new("has no password").next(step));
            None
        }
        (None, _) => {
            check.refuse(&username_key, Problem::new("is missing, but there is a password"));
            None
        }
        (Some(_), Source::Broken) => None,
        (Some(username), Source::Password(password)) => {
            if username.contains(':') {
                let what = "a user name cannot hold a colon (RFC 7617, 2)";
                check.refuse(&username_key, Problem::new(what));
                return None;
            }
            Some(Credentials { username: username.clone(), password })
        }
    }
}

/// Where a password comes from.
#[derive(Debug)]
enum Source {
    Broken,
    None,
    Password(Secret<String>),
}

fn password(check: &mut Check<'_>, key: &str, raw: &raw::Upstream) -> Source {
    match (&raw.password_file, &raw.password_env) {
        (None, None) => Source::None,
        (Some(_), Some(_)) => {
            let what = "there is a `password_env` too: one of them is enough";
            check.refuse(&format!("{key}.password_file"), Problem::new(what));
            Source::Broken
        }
        (Some(file), None) => {
            let key = format!("{key}.password_file");
            let path = check.path(&key, file);
            match std::fs::read_to_string(&path) {
                // Editors and `echo` end a file with a line break.
                Ok(text) => found(check, &key, text.trim_end_matches(['\r', '\n'])),
                Err(error) => {
                    let what = format!("cannot read `{}`: {error}", path.display());
                    check.refuse(&key, Problem::new(what));
                    Source::Broken
                }
            }
        }
        (None, Some(name)) => {
            let value = check.variables.value(name).unwrap_or_default();
            found(check, &format!("{key}.password_env"), value)
        }
    }
}

fn found(check: &mut Check<'_>, key: &str, password: &str) -> Source {
    if password.is_empty() {
        check.refuse(key, Problem::new("the password is empty or not set"));
        return Source::Broken;
    }
    Source::Password(Secret::new(password.to_owned()))
}

fn from_auth_file(
    check: &mut Check<'_>,
    key: &str,
    raw: &raw::Upstream,
    file: &str,
) -> Option<Credentials> {
    if raw.username.is_some() || raw.password_file.is_some() || raw.password_env.is_some() {
        let what = "there is a user name or password too: `auth_file` is instead of them";
        check.refuse(&format!("{key}.auth_file"), Problem::new(what));
        return None;
    }
    let key = format!("{key}.auth_file");
    let path = check.path(&key, file);
    let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let hosts = [raw.name.as_deref(), raw.url.as_deref()].into_iter().flatten();
    match read.and_then(|text| in_docker_config(&text, hosts)) {
        Ok(credentials) => Some(credentials),
        Err(reason) => {
            check.refuse(&key, Problem::new(format!("`{}`: {reason}", path.display())));
            None
        }
    }
}

/// A docker `config.json`, as `docker login` writes it.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, DockerAuth>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

/// The entry for one of `hosts` in a docker `config.json`. Docker writes Docker Hub's entry as
/// `https://index.docker.io/v1/`.
fn in_docker_config<'a>(
    text: &str,
    hosts: impl Iterator<Item = &'a str>,
) -> Result<Credentials, String> {
    // The parser's own message could quote a secret.
    let config: DockerConfig = serde_json::from_str(text)
        .map_err(|error| format!("is not a docker config.json (line {})", error.line()))?;
    let hosts: Vec<_> = hosts.map(host_of).collect();
    let entry = config.auths.iter().find(|(server, _)| hosts.contains(&host_of(server)));
    let Some((_, entry)) = entry else {
        let helped = config.store.is_some() || !config.helpers.is_empty();
        let why = if helped {
            ": it leaves passwords to a credential helper, which the mirror does not run"
        } else {
            ""
        };
        return Err(format!("has no entry for {} under `auths`{why}", hosts.join(" or ")));
    };
    let broken = || "its entry holds no user name and password".to_owned();
    if let (Some(username), Some(password)) = (&entry.username, &entry.password) {
        return Ok(Credentials {
            username: username.clone(),
            password: Secret::new(password.clone()),
        });
    }
    let auth = entry.auth.as_ref().ok_or_else(broken)?;
    let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|pair| pair.split_once(':')).ok_or_else(broken)?;
    Ok(Credentials { username: pair.0.to_owned(), password: Secret::new(pair.1.to_owned()) })
}

/// The host in `text`, which may be a host alone or a URL; Docker Hub's spellings are one.
fn host_of(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = text.split('/').next().unwrap_or_default();
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { DOCKER_HUB } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "Y2k6czNjcjp0"},
        "ghcr.io": {"username": "robot", "password": "pw"},
        "quay.io": {}
    }, "credHelpers": {"ecr.test": "ecr-login"}}"#;

    fn found(host: &str) -> Result<(String, String), String> {
        in_docker_config(CONFIG, [host].into_iter())
            .map(|found| (found.username, found.password.expose().clone()))
    }

    #[test]
    fn reads_what_docker_login_writes() {
        assert_eq!(found("docker.io"), Ok(("ci".to_owned(), "s3cr:t".to_owned())));
        assert_eq!(found("https://ghcr.io/x"), Ok(("robot".to_owned(), "pw".to_owned())));
    }

    #[test]
    fn says_why_a_docker_config_does_not_help() {
        assert!(found("quay.io").unwrap_err().contains("no user name"));
        assert!(found("ecr.test").unwrap_err().contains("credential helper"));
        let error = in_docker_config("{\"auths\": \"hunter2\"}", ["a"].into_iter()).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
