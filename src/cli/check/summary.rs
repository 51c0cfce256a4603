//! What configuration and policy mean, as values: `check --json` prints them as they are.

use std::{path::PathBuf, time::SystemTime};

use serde::Serialize;

use crate::{
    config::{Config, ConfigSource, Problem},
    timestamp::Timestamp,
    trust::{Authority, AuthorityKey, Denial, Exception, Format, Pattern, Policy, Rule},
    units::ByteSize,
    upstream::Settings,
};

/// Everything that was understood.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) source: String,
    pub(super) data: PathBuf,
    pub(super) listen: String,
    pub(super) admin: Option<String>,
    pub(super) max_size: String,
    pub(super) tag_fresh_seconds: f64,
    pub(super) denied_fresh_seconds: f64,
    pub(super) upstreams: Vec<UpstreamSummary>,
    pub(super) policy: PolicySummary,
}

/// An upstream.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamSummary {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) default: bool,
    pub(super) username: Option<String>,
}

/// The policy.
#[derive(Debug, Serialize)]
pub(super) struct PolicySummary {
    pub(super) path: Option<PathBuf>,
    pub(super) hash: String,
    pub(super) trust: String,
    pub(super) rules: Vec<RuleSummary>,
    pub(super) authorities: Vec<AuthoritySummary>,
    pub(super) deny: Vec<DenySummary>,
    pub(super) exceptions: Vec<ExceptionSummary>,
}

/// A pattern and what its rule requires; the most specific come first.
#[derive(Debug, Serialize)]
pub(super) struct RuleSummary {
    #[serde(rename = "match")]
    pub(super) pattern: String,
    pub(super) requires: String,
    pub(super) mode: String,
    pub(super) formats: Vec<Format>,
    pub(super) signed_as: String,
    pub(super) signatures_in: Option<String>,
}

/// Someone who can vouch.
#[derive(Debug, Serialize)]
pub(super) struct AuthoritySummary {
    pub(super) name: String,
    pub(super) repositories: Vec<String>,
    pub(super) keys: Vec<KeySummary>,
}

/// A key.
#[derive(Debug, Serialize)]
pub(super) struct KeySummary {
    pub(super) file: PathBuf,
    pub(super) algorithm: String,
    pub(super) fingerprint: String,
    pub(super) window: String,
    pub(super) counts_now: bool,
    pub(super) until: Option<Timestamp>,
}

/// An entry of the deny list.
#[derive(Debug, Serialize)]
pub(super) struct DenySummary {
    pub(super) what: String,
    pub(super) reason: Option<String>,
}

/// An exception.
#[derive(Debug, Serialize)]
pub(super) struct ExceptionSummary {
    pub(super) repositories: Vec<String>,
    pub(super) digest: String,
    pub(super) until: Timestamp,
    pub(super) ended: bool,
    pub(super) reason: String,
}

/// A problem or a warning.
#[derive(Debug, Serialize)]
pub(super) struct JsonProblem<'a> {
    place: Option<String>,
    key: Option<&'a str>,
    what: &'a str,
    next_step: Option<&'a str>,
}

impl<'a> From<&'a Problem> for JsonProblem<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            place: problem.place.as_ref().map(ToString::to_string),
            key: problem.key.as_deref(),
            what: &problem.what,
            next_step: problem.next_step.as_deref(),
        }
    }
}

impl Summary {
    pub(super) fn of(
        config: &Config,
        source: &ConfigSource,
        policy: &Policy,
        now: SystemTime,
    ) -> Self {
        let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
        let max_size = match config.cache.max_size {
            0 => "no limit".to_owned(),
            bytes => ByteSize(bytes).to_string(),
        };
        Self {
            source: source.to_string(),
            data: config.data.clone(),
            listen: format!("{scheme}://{}", config.listen.address),
            admin: config.listen.admin.map(|address| format!("http://{address}")),
            max_size,
            tag_fresh_seconds: config.cache.tag_fresh.as_secs_f64(),
            denied_fresh_seconds: config.cache.denied_fresh.as_secs_f64(),
            upstreams: config
                .upstreams
                .iter()
                .map(|settings| UpstreamSummary::of(settings, config))
                .collect(),
            policy: PolicySummary::of(policy, now),
        }
    }
}

impl UpstreamSummary {
    fn of(settings: &Settings, config: &Config) -> Self {
        Self {
            name: settings.name.to_string(),
            url: settings.url.to_string(),
            default: config.table.default_upstream() == Some(&settings.name),
            username: settings.credentials.as_ref().map(|user| user.username.clone()),
        }
    }
}

impl PolicySummary {
    fn of(policy: &Policy, now: SystemTime) -> Self {
        let authorities = policy.authorities().iter();
        Self {
            path: policy.path().map(ToOwned::to_owned),
            hash: policy.hash().to_owned(),
            trust: policy.trust_hash().to_owned(),
            rules: policy
                .coverage()
                .map(|(pattern, rule)| RuleSummary::of(pattern, rule))
                .collect(),
            authorities: authorities
                .map(|authority| AuthoritySummary::of(authority, now))
                .collect(),
            deny: policy.denials().iter().map(DenySummary::from).collect(),
            exceptions: policy
                .exceptions()
                .iter()
                .map(|exception| ExceptionSummary::of(exception, now))
                .collect(),
        }
    }
}

impl RuleSummary {
    fn of(pattern: &Pattern, rule: &Rule) -> Self {
        Self {
            pattern: pattern.to_string(),
            requires: rule.require.demand(),
            mode: rule.mode.to_string(),
            formats: rule.formats.clone(),
            signed_as: rule.signed_as.to_string(),
            signatures_in: rule.signatures_in.as_ref().map(ToString::to_string),
        }
    }
}

impl AuthoritySummary {
    fn of(authority: &Authority, now: SystemTime) -> Self {
        Self {
            name: authority.name.to_string(),
            repositories: texts(&authority.repositories),
            keys: authority.keys().iter().map(|key| KeySummary::of(key, now)).collect(),
        }
    }
}

impl KeySummary {
    fn of(entry: &AuthorityKey, now: SystemTime) -> Self {
        Self {
            file: entry.file.clone(),
            algorithm: entry.key.algorithm().to_string(),
            fingerprint: entry.key.fingerprint().to_string(),
            window: entry.window.to_string(),
            counts_now: entry.window.contains(now),
            until: entry.window.until.map(Timestamp),
        }
    }
}

impl From<&Denial> for DenySummary {
    fn from(denial: &Denial) -> Self {
        Self { what: denial.what.to_string(), reason: denial.reason.clone() }
    }
}

impl ExceptionSummary {
    fn of(exception: &Exception, now: SystemTime) -> Self {
        Self {
            repositories: texts(&exception.patterns),
            digest: exception.digest.to_string(),
            until: Timestamp(exception.until),
            ended: exception.until <= now,
            reason: exception.reason.clone(),
        }
    }
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}
