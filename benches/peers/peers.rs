//! The servers that are compared: each can be started, emptied and measured.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::content::{Image, MANIFEST_TYPE, TAG};
use crate::process::{Process, Usage};
use crate::upstream::{beside, start_registry};
use crate::wire::Target;

/// One server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub name: String,
    pub target: Target,
    pub kind: Kind,
    folder: PathBuf,
    process: Option<Process>,
}

/// What a server is, and what it takes to start it.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The mirror itself.
    Mirror {
        program: PathBuf,
        upstream: SocketAddr,
        policy: PathBuf,
        /// Certificate and key.
        tls: Option<(PathBuf, PathBuf)>,
        max_size: Option<&'static str>,
    },
    /// Static files: no mirror, and the fastest thing there is.
    Nginx { program: PathBuf, tls: Option<(PathBuf, PathBuf)> },
    /// distribution or Debian's docker-registry, as a pull-through proxy.
    Registry { program: PathBuf, upstream: SocketAddr },
    /// Somebody else's.
    Extra,
}

impl Peer {
    /// A server that is not running yet. Its data lies in `folder`.
    pub(crate) fn new(name: &str, target: Target, kind: Kind, folder: PathBuf) -> Self {
        Self { name: name.to_owned(), target, kind, folder, process: None }
    }

    /// Where its data lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether its cache can be emptied.
    pub(crate) const fn is_cache(&self) -> bool {
        matches!(self.kind, Kind::Mirror { .. } | Kind::Registry { .. })
    }

    /// Stops it, empties its cache and starts it again.
    pub(crate) fn restart_empty(&mut self) -> Result<()> {
        self.process = None;
        if self.is_cache() && self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        self.start()
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = beside(&self.folder, "log");
        self.process = match &self.kind {
            Kind::Mirror { .. } => Some(Process::start(&mut self.mirror_command()?, &log)?),
            Kind::Nginx { program, .. } => {
                let configuration = beside(&self.folder, "conf");
                fs::write(&configuration, self.nginx_configuration())?;
                let mut command = Command::new(program);
                command.arg("-c").arg(configuration).arg("-e").arg(&log);
                Some(Process::start(&mut command, &log)?)
            }
            Kind::Registry { program, upstream } => {
                Some(start_registry(program, self.target.address, &self.folder, Some(*upstream))?)
            }
            Kind::Extra => None,
        };
        self.target.wait_until_ready("/v2/", PATIENCE).with_context(|| {
            format!(
                "`{}` does not start; its log: {}",
                self.name,
                fs::read_to_string(log).unwrap_or_default()
            )
        })
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// What it has used so far; `None` for a server that somebody else started.
    pub(crate) fn usage(&self) -> Result<Option<Usage>> {
        self.process.as_ref().map(Process::usage).transpose()
    }

    /// Tells it to reload.
    pub(crate) fn hang_up(&self) -> Result<()> {
        self.process.as_ref().context("not running")?.hang_up()
    }

    fn mirror_command(&self) -> Result<Command> {
        let Kind::Mirror { program, upstream, policy, tls, max_size } = &self.kind else {
            anyhow::bail!("`{}` is not the mirror", self.name);
        };
        let tls = tls.as_ref().map_or_else(String::new, |(certificate, key)| {
            format!(
                "tls = {{ certificate = '{}', key = '{}' }}\n",
                certificate.display(),
                key.display()
            )
        });
        let cache =
            max_size.map_or_else(String::new, |size| format!("[cache]\nmax_size = '{size}'\n"));
        let text = format!(
            "data = '{}'\npolicy = '{}'\n\
             [listen]\naddress = '{}'\nadmin = 'off'\n{tls}\
             {cache}\
             [[upstream]]\nname = '{UPSTREAM_NAME}'\nurl = 'http://{upstream}'\ndefault = true\n",
            self.folder.display(),
            policy.display(),
            self.target.address,
        );
        let configuration = beside(&self.folder, "toml");
        fs::write(&configuration, text)?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(configuration);
        Ok(command)
    }

    /// As fast as nginx is told to be: no log, `sendfile`, open files kept.
    fn nginx_configuration(&self) -> String {
        let folder = self.folder.display();
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let listen = match &self.kind {
            Kind::Nginx { tls: Some((certificate, key)), .. } => format!(
                "listen {} ssl; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};",
                self.target.address,
                certificate.display(),
                key.display()
            ),
            _ => format!("listen {};", self.target.address),
        };
        format!(
            "daemon off; pid {folder}/pid; worker_processes auto; {user}\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=1000;\n\
             client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;\n\
             uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;\n\
             types {{ }}\n\
             server {{\n\
             {listen} root {folder}; default_type application/octet-stream;\n\
             location = /v2/ {{ return 200 '{{}}'; }}\n\
             location ~ /manifests/ {{ default_type {MANIFEST_TYPE}; }}\n\
             }}\n}}\n"
        )
    }
}

/// Lays an image out as the static files of a registry.
pub(crate) fn lay_out(root: &Path, image: &Image) -> Result<()> {
    let repository = root.join("v2").join(&image.repository);
    let (manifests, blobs) = (repository.join("manifests"), repository.join("blobs"));
    fs::create_dir_all(&manifests)?;
    fs::create_dir_all(&blobs)?;
    for reference in [TAG, &image.manifest.digest] {
        fs::hard_link(&image.manifest.path, manifests.join(reference))?;
    }
    for blob in image.blobs() {
        fs::hard_link(&blob.path, blobs.join(&blob.digest))?;
    }
    Ok(())
}

/// The upstream's name, as image names carry it.
pub(crate) const UPSTREAM_NAME: &str = "registry.test";

const PATIENCE: Duration = Duration::from_secs(30);
