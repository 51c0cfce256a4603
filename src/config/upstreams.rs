//! The upstreams, each alone and all together.

use super::{Listen, check::Check, credentials, problem::Problem, raw};
use crate::{
    oci::{UpstreamName, UpstreamNames, UpstreamTable, table::DOCKER_HUB},
    tls,
    upstream::{BaseUrl, Settings, SystemProxy, Timeouts},
};

/// Checks all of `raw`; without any, Docker Hub is the upstream.
pub(super) fn check(
    check: &mut Check<'_>,
    raw: &raw::Raw,
    listen: Option<&Listen>,
) -> Option<(Vec<Settings>, UpstreamTable)> {
    let hub = [raw::Upstream { name: Some(DOCKER_HUB.to_owned()), ..raw::Upstream::default() }];
    let offline = raw.offline.unwrap_or(false);
    let raw = if raw.upstream.is_empty() { &hub[..] } else { &raw.upstream };
    let system_proxy = system_proxy(check);
    let mut settings = Vec::new();
    let mut names = Vec::new();
    for (position, raw) in raw.iter().enumerate() {
        let one = One { key: format!("upstream[{position}]"), raw, offline };
        names.extend(one.names(check));
        settings.extend(one.settings(check, &system_proxy));
    }
    refuse_shared_names(check, &names);
    let default = default(check, raw, &names);
    warn_of_open_credentials(check, &settings, listen);
    if names.len() != raw.len() {
        return None;
    }
    let names = names.into_iter().map(|(_, names)| names).collect();
    match UpstreamTable::new(names, default) {
        Ok(table) => Some((settings, table)),
        Err(name) => {
            let what = format!("two upstreams are called `{name}`");
            check.refuse("upstream", Problem::new(what));
            None
        }
    }
}

/// One entry of the list.
#[derive(Debug)]
struct One<'a> {
    key: String,
    raw: &'a raw::Upstream,
    /// What the top of the file says.
    offline: bool,
}

impl One<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.key)
    }

    /// The names of the upstream, and its key.
    fn names(&self, check: &mut Check<'_>) -> Option<(String, UpstreamNames)> {
        let Some(name) = &self.raw.name else {
            let step = "add `name = \"docker.io\"`, the host that image names carry";
            check.refuse(&self.key("name"), Problem::new("is missing").next(step));
            return None;
        };
        let name = check.parsed(&self.key("name"), Some(name.as_str()));
        let aliases = self.list(check, "aliases", self.raw.aliases.as_deref());
        let hosts = self.list(check, "hosts", self.raw.hosts.as_deref());
        Some((self.key.clone(), UpstreamNames { name: name?, aliases, hosts }))
    }

    fn list(
        &self,
        check: &mut Check<'_>,
        name: &str,
        texts: Option<&[String]>,
    ) -> Vec<UpstreamName> {
        let texts = texts.unwrap_or_default().iter().enumerate();
        texts
            .filter_map(|(position, text)| {
                check.parsed(&format!("{}[{position}]", self.key(name)), Some(text))
            })
            .collect()
    }

    fn settings(&self, check: &mut Check<'_>, system_proxy: &SystemProxy) -> Option<Settings> {
        let name: Option<UpstreamName> =
            self.raw.name.as_deref().and_then(|name| name.parse().ok());
        let url = self.url(check, name.as_ref());
        let credentials = credentials::check(check, &self.key, self.raw);
        let ca = self.certificates(check);
        let proxy = check.parsed(&self.key("proxy"), self.raw.proxy.as_deref());
        let realms = self.realms(check);
        let timeouts = self.timeouts(check);
        let (name, url) = name.zip(url)?;
        if url.is_plain() && credentials.is_some() {
            let what = "its user name and password travel over plain HTTP";
            let step = "use an `https://` url wherever the network between is not your own";
            check.warn(&self.key("url"), Problem::new(what).next(step));
        }
        let mut settings = Settings::new(name, url);
        settings.credentials = credentials;
        settings.ca = ca;
        settings.ca_only = self.raw.ca_only.unwrap_or(false);
        settings.proxy = proxy;
        settings.system_proxy = system_proxy.clone();
        settings.realms = realms;
        settings.timeouts = timeouts;
        settings.offline = self.raw.offline.unwrap_or(self.offline);
        Some(settings)
    }

    fn url(&self, check: &mut Check<'_>, name: Option<&UpstreamName>) -> Option<BaseUrl> {
        let standard = name.map(|name| match name.as_str() {
            DOCKER_HUB => DOCKER_HUB_URL.to_owned(),
            host => format!("https://{host}"),
        });
        check.parsed(&self.key("url"), self.raw.url.as_deref().or(standard.as_deref()))
    }

    fn certificates(
        &self,
        check: &mut Check<'_>,
    ) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        let key = self.key("ca");
        let Some(text) = self.raw.ca.as_deref() else {
            if self.raw.ca_only == Some(true) {
                check.refuse(&self.key("ca_only"), Problem::new("there is no `ca` to trust alone"));
            }
            return Vec::new();
        };
        tls::certificates(&check.path(&key, text)).unwrap_or_else(|error| {
            check.refuse(&key, Problem::new(error.to_string()));
            Vec::new()
        })
    }

    fn realms(&self, check: &mut Check<'_>) -> Vec<String> {
        let realms = self.raw.realms.as_deref().unwrap_or_default();
        for (position, realm) in realms.iter().enumerate() {
            // A realm has the grammar of an upstream's name: a host with an optional port.
            let key = format!("{}[{position}]", self.key("realms"));
            let _: Option<UpstreamName> = check.parsed(&key, Some(realm));
        }
        realms.to_vec()
    }

    fn timeouts(&self, check: &mut Check<'_>) -> Timeouts {
        let standard = Timeouts::default();
        let raw = &self.raw.timeouts;
        let mut duration = |name, text: Option<&str>, default| {
            check.some_time(&self.key(&format!("timeouts.{name}")), text, default)
        };
        Timeouts {
            connect: duration("connect", raw.connect.as_deref(), standard.connect),
            first_byte: duration("first_byte", raw.first_byte.as_deref(), standard.first_byte),
            idle: duration("idle", raw.idle.as_deref(), standard.idle),
            ..standard
        }
    }
}

