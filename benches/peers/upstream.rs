//! The registry that holds the images: distribution 3, or Debian's 2.8 where that is all there is.

use std::fs::{self, File};
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::content::{Content, Image, MANIFEST_TYPE, TAG};
use crate::process::Process;
use crate::wire::{Connection, Head, Target};

/// A registry that others pull from.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub target: Target,
    _process: Process,
}

impl Upstream {
    /// Starts `program` with its data in `folder`.
    pub(crate) fn start(program: &Path, address: SocketAddr, folder: &Path) -> Result<Self> {
        let process = start_registry(program, address, folder, None)?;
        let target = Target::plain(address);
        target.wait_until_ready("/v2/", PATIENCE).context("the upstream does not start")?;
        Ok(Self { target, _process: process })
    }

    /// Uploads an image under its tag.
    pub(crate) fn push(&self, image: &Image) -> Result<()> {
        let mut connection = Connection::open(&self.target)?;
        for blob in image.blobs() {
            push_blob(&mut connection, &image.repository, blob)?;
        }
        let manifest = fs::read(&image.manifest.path)?;
        let length = manifest.len() as u64;
        let headers = [("Content-Type", MANIFEST_TYPE)];
        let path = format!("/v2/{}/manifests/{TAG}", image.repository);
        connection.send("PUT", &path, &headers, (&mut Cursor::new(manifest), length))?;
        expect(&mut connection, 201)?;
        Ok(())
    }
}

/// Starts distribution or its ancestor, as a proxy where `remote` is given. The two read the same
/// configuration.
pub(crate) fn start_registry(
    program: &Path,
    address: SocketAddr,
    folder: &Path,
    remote: Option<SocketAddr>,
) -> Result<Process> {
    fs::create_dir_all(folder)?;
    let proxy = remote
        .map(|remote| format!("proxy: {{ remoteurl: 'http://{remote}' }}\n"))
        .unwrap_or_default();
    let text = format!(
        "version: 0.1\n\
         log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
         storage: {{ filesystem: {{ rootdirectory: '{}' }}, cache: {{ blobdescriptor: inmemory }} }}\n\
         http: {{ addr: '{address}', secret: benchmark }}\n\
         {proxy}",
        folder.display()
    );
    let configuration = beside(folder, "yml");
    fs::write(&configuration, text)?;
    // Without the variable distribution 3 looks for a trace collector.
    Process::start(
        Command::new(program).arg("serve").arg(&configuration).env("OTEL_TRACES_EXPORTER", "none"),
        &beside(folder, "log"),
    )
}

/// `folder` with another ending, for the files that belong to it.
pub(crate) fn beside(folder: &Path, extension: &str) -> PathBuf {
    folder.with_extension(extension)
}

/// OCI distribution specification 1.1, "POST then PUT".
fn push_blob(connection: &mut Connection, repository: &str, blob: &Content) -> Result<()> {
    let path = format!("/v2/{repository}/blobs/uploads/");
    connection.send("POST", &path, &[], (&mut std::io::empty(), 0))?;
    let location = expect(connection, 202)?.location.context("an upload without a location")?;
    // The location may be a whole URL; the connection is already where it points.
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => &location,
    };
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}digest={}", blob.digest);
    let headers = [("Content-Type", "application/octet-stream")];
    connection.send("PUT", &path, &headers, (&mut File::open(&blob.path)?, blob.size))?;
    expect(connection, 201)?;
    Ok(())
}

fn expect(connection: &mut Connection, status: u16) -> Result<Head> {
    let head = connection.read_head()?;
    let mut body = Vec::new();
    connection.read_body(&head, &mut [0; 4096], |piece| body.extend_from_slice(piece))?;
    if head.status != status {
        bail!("the upstream answered {}: {}", head.status, String::from_utf8_lossy(&body));
    }
    Ok(head)
}

const PATIENCE: Duration = Duration::from_secs(20);
