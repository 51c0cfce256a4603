//! One round of the measurements that are repeated: each is taken from every server in turn, and
//! another server is the first in each round.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::content::{Content, Image, MANIFEST_TYPE, TAG, hex};
use crate::load::{BUFFER, Download, download, requests, streams};
use crate::peers::{Kind, Peer};
use crate::results::Results;
use crate::rows::{
    BLOB_1, BLOB_1_TLS, BLOB_8, BLOB_8_TLS, COLD, COLD_FIRST_BYTE, COLD_GIGABIT, DIRECT, IDLE,
    MANIFEST_BY_DIGEST, MANIFEST_BY_TAG, MANY_RULES, PODMAN, PROCESSOR, SMALL_BLOB, VERIFY_FAR,
    VERIFY_NEAR,
};
use crate::wire::{Connection, Target};
use crate::workbench::{MIRROR, Workbench};

/// Measures everything once.
pub(crate) fn measure(workbench: &mut Workbench, round: usize, results: &mut Results) {
    for (name, step) in STEPS {
        let outcome = step(workbench, round, results);
        results.note(name, outcome);
    }
}

/// The big blob from the upstream itself, then through each cache while it is empty.
fn cold(workbench: &mut Workbench, round: usize, results: &mut Results) -> Result<()> {
    if !workbench.options.wants(COLD) && round > 0 {
        return Ok(());
    }
    let image = workbench.images.image.clone();
    let size = image.layers[0].size;
    let mut record = |server: &str, download: Download| {
        results.add(COLD, server, size as f64 / download.total.as_secs_f64() / 1e9);
        results.add(COLD_FIRST_BYTE, server, download.first_byte.as_secs_f64() * 1e3);
    };
    workbench.calm.wait()?;
    // The first download brings the upstream's file into memory; the second counts.
    pull(&workbench.upstream.target, &image)?;
    record(DIRECT, pull(&workbench.upstream.target, &image)?);
    let mut idle = None;
    for index in order(workbench.peers.len(), round) {
        let peer = &mut workbench.peers[index];
        if peer.is_cache() {
            peer.restart_empty()?;
            workbench.calm.wait()?;
            if peer.name == MIRROR {
                idle = peer.usage()?.map(|usage| usage.resident);
            }
        } else if !matches!(peer.kind, Kind::Extra) || round > 0 {
            continue;
        }
        let peer = &workbench.peers[index];
        record(&peer.name, pull(&peer.target, &image)?);
    }
    if let Some(resident) = idle {
        results.add(IDLE, MIRROR, resident as f64 / 1e6);
    }
    Ok(())
}

/// The same where the network is what takes the time.
fn cold_gigabit(workbench: &mut Workbench, _round: usize, results: &mut Results) -> Result<()> {
    if !workbench.options.wants(COLD_GIGABIT) {
        return Ok(());
    }
    let (image, link) = (&workbench.images.image, workbench.gigabit.address());
    let mut mirror = workbench.another_mirror(COLD_GIGABIT, link, None)?;
    mirror.restart_empty()?;
    for (server, target) in [(DIRECT, &Target::plain(link)), (MIRROR, &mirror.target)] {
        let download = pull(target, image)?;
        let rate = image.layers[0].size as f64 / download.total.as_secs_f64() / 1e9;
        results.add(COLD_GIGABIT, server, rate);
    }
    Ok(())
}

/// The manifest, as every client asks for it first, then the first layer, which is timed.
fn pull(target: &Target, image: &Image) -> Result<Download> {
    let mut connection = Connection::open(target)?;
    let manifest = connection.fetch(&image.tag_path(), &[("Accept", MANIFEST_TYPE)])?;
    check(&manifest, &image.manifest)?;
    let layer = &image.layers[0];
    download(&mut connection, &image.blob_path(layer), layer.size, &mut vec![0; BUFFER])
}

/// Makes sure that what follows is cached everywhere.
fn warm_all(workbench: &mut Workbench, _round: usize, _results: &mut Results) -> Result<()> {
    workbench
        .peers
        .iter()
        .chain(&workbench.tls_peers)
        .try_for_each(|peer| warm(peer, &workbench.images.image))
}

