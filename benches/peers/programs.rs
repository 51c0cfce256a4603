//! Where the servers and load generators are, and how they get here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that were found. A row or a peer whose program is missing is left out.
#[derive(Debug)]
pub(crate) struct Programs {
    pub nginx: Option<PathBuf>,
    pub wrk: Option<PathBuf>,
    pub podman: Option<PathBuf>,
    /// Debian's docker-registry 2.8.
    pub debian: Option<PathBuf>,
    /// distribution 3.
    pub distribution: Option<PathBuf>,
}

impl Programs {
    /// Looks for them, and installs what is missing and can be installed.
    pub(crate) fn find() -> Self {
        let found = Self::look();
        if found.nginx.is_some()
            && found.wrk.is_some()
            && found.debian.is_some()
            && found.distribution.is_some()
        {
            return found;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/install.sh");
        if !Command::new(&script).status().is_ok_and(|status| status.success()) {
            eprintln!("`{}` failed: what is missing is left out", script.display());
        }
        Self::look()
    }

    fn look() -> Self {
        Self {
            nginx: find("nginx"),
            wrk: find("wrk"),
            podman: find("podman"),
            debian: find("docker-registry"),
            distribution: find("registry"),
        }
    }
}

/// The cache that the test suites share comes first, then the search path, then the folders that
/// only root has on it.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    tools()
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn tools() -> Option<PathBuf> {
    let cache = || {
        env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
            .map(|cache| cache.join("portcullis-tools"))
    };
    let tools = env::var_os("PORTCULLIS_TOOLS").map(PathBuf::from).or_else(cache)?;
    Some(tools.join("bin"))
}