fn refuse_shared_names(check: &mut Check<'_>, upstreams: &[(String, UpstreamNames)]) {
    let mut seen: Vec<(&UpstreamName, bool)> = Vec::new();
    for (key, upstream) in upstreams {
        let name = (format!("{key}.name"), &upstream.name, false);
        let listed = |list: &str, position: usize| format!("{key}.{list}[{position}]");
        let aliases = upstream.aliases.iter().enumerate();
        let aliases = aliases.map(|(position, name)| (listed("aliases", position), name, false));
        let hosts = upstream.hosts.iter().enumerate();
        let hosts = hosts.map(|(position, name)| (listed("hosts", position), name, true));
        for (key, name, is_host) in std::iter::once(name).chain(aliases).chain(hosts) {
            if seen.contains(&(name, is_host)) {
                let what = format!("`{name}` is given twice");
                check.refuse(&key, Problem::new(what));
            }
            seen.push((name, is_host));
        }
    }
}

/// The upstream that is marked as the default; the first when none is.
fn default(
    check: &mut Check<'_>,
    raw: &[raw::Upstream],
    names: &[(String, UpstreamNames)],
) -> Option<UpstreamName> {
    let marked: Vec<_> =
        raw.iter().enumerate().filter(|(_, raw)| raw.default == Some(true)).collect();
    for (position, _) in marked.iter().skip(1) {
        let key = format!("upstream[{position}].default");
        check.refuse(&key, Problem::new("only one upstream can be the default"));
    }
    let position = marked.first().map_or(0, |(position, _)| *position);
    let key = format!("upstream[{position}]");
    names.iter().find(|(other, _)| *other == key).map(|(_, names)| names.name.clone())
}

/// What the mirror may read with its own credentials, everyone who reaches it may read.
fn warn_of_open_credentials(check: &mut Check<'_>, settings: &[Settings], listen: Option<&Listen>) {
    if listen.is_none_or(|listen| listen.address.ip().is_loopback()) {
        return;
    }
    for upstream in settings.iter().filter(|upstream| upstream.credentials.is_some()) {
        let what = format!(
            "everyone who reaches the mirror can pull what its user at `{}` can, as far as policy admits it",
            upstream.name
        );
        let step = "let only those reach it who may, or listen on a loopback address: clients cannot log in yet";
        check.warn("listen.address", Problem::new(what).next(step));
    }
}

fn system_proxy(check: &mut Check<'_>) -> SystemProxy {
    let lookup = |name: &str| check.variables.value(name).map(str::to_owned);
    SystemProxy::from_lookup(lookup).unwrap_or_else(|error| {
        check.refuse("upstream", Problem::new(error.to_string()));
        SystemProxy::default()
    })
}

const DOCKER_HUB_URL: &str = "https://registry-1.docker.io";
