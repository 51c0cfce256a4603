//! From what was written to what can be used.
//!
//! Every setting is looked at, also after one that is wrong. A value that is wrong leaves a problem
//! behind and its default in its place, so that the checks that need it can go on; no [`Config`] with
//! a problem ever leaves [`super::load`].

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use super::{
    Cache, Config, Listen, TlsFiles,
    document::Document,
    limits,
    problem::Problem,
    raw::{self, Raw},
    trust, upstreams,
    variables::Variables,
};
use crate::{
    telemetry::{LogFormat, LogSettings},
    tls,
    units::{ByteSize, parse_duration},
};

/// What checking a configuration comes to.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Option<Config>,
    pub(super) policy: Option<PathBuf>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Checks `raw`, whose settings were written where `document` says.
pub(super) fn check(raw: &Raw, document: &Document, variables: &Variables) -> Checked {
    let mut check = Check::new(document, variables);
    let listen = check.listen(&raw.listen);
    let cache = check.cache(&raw.cache);
    let recheck_every = raw
        .recheck
        .every
        .as_deref()
        .map(|text| check.some_time("recheck.every", Some(text), Duration::from_secs(86_400)));
    let limits = limits::check(&mut check, &raw.limits);
    let log = check.log(&raw.log, variables);
    let upstreams = upstreams::check(&mut check, raw, listen.as_ref());
    let data = document.path("data", raw.data.as_deref().unwrap_or(DEFAULT_DATA));
    let policy = raw.policy.as_deref().map(|text| document.path("policy", text));
    let proxy = upstreams.as_ref().and_then(|(settings, _)| settings.first());
    let proxy = proxy.map(|settings| settings.system_proxy.clone()).unwrap_or_default();
    let trust = trust::check(&mut check, &raw.trust, &data, proxy);
    let config = listen.zip(upstreams).map(|(listen, (upstreams, table))| Config {
        data,
        trust,
        policy: policy.clone(),
        listen,
        cache,
        recheck_every,
        upstreams,
        table,
        limits,
        log,
    });
    Checked { config, policy, problems: check.problems, warnings: check.warnings }
}