/// Asks for everything twice, so that it is cached, and makes sure that it is what was made.
fn warm(peer: &Peer, image: &Image) -> Result<()> {
    let mut connection = Connection::open(&peer.target)?;
    for path in [image.tag_path(), image.digest_path(), image.tag_path(), image.digest_path()] {
        let manifest = connection.fetch(&path, &[("Accept", MANIFEST_TYPE)])?;
        check(&manifest, &image.manifest).with_context(|| peer.name.clone())?;
    }
    for blob in [&image.config, &image.layers[0]] {
        let mut hash = Sha256::new();
        let head = connection.get(&image.blob_path(blob), &[])?;
        connection.read_body(&head, &mut vec![0; BUFFER], |piece| hash.update(piece))?;
        let digest = format!("sha256:{}", hex(&hash.finalize()));
        ensure!(digest == blob.digest, "`{}` serves other bytes for {}", peer.name, blob.digest);
    }
    Ok(())
}

fn check(bytes: &[u8], content: &Content) -> Result<()> {
    let digest = format!("sha256:{}", hex(&Sha256::digest(bytes)));
    ensure!(digest == content.digest, "got {digest} instead of {}", content.digest);
    Ok(())
}

/// Many small answers.
fn small(workbench: &mut Workbench, round: usize, results: &mut Results) -> Result<()> {
    let Some(wrk) = &workbench.programs.wrk else { return Ok(()) };
    let image = &workbench.images.image;
    for (row, path) in [
        (MANIFEST_BY_DIGEST, image.digest_path()),
        (MANIFEST_BY_TAG, image.tag_path()),
        (SMALL_BLOB, image.blob_path(&image.config)),
    ] {
        // A tag is held against the digest: both are needed when only one was asked for.
        let is_base = row == MANIFEST_BY_DIGEST
            && [MANIFEST_BY_TAG, MANY_RULES].iter().any(|row| workbench.options.wants(row));
        if !is_base && !workbench.options.wants(row) {
            continue;
        }
        for index in order(workbench.peers.len(), round) {
            let peer = &workbench.peers[index];
            workbench.calm.wait()?;
            let requests = requests(wrk, &peer.target, &path, workbench.scale.seconds)?;
            results.add(row, &peer.name, requests.rate);
        }
    }
    Ok(())
}

/// The manifest by its digest, under a policy with a thousand rules.
fn many_rules(workbench: &mut Workbench, _round: usize, results: &mut Results) -> Result<()> {
    let Some(wrk) = &workbench.programs.wrk else { return Ok(()) };
    if !workbench.options.wants(MANY_RULES) {
        return Ok(());
    }
    let mut mirror =
        workbench.another_mirror(MANY_RULES, workbench.upstream.target.address, None)?;
    if let Kind::Mirror { policy, .. } = &mut mirror.kind {
        *policy = workbench.policy_of_many_rules()?;
    }
    mirror.restart_empty()?;
    let image = &workbench.images.image;
    warm(&mirror, image)?;
    workbench.calm.wait()?;
    let seconds = workbench.scale.seconds;
    let requests = requests(wrk, &mirror.target, &image.digest_path(), seconds)?;
    results.add(MANY_RULES, MIRROR, requests.rate);
    Ok(())
}

fn big_plain(workbench: &mut Workbench, round: usize, results: &mut Results) -> Result<()> {
    big(workbench, &workbench.peers, round, [(BLOB_1, 1, 5), (BLOB_8, 8, 2)], results)
}

fn big_encrypted(workbench: &mut Workbench, round: usize, results: &mut Results) -> Result<()> {
    let kinds = [(BLOB_1_TLS, 1, 2), (BLOB_8_TLS, 8, 1)];
    big(workbench, &workbench.tls_peers, round, kinds, results)
}

