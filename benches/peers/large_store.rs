//! A store with a million blobs: whether it is ready as fast, and answers as fast, as a small one.
//!
//! The files are laid out as `store::layout` and `store::records` describe, not pulled: a million
//! fills would measure the disk's patience. Blobs are sparse; manifests and what is recorded of
//! them are real. They belong to repositories whose rule wants no signature and to an upstream that
//! does not know them, so every answer comes from the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::content::{MANIFEST_TYPE, hex};
use crate::peers::{Peer, UPSTREAM_NAME};
use crate::results::Results;
use crate::rows::{LARGE_READY, LARGE_REBUILT, LARGE_REQUEST, SMALL_REQUEST};
use crate::wire::Connection;
use crate::workbench::{MIRROR, Workbench};

/// Measures a large store and a small one.
pub(crate) fn measure(workbench: &Workbench, results: &mut Results) -> Result<()> {
    let mut small =
        workbench.another_mirror("small-store", workbench.upstream.target.address, None)?;
    let paths = make(small.folder(), SMALL)?;
    small.start()?;
    ask(&small, &paths, SMALL_REQUEST, results)?;
    small.stop();

    let mut large =
        workbench.another_mirror("large-store", workbench.upstream.target.address, None)?;
    let paths = make(large.folder(), LARGE)?;
    // What was written is on its way to the disk; it would be measured with the rest.
    rustix::fs::sync();
    for row in [LARGE_REBUILT, LARGE_READY] {
        workbench.calm.wait()?;
        let start = Instant::now();
        large.start()?;
        results.add(row, MIRROR, start.elapsed().as_secs_f64());
        if row == LARGE_REBUILT {
            thread::sleep(REBUILDING);
            large.stop();
        }
    }
    ask(&large, &paths, LARGE_REQUEST, results)
}

/// Asks once for each of some manifests that nobody has asked for before.
fn ask(mirror: &Peer, paths: &[String], row: &'static str, results: &mut Results) -> Result<()> {
    let mut connection = Connection::open(&mirror.target)?;
    let step = paths.len() / ASKED;
    for path in paths.iter().step_by(step.max(1)).take(ASKED) {
        let start = Instant::now();
        connection.fetch(path, &[("Accept", MANIFEST_TYPE)])?;
        results.add(row, MIRROR, start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Writes `manifests` manifests of [`BLOBS`] blobs each below `data`; returns their paths.
fn make(data: &Path, manifests: usize) -> Result<Vec<String>> {
    for shard in 0..=255_u8 {
        fs::create_dir_all(data.join(format!("blobs-v1/sha256/{shard:02x}")))?;
    }
    let writers = thread::available_parallelism()?.get();
    let share = manifests.div_ceil(writers);
    thread::scope(|scope| {
        let parts: Vec<_> = (0..writers)
            .map(|writer| {
                let part = writer * share..manifests.min((writer + 1) * share);
                scope.spawn(move || {
                    part.map(|index| make_image(data, index)).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut paths = Vec::with_capacity(manifests);
        for part in parts {
            paths.extend(part.join().map_err(|_| anyhow!("a writer panicked"))??);
        }
        Ok(paths)
    })
}

fn make_image(data: &Path, index: usize) -> Result<String> {
    let blobs: Vec<Value> = (0..BLOBS)
        .map(|blob| {
            let name = hex(&Sha256::digest(format!("{index}/{blob}")));
            File::create(blob_path(data, &name))?.set_len(BLOB_SIZE)?;
            Ok(json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": format!("sha256:{name}"), "size": BLOB_SIZE }))
        })
        .collect::<Result<_>>()?;
    let (config, layers) = blobs.split_first().context("an image without blobs")?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers }).to_string();
    let name = hex(&Sha256::digest(&manifest));
    fs::write(blob_path(data, &name), &manifest)?;

    let references: Vec<Value> = blobs
        .iter()
        .map(|blob| json!({ "digest": blob["digest"], "size": blob["size"], "kind": "content" }))
        .collect();
    let record = json!({ "version": 1, "record": { "parents": [], "manifest": {
        "media_type": MANIFEST_TYPE, "size": manifest.len(), "references": references, "evidence": [], "verdict": null,
    } } })
    .to_string();
    let repository = format!("open/r{}", index / IN_ONE_REPOSITORY);
    let folder = data.join("refs-v1").join(UPSTREAM_NAME).join(&repository).join("_manifests");
    fs::create_dir_all(&folder)?;
    let checksum = hex(&Sha256::digest(&record));
    fs::write(folder.join(&name), format!("{record}\nsha256:{checksum}\n"))?;
    Ok(format!("/v2/{repository}/manifests/sha256:{name}"))
}

fn blob_path(data: &Path, name: &str) -> PathBuf {
    data.join("blobs-v1/sha256").join(&name[..2]).join(name)
}

/// Manifests of the two stores.
const SMALL: usize = 100;
const LARGE: usize = 100_000;

/// Blobs of each manifest, and their length in bytes.
const BLOBS: usize = 10;
const BLOB_SIZE: u64 = 4096;

const IN_ONE_REPOSITORY: usize = 100;

/// Manifests that are asked for in each store.
const ASKED: usize = 100;

/// What the first start may do in the background before the second one.
const REBUILDING: Duration = Duration::from_secs(60);
