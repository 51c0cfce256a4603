//! What `portcullis.toml` says, before anything is checked.
//!
//! The structs have the shape of the file. Their doc comments end up in `config/schema.json`, which
//! editors read and which `shape` walks, so this file is the only list of settings there is.

use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of Portcullis. Relative paths are relative to the file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "portcullis.toml")]
pub(super) struct Raw {
    /// The folder that holds everything the mirror keeps. Default: `data`.
    pub(super) data: Option<String>,
    /// The policy file. Without one the built-in catalogue is in force, and every other image is refused.
    pub(super) policy: Option<String>,
    /// Whether no upstream is ever asked: what was imported is all there is. Default: `false`.
    pub(super) offline: Option<bool>,
    /// Where the mirror listens.
    pub(super) listen: Listen,
    /// What is kept, and for how long.
    pub(super) cache: Cache,
    /// Judging again what is kept.
    pub(super) recheck: Recheck,
    /// How much one client, and all of them, may use.
    pub(super) limits: Limits,
    /// What the mirror says about its own work.
    pub(super) log: Log,
    /// The trust roots that have a name, and how they are kept current.
    pub(super) trust: Trust,
    /// The registries that the mirror pulls from. Default: Docker Hub, and those that the built-in catalogue names.
    pub(super) upstream: Vec<Upstream>,
}

/// Where the mirror listens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    /// Address and port for clients. Default: `127.0.0.1:5000`.
    pub(super) address: Option<String>,
    /// Address and port for `/healthz`, `/readyz` and `/metrics`, or `off`. Default: `127.0.0.1:5001`.
    pub(super) admin: Option<String>,
    /// Allows plain HTTP on an address that other machines can reach. Default: `false`.
    pub(super) plain_http: Option<bool>,
    /// What the mirror proves its name with. Without it, it speaks plain HTTP.
    pub(super) tls: Option<Tls>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file of the certificate and its chain.
    pub(super) certificate: Option<String>,
    /// PEM file of the private key.
    pub(super) key: Option<String>,
}

/// What is kept, and for how long.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Cache {
    /// How much content is kept, such as `200GiB`; `0` is no limit. Default: `0`.
    pub(super) max_size: Option<String>,
    /// How long a tag is answered without asking the upstream. Default: `60s`.
    pub(super) tag_fresh: Option<String>,
    /// How long a denial is remembered. Default: `30s`.
    pub(super) denied_fresh: Option<String>,
    /// How often each blob is read again to see that it is undamaged. Default: `7d`.
    pub(super) scrub_every: Option<String>,
    /// Downloads at the same time from one upstream. Default: 32.
    pub(super) fills_per_upstream: Option<u32>,
    /// Whether all blobs of an image are fetched as soon as it is admitted. Default: `false`.
    pub(super) prefetch: Option<bool>,
}

/// Judging again what is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Recheck {
    /// How often every cached manifest is judged again with fresh evidence, such as `24h`. Default: never.
    pub(super) every: Option<String>,
}

/// What the mirror says about its own work.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,portcullis::store=debug`. Default: `info`.
    pub(super) level: Option<String>,
    /// `human` or `json`. Default: `human`.
    pub(super) format: Option<String>,
}

/// The trust roots that have a name, and how they are kept current.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Trust {
    /// How often to look for newer trust roots, of those that the policy names; `0s` is never. Default: `24h`.
    pub(super) refresh: Option<String>,
    /// A site that has the repository of each root in a folder of its name, instead of where they are published.
    pub(super) mirror: Option<String>,
    /// After what time without a refresh a root is called stale. Default: `30d`.
    pub(super) max_age: Option<String>,
    /// What a stale root does: `warn`, or `unready` to answer 503 on `/readyz` too. Default: `warn`.
    pub(super) on_stale: Option<String>,
    /// PEM file of certificate authorities to trust beside the system's.
    pub(super) ca: Option<String>,
    /// Trusts `ca` instead of the system's authorities. Default: `false`.
    pub(super) ca_only: Option<bool>,
    /// The HTTP proxy to the site. Default: `HTTPS_PROXY` and `NO_PROXY` of the environment.
    pub(super) proxy: Option<String>,
}

/// A registry that the mirror pulls from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Upstream {
    /// The host that image names carry: `docker.io`.
    pub(super) name: Option<String>,
    /// Where it answers: `https://registry-1.docker.io`. Default: `https://` and the name.
    pub(super) url: Option<String>,
    /// Whether this one is never asked: what was imported is all there is of it. Default: the `offline` at the top.
    pub(super) offline: Option<bool>,
    /// Whether names without a host mean this one. Default: the first upstream.
    pub(super) default: Option<bool>,
    /// Values of the `Host` header that mean this upstream.
    pub(super) hosts: Option<Vec<String>>,
    /// Other spellings of `name` in policies, signatures, paths and `ns=`.
    pub(super) aliases: Option<Vec<String>>,
    /// The user name, together with one of `password_file` and `password_env`.
    pub(super) username: Option<String>,
    /// A file that holds the password, and nothing else.
    pub(super) password_file: Option<String>,
    /// The environment variable that holds the password.
    pub(super) password_env: Option<String>,
    /// A docker `config.json` with user name and password, instead of the three above.
    pub(super) auth_file: Option<String>,
    /// PEM file of certificate authorities to trust beside the system's.
    pub(super) ca: Option<String>,
    /// Trusts `ca` instead of the system's authorities. Default: `false`.
    pub(super) ca_only: Option<bool>,
    /// The HTTP proxy to this upstream. Default: `HTTPS_PROXY` and `NO_PROXY` of the environment.
    pub(super) proxy: Option<String>,
    /// Hosts that may be sent these credentials for a token. Default: the upstream's own registrable domain.
    pub(super) realms: Option<Vec<String>>,
    /// How long to wait for it.
    pub(super) timeouts: Timeouts,
}

/// How long to wait for an upstream.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Timeouts {
    /// For a connection.
    pub(super) connect: Option<String>,
    /// From a request to the first byte of its answer.
    pub(super) first_byte: Option<String>,
    /// From one piece of a body to the next.
    pub(super) idle: Option<String>,
}

/// How much one client, and all of them, may use.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// Connections in all. Default: 8192.
    pub(super) connections: Option<u32>,
    /// Connections of one address. Default: 2048.
    pub(super) connections_per_address: Option<u32>,
    /// Requests in flight in all. Default: 8192.
    pub(super) requests: Option<u32>,
    /// Requests in flight of one address. Default: 2048.
    pub(super) requests_per_address: Option<u32>,
    /// Requests in flight of one HTTP/2 connection. Default: 128.
    pub(super) streams: Option<u32>,
    /// How long the line and headers of a request may be. Default: `64KiB`.
    pub(super) header_bytes: Option<String>,
    /// How long they may take. Default: `10s`.
    pub(super) header_time: Option<String>,
    /// How long a TLS handshake may take. Default: `10s`.
    pub(super) handshake: Option<String>,
    /// How long a connection may be without a request. Default: `90s`.
    pub(super) idle: Option<String>,
    /// How long a client may take nothing of an answer that it asked for. Default: `60s`.
    pub(super) stall: Option<String>,
    /// How long requests in flight may take after the mirror was told to stop. Default: `30s`.
    pub(super) drain: Option<String>,
}