/// A few big answers; the processor time is that of the last kind.
fn big(
    workbench: &Workbench,
    peers: &[Peer],
    round: usize,
    kinds: [(&'static str, usize, usize); 2],
    results: &mut Results,
) -> Result<()> {
    let image = &workbench.images.image;
    let layer = &image.layers[0];
    let path = image.blob_path(layer);
    for (row, clients, repeat) in kinds {
        if !workbench.options.wants(row) {
            continue;
        }
        for index in order(peers.len(), round) {
            let peer = &peers[index];
            workbench.calm.wait()?;
            let before = peer.usage()?;
            let (time, _) = streams(&peer.target, (&path, layer.size), clients, repeat)?;
            let gigabytes = (layer.size * (clients * repeat) as u64) as f64 / 1e9;
            results.add(row, &peer.name, gigabytes / time.as_secs_f64());
            if row == BLOB_8
                && let (Some(before), Some(after)) = (before, peer.usage()?)
            {
                results.add(
                    PROCESSOR,
                    &peer.name,
                    (after.processor - before.processor) / gigabytes,
                );
            }
        }
    }
    Ok(())
}

/// What a signature adds to a first pull: images that need one against images that need none,
/// through the same mirror, whose connections to the upstream are open already.
fn first_pulls(workbench: &mut Workbench, _round: usize, results: &mut Results) -> Result<()> {
    for (row, link) in [(VERIFY_NEAR, &workbench.near), (VERIFY_FAR, &workbench.far)] {
        if !workbench.options.wants(row) {
            continue;
        }
        let mut mirror = workbench.another_mirror(row, link.address(), None)?;
        mirror.restart_empty()?;
        let mut connection = Connection::open(&mirror.target)?;
        connection.fetch(&workbench.images.warm.tag_path(), &[("Accept", MANIFEST_TYPE)])?;
        thread::sleep(SETTLE);
        workbench.calm.wait()?;
        let mut time = |image: &Image| -> Result<f64> {
            let start = Instant::now();
            let manifest = connection.fetch(&image.tag_path(), &[("Accept", MANIFEST_TYPE)])?;
            let time = start.elapsed();
            check(&manifest, &image.manifest)?;
            Ok(time.as_secs_f64() * 1e3)
        };
        for (signed, open) in workbench.images.signed.iter().zip(&workbench.images.open) {
            let without = time(open)?;
            results.add(row, MIRROR, time(signed)? - without);
        }
    }
    Ok(())
}

/// A real client's whole pull, straight from the far upstream and through an empty mirror.
fn podman(workbench: &mut Workbench, round: usize, results: &mut Results) -> Result<()> {
    let Some(podman) = &workbench.programs.podman else { return Ok(()) };
    if workbench.options.quick || !workbench.options.wants(PODMAN) {
        return Ok(());
    }
    let mut mirror = workbench.another_mirror(PODMAN, workbench.far.address(), None)?;
    mirror.restart_empty()?;
    let mut servers = [(DIRECT, workbench.far.address()), (MIRROR, mirror.target.address)];
    servers.rotate_left(round % 2);
    // Not below the work folder: podman wants short paths.
    let scratch = tempfile::tempdir()?;
    let policy = scratch.path().join("policy.json");
    std::fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    for (server, address) in servers {
        workbench.calm.wait()?;
        let start = Instant::now();
        let output = Command::new(podman)
            .args(["--storage-driver", "vfs", "--root"])
            .arg(scratch.path().join(server))
            .arg("--runroot")
            .arg(scratch.path().join(format!("{server}-run")))
            .args(["pull", "--quiet", "--tls-verify=false", "--signature-policy"])
            .arg(&policy)
            .arg(format!("{address}/{}:{TAG}", workbench.images.layers.repository))
            .env("HOME", scratch.path())
            .output()?;
        let time = start.elapsed();
        ensure!(
            output.status.success(),
            "`podman pull`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        results.add(PODMAN, server, time.as_secs_f64());
    }
    Ok(())
}

/// The indices below `count`, beginning with another one in each round.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + round) % count)
}

type Step = fn(&mut Workbench, usize, &mut Results) -> Result<()>;

/// In this order: the caches are emptied first, and warm for the rest.
const STEPS: &[(&str, Step)] = &[
    ("cold", cold),
    ("cold over a link", cold_gigabit),
    ("warm", warm_all),
    ("small", small),
    ("many rules", many_rules),
    ("blobs", big_plain),
    ("blobs over TLS", big_encrypted),
    ("first pulls", first_pulls),
    ("podman", podman),
];

/// What is left to do in the background after a first pull: records, the audit log.
const SETTLE: Duration = Duration::from_millis(300);
