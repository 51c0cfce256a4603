//! The files that a mirror is started with, written the way an operator would.

use std::{fmt::Write as _, path::Path};

use super::{Key, Mirror, Upstream, write};

/// A configuration, a policy and keys, not yet on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    upstreams: String,
    cache: String,
    listen: String,
    policy: Option<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds an upstream; the first is the default one.
    pub(crate) fn upstream(self, name: &str, upstream: &Upstream) -> Self {
        self.upstream_with(name, upstream, "")
    }

    /// Adds an upstream with more lines for its table.
    pub(crate) fn upstream_with(mut self, name: &str, upstream: &Upstream, lines: &str) -> Self {
        let default = self.upstreams.is_empty();
        let url = upstream.url();
        write!(
            self.upstreams,
            "\n[[upstream]]\nname = \"{name}\"\nurl = \"{url}\"\ndefault = {default}\n{lines}\n"
        )
        .expect("writing to a String does not fail");
        self
    }

    /// Lines for `[cache]`.
    pub(crate) fn cache(mut self, lines: &str) -> Self {
        self.cache.push_str(lines);
        self.cache.push('\n');
        self
    }

    /// Lines for `[listen]`.
    pub(crate) fn listen(mut self, lines: &str) -> Self {
        self.listen.push_str(lines);
        self.listen.push('\n');
        self
    }

    /// The policy below its version; without this call none is named.
    pub(crate) fn policy(mut self, text: &str) -> Self {
        self.policy = Some(format!("version = 1\n{text}"));
        self
    }

    /// The public half of `key`, as a file beside the policy.
    pub(crate) fn key(self, file: &str, key: &Key) -> Self {
        self.file(file, key.public_pem())
    }

    pub(crate) fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Writes everything into `folder`.
    pub(crate) fn lay_out(&self, folder: &Path) {
        let Self { upstreams, cache, listen, policy, files, .. } = self;
        let named = if policy.is_some() { "policy = \"policy.toml\"\n" } else { "" };
        let configuration = format!(
            "data = \"data\"\n{named}\n[listen]\naddress = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{listen}\n[cache]\n{cache}{upstreams}"
        );
        write(&folder.join("portcullis.toml"), configuration);
        for (name, content) in files {
            write(&folder.join(name), content);
        }
        if let Some(policy) = policy {
            write(&folder.join("policy.toml"), policy);
        }
    }

    /// Starts a mirror on it.
    pub(crate) async fn start(self) -> Mirror {
        Mirror::start(self).await
    }
}
