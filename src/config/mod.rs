//! The configuration: read once, checked once, errors name the key.
//!
//! ```text
//! file ── document ──┐
//! environment ───────┼── shape (known keys, right types) ── raw ── check ── Config
//! command line ──────┘
//! ```
//!
//! [`load`] is a function of its [`ConfigRequest`] and of the files that are named in it: no global
//! is read, so a test can hand it any environment. It never stops at the first mistake: what comes
//! back is a [`Config`] in which nothing can be wrong any more, or every [`Problem`] there is.

mod check;
mod credentials;
mod document;
mod fingerprints;
mod limits;
mod problem;
mod raw;
mod shape;
#[cfg(test)]
mod tests;
mod trust;
mod upstreams;
mod variables;

use std::{
    fmt, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Table, Value};

use self::document::{Document, Key};
pub use self::{
    fingerprints::Fingerprints,
    problem::{Place, Problem},
    shape::schema,
    trust::{OnStale, Trust},
    variables::Variables,
};
use crate::{http::Limits, oci::UpstreamTable, telemetry::LogSettings, upstream};

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds everything the mirror keeps.
    pub data: PathBuf,
    /// The policy file, where one is named. It may be missing: that is for its reader to say.
    pub policy: Option<PathBuf>,
    /// Where the mirror listens.
    pub listen: Listen,
    /// What is kept, and for how long.
    pub cache: Cache,
    /// How often everything that is kept is judged again; never where it is `None`.
    pub recheck_every: Option<Duration>,
    /// The registries that the mirror pulls from, in the order of the file.
    pub upstreams: Vec<upstream::Settings>,
    /// All their names.
    pub table: UpstreamTable,
    /// The trust roots that have a name.
    pub trust: Trust,
    /// How much one client, and all of them, may use.
    pub limits: Limits,
    /// What the mirror says about its own work.
    pub log: LogSettings,
}

/// Where the mirror listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For clients.
    pub address: SocketAddr,
    /// For health and metrics; `None` is off.
    pub admin: Option<SocketAddr>,
    /// What the mirror proves its name with; `None` is plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// In bytes; 0 is no limit.
    pub max_size: u64,
    /// How long a tag is answered without asking the upstream.
    pub tag_fresh: Duration,
    /// How long a denial is remembered.
    pub denied_fresh: Duration,
    /// How often each blob is read again.
    pub scrub_every: Duration,
    /// Downloads at the same time from one upstream.
    pub fills_per_upstream: NonZeroUsize,
    /// Whether all blobs of an image are fetched as soon as it is admitted.
    pub prefetch: bool,
}

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct ConfigRequest {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The other options.
    pub overrides: Overrides,
    /// The environment.
    pub variables: Variables,
}

/// What the command line puts in the place of the configured.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen ADDR`. Without `admin` health and metrics move to a free loopback port.
    pub listen: Option<String>,
    /// `--admin ADDR|off`.
    pub admin: Option<String>,
    /// `--data DIR`.
    pub data: Option<String>,
    /// `--policy FILE`.
    pub policy: Option<String>,
    /// `--upstream NAME=URL`. They replace the configured ones; the first is the default.
    pub upstreams: Vec<(String, String)>,
    /// `--log FILTER`.
    pub log: Option<String>,
    /// `--log-format FORMAT`.
    pub log_format: Option<String>,
}

/// A configuration, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where it comes from.
    pub source: ConfigSource,
    /// What works, but weakens the mirror or is not what it looks like.
    pub warnings: Vec<Problem>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// No file was found: what the program brings along.
    Defaults,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => {
                formatter.write_str("built-in defaults (no configuration file found)")
            }
            Self::File(path) => write!(formatter, "`{}`", path.display()),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Every problem that could be found, in the order of the lines they are on.
    pub problems: Vec<Problem>,
    /// The policy file, as far as that is clear: so that its problems can be told too.
    pub policy: Option<PathBuf>,
}

impl From<Vec<Problem>> for Rejected {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems, policy: None }
    }
}

/// Loads what `request` asks for.
///
/// # Errors
/// [`Rejected`] with everything that is wrong.
pub fn load(request: &ConfigRequest) -> Result<Loaded, Rejected> {
    let (mut document, source) = read(request)?;
    let variables::Layered { mut problems, mut warnings } =
        variables::apply(&mut document, &request.variables);
    override_with(&mut document, &request.overrides);
    problems.extend(shape::prune(&mut document));
    let values = std::mem::take(&mut document.values);
    let raw = Value::Table(values)
        .try_into()
        .map_err(|error: toml::de::Error| vec![Problem::new(error.message().to_owned())])?;
    let checked = check::check(&raw, &document, &request.variables);
    problems.extend(checked.problems);
    warnings.extend(checked.warnings);
    match checked.config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, source, warnings }),
        _ => {
            problems.sort_by(|a, b| a.place.cmp(&b.place));
            Err(Rejected { problems, policy: checked.policy })
        }
    }
}

/// The file that `request` means, parsed.
fn read(request: &ConfigRequest) -> Result<(Document, ConfigSource), Vec<Problem>> {
    let named = request.file.clone().or_else(|| request.variables.value(VARIABLE).map(Into::into));
    let candidates = match &named {
        Some(path) => vec![path.as_path()],
        None => SEARCHED.map(Path::new).to_vec(),
    };
    for path in candidates {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let document = Document::parse(path, &text)?;
                return Ok((document, ConfigSource::File(path.to_owned())));
            }
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let place = Place::File { path: path.to_owned(), line: None };
                let what = format!("cannot read the configuration: {error}");
                return Err(vec![Problem::new(what).at(Some(place))]);
            }
        }
    }
    Ok((Document::default(), ConfigSource::Defaults))
}

fn override_with(document: &mut Document, overrides: &Overrides) {
    let mut set = |key: &[&'static str], option, value: Option<&str>| {
        if let Some(value) = value {
            let key = Key { list: None, path: key.to_vec() };
            document.set(&key, Value::from(value), Place::Option(option));
        }
    };
    let free = overrides.listen.as_ref().map(|_| FREE_LOOPBACK_PORT);
    set(&["listen", "address"], "--listen", overrides.listen.as_deref());
    set(&["listen", "admin"], "--admin", overrides.admin.as_deref().or(free));
    set(&["data"], "--data", overrides.data.as_deref());
    set(&["policy"], "--policy", overrides.policy.as_deref());
    set(&["log", "level"], "--log", overrides.log.as_deref());
    set(&["log", "format"], "--log-format", overrides.log_format.as_deref());
    if !overrides.upstreams.is_empty() {
        let entries = overrides.upstreams.iter().map(|(name, url)| {
            let pairs = [("name", name), ("url", url)];
            let pairs = pairs.map(|(key, value)| (key.to_owned(), Value::from(value.as_str())));
            Value::Table(Table::from_iter(pairs))
        });
        let key = Key { list: None, path: vec![UPSTREAM] };
        document.set(&key, Value::Array(entries.collect()), Place::Option("--upstream"));
    }
}

/// Where a configuration is looked for when none is named.
const SEARCHED: [&str; 2] = ["portcullis.toml", "/etc/portcullis/portcullis.toml"];
/// Names a configuration when the command line does not.
const VARIABLE: &str = "PORTCULLIS_CONFIG";
const FREE_LOOPBACK_PORT: &str = "127.0.0.1:0";
/// The one list of tables.
const UPSTREAM: &str = "upstream";