/// A check under way.
#[derive(Debug)]
pub(super) struct Check<'a> {
    pub(super) document: &'a Document,
    pub(super) variables: &'a Variables,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(super) const fn new(document: &'a Document, variables: &'a Variables) -> Self {
        Self { document, variables, problems: Vec::new(), warnings: Vec::new() }
    }

    /// `key` is wrong.
    pub(super) fn refuse(&mut self, key: &str, problem: Problem) {
        self.problems.push(problem.of(key).at(self.document.place(key)));
    }

    /// `key` works, but somebody should know.
    pub(super) fn warn(&mut self, key: &str, problem: Problem) {
        self.warnings.push(problem.of(key).at(self.document.place(key)));
    }

    /// The value of `key`, where it is set and right.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &str,
        text: Option<&str>,
    ) -> Option<T> {
        let text = text?;
        let parsed = text.parse();
        parsed.map_err(|error| self.refuse(key, Problem::new(format!("`{text}`: {error}")))).ok()
    }

    /// The duration that `key` sets.
    pub(super) fn duration(
        &mut self,
        key: &str,
        text: Option<&str>,
        default: Duration,
    ) -> Duration {
        let Some(text) = text else { return default };
        parse_duration(text).unwrap_or_else(|error| {
            self.refuse(key, Problem::new(format!("`{text}`: {error}")));
            default
        })
    }

    /// The duration that `key` sets, which must not be zero.
    pub(super) fn some_time(
        &mut self,
        key: &str,
        text: Option<&str>,
        default: Duration,
    ) -> Duration {
        let duration = self.duration(key, text, default);
        if duration.is_zero() {
            self.refuse(key, Problem::new("must be longer than nothing"));
        }
        duration
    }

    /// The path that `key` sets, as it is from the current folder.
    pub(super) fn path(&self, key: &str, text: &str) -> PathBuf {
        self.document.path(key, text)
    }

    fn listen(&mut self, raw: &raw::Listen) -> Option<Listen> {
        let address = self.address("listen.address", raw.address.as_deref(), DEFAULT_ADDRESS);
        let admin = match raw.admin.as_deref() {
            Some("off") => None,
            admin => self.address("listen.admin", admin, DEFAULT_ADMIN),
        };
        let tls = raw.tls.as_ref().and_then(|tls| self.tls(tls));
        let address = address?;
        if raw.tls.is_none() && !address.ip().is_loopback() && raw.plain_http != Some(true) {
            let what =
                format!("refuses to speak plain HTTP on {address}, which other machines can reach");
            let step = "set `listen.tls`, or `listen.plain_http = true` where something in front of the mirror speaks TLS";
            self.refuse("listen.address", Problem::new(what).next(step));
        }
        if let Some(admin) = admin {
            self.admin(address, admin);
        }
        Some(Listen { address, admin, tls })
    }

    fn admin(&mut self, address: SocketAddr, admin: SocketAddr) {
        if admin == address && admin.port() != 0 {
            let what = format!("is the address for clients, {address}");
            self.refuse("listen.admin", Problem::new(what).next("choose another port, or `off`"));
        } else if !admin.ip().is_loopback() {
            let what = format!("health and metrics on {admin} can be read by other machines");
            self.warn("listen.admin", Problem::new(what));
        }
    }

    fn address(&mut self, key: &str, text: Option<&str>, default: &str) -> Option<SocketAddr> {
        let text = text.unwrap_or(default);
        let address = text.parse();
        let step = "write an IP address and a port, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`";
        address
            .map_err(|_| {
                self.refuse(key, Problem::new(format!("`{text}` is not an address")).next(step));
            })
            .ok()
    }

    fn tls(&mut self, raw: &raw::Tls) -> Option<TlsFiles> {
        let mut file = |key: &str, text: Option<&str>| {
            let Some(text) = text else {
                self.refuse(key, Problem::new("is missing"));
                return None;
            };
            Some(self.path(key, text))
        };
        let certificate = file("listen.tls.certificate", raw.certificate.as_deref());
        let key = file("listen.tls.key", raw.key.as_deref());
        let files = TlsFiles { certificate: certificate?, key: key? };
        if let Err(error) = tls::server_config(&files.certificate, &files.key) {
            self.refuse("listen.tls", Problem::new(error.to_string()));
        }
        Some(files)
    }

    fn cache(&mut self, raw: &raw::Cache) -> Cache {
        let max_size: Option<ByteSize> = self.parsed("cache.max_size", raw.max_size.as_deref());
        Cache {
            max_size: max_size.map_or(0, |size| size.0),
            tag_fresh: self.duration(
                "cache.tag_fresh",
                raw.tag_fresh.as_deref(),
                DEFAULT_TAG_FRESH,
            ),
            denied_fresh: self.duration(
                "cache.denied_fresh",
                raw.denied_fresh.as_deref(),
                DEFAULT_DENIED_FRESH,
            ),
            scrub_every: self.some_time(
                "cache.scrub_every",
                raw.scrub_every.as_deref(),
                DEFAULT_SCRUB_EVERY,
            ),
            fills_per_upstream: self.some_fills(raw.fills_per_upstream),
            prefetch: raw.prefetch.unwrap_or(false),
        }
    }

    fn some_fills(&mut self, number: Option<u32>) -> NonZeroUsize {
        let Some(number) = number else { return DEFAULT_FILLS_PER_UPSTREAM };
        usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or_else(|| {
            self.refuse("cache.fills_per_upstream", Problem::new("must be at least 1"));
            DEFAULT_FILLS_PER_UPSTREAM
        })
    }

    fn log(&mut self, raw: &raw::Log, variables: &Variables) -> LogSettings {
        let level = raw.level.as_deref().or_else(|| variables.value(LOG_VARIABLE));
        LogSettings {
            filter: self.parsed("log.level", level).unwrap_or_default(),
            format: self.parsed("log.format", raw.format.as_deref()).unwrap_or(LogFormat::Human),
        }
    }
}

const DEFAULT_DATA: &str = "data";
const DEFAULT_ADDRESS: &str = "127.0.0.1:5000";
/// Where health and metrics are when nobody says otherwise.
pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:5001";
const DEFAULT_TAG_FRESH: Duration = Duration::from_secs(60);
const DEFAULT_DENIED_FRESH: Duration = Duration::from_secs(30);
const DEFAULT_FILLS_PER_UPSTREAM: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");
const DEFAULT_SCRUB_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Short for `PORTCULLIS_LOG_LEVEL`.
const LOG_VARIABLE: &str = "PORTCULLIS_LOG";
