//! The measurements that are too big to repeat in every round: many clients at once.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::content::{Image, MANIFEST_TYPE};
use crate::load::{requests, streams};
use crate::peers::Peer;
use crate::results::Results;
use crate::rows::{BUSY_P99, CROWD_LAST, CROWD_UPSTREAM, MEMORY, QUIET_P99};
use crate::wire::{Connection, Target};
use crate::workbench::{MIRROR, NGINX, Workbench};

/// Measures each once.
pub(crate) fn measure(workbench: &mut Workbench, results: &mut Results) {
    for (name, step) in STEPS {
        if workbench.options.wants(name) {
            eprintln!("{name}");
            let outcome = step(workbench, results);
            results.note(name, outcome);
        }
    }
}

/// A crowd asks for one blob that is not there yet; the same crowd at nginx, where it is, shows
/// what the machine can move.
fn one_cold_blob(workbench: &mut Workbench, results: &mut Results) -> Result<()> {
    let image = &workbench.images.crowd;
    let layer = &image.layers[0];
    let path = image.blob_path(layer);
    if let Some(nginx) = workbench.peers.iter().find(|peer| peer.name == NGINX) {
        streams(&nginx.target, (&path, layer.size), 1, 1)?;
        workbench.calm.wait()?;
        let (time, _) = streams(&nginx.target, (&path, layer.size), workbench.scale.crowd, 1)?;
        results.add(CROWD_LAST, NGINX, time.as_secs_f64());
    }
    let mut mirror = workbench.another_mirror("crowd", workbench.near.address(), None)?;
    mirror.restart_empty()?;
    fetch_manifest(&mirror.target, image)?;
    workbench.calm.wait()?;
    let before = workbench.near.sent();
    let (time, _) = streams(&mirror.target, (&path, layer.size), workbench.scale.crowd, 1)?;
    results.add(CROWD_LAST, MIRROR, time.as_secs_f64());
    results.add(
        CROWD_UPSTREAM,
        MIRROR,
        (workbench.near.sent() - before) as f64 / layer.size as f64,
    );
    Ok(())
}

/// Memory while many clients read different ranges, none of them fast.
fn many_readers(workbench: &mut Workbench, results: &mut Results) -> Result<()> {
    let image = workbench.images.image.clone();
    let readers = workbench.scale.readers;
    let mirror = workbench.mirror();
    mirror.stop();
    mirror.start()?;
    fetch_manifest(&mirror.target, &image)?;
    let resident =
        |mirror: &Peer| -> Result<u64> { Ok(mirror.usage()?.context("not running")?.resident) };
    let idle = resident(mirror)?;
    let (target, gate, done) =
        (mirror.target.clone(), Barrier::new(readers + 1), AtomicBool::new(false));
    let most = thread::scope(|scope| -> Result<u64> {
        let clients: Vec<_> = (0..readers)
            .map(|index| {
                let (target, image, gate, done) = (&target, &image, &gate, &done);
                thread::Builder::new()
                    .stack_size(READER_STACK)
                    .spawn_scoped(scope, move || read_slowly(target, image, index, gate, done))
            })
            .collect::<Result<_, _>>()?;
        gate.wait();
        let mut most = idle;
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(100));
            most = most.max(resident(mirror)?);
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        Ok(most)
    })?;
    results.add(MEMORY, MIRROR, (most - idle) as f64 / 1e6);
    Ok(())
}

fn read_slowly(
    target: &Target,
    image: &Image,
    index: usize,
    gate: &Barrier,
    done: &AtomicBool,
) -> Result<()> {
    let layer = &image.layers[0];
    let range = format!("bytes={}-", index as u64 * (layer.size / 2) / MAX_READERS);
    let opened = Connection::open(target);
    gate.wait();
    let mut connection = opened?;
    let head = connection.get(&image.blob_path(layer), &[("Range", &range)])?;
    ensure!(head.status == 206, "a range was answered {}", head.status);
    let finished = connection.read_body(&head, &mut [0; 16 * 1024], |_| {
        // Leaving early is part of the picture; so is a client that is slower than the disk.
        if !done.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    });
    finished.or_else(|error| if done.load(Ordering::Relaxed) { Ok(()) } else { Err(error) })
}

/// The slowest hundredth of requests, first on a quiet mirror, then while it must evict to fill
/// and is told to reload all the time.
fn busy(workbench: &mut Workbench, results: &mut Results) -> Result<()> {
    let Some(wrk) = &workbench.programs.wrk else { return Ok(()) };
    let (image, churn) = (&workbench.images.image, &workbench.images.churn);
    let mut mirror =
        workbench.another_mirror("busy", workbench.upstream.target.address, Some(SMALL_CACHE))?;
    mirror.restart_empty()?;
    fetch_manifest(&mirror.target, image)?;
    fetch_manifest(&mirror.target, churn)?;
    workbench.calm.wait()?;
    let quiet = requests(wrk, &mirror.target, &image.digest_path(), BUSY_SECONDS)?;
    let (policy, done) = (workbench.policy(), AtomicBool::new(false));
    let (busy, pulled) = thread::scope(|scope| -> Result<_> {
        let filling = scope.spawn(|| pull_layers(&mirror.target, churn, &done));
        let reloading = scope.spawn(|| reload(&mirror, policy, &done));
        let busy = requests(wrk, &mirror.target, &image.digest_path(), BUSY_SECONDS);
        done.store(true, Ordering::Relaxed);
        reloading.join().map_err(|_| anyhow!("the reloader panicked"))??;
        let pulled = filling.join().map_err(|_| anyhow!("the filler panicked"))??;
        Ok((busy?, pulled))
    })?;
    ensure!(pulled > 0, "nothing was filled meanwhile");
    results.add(QUIET_P99, MIRROR, quiet.p99);
    results.add(BUSY_P99, MIRROR, busy.p99);
    Ok(())
}

/// Pulls layers that do not all fit, over and over; returns how many.
fn pull_layers(target: &Target, image: &Image, done: &AtomicBool) -> Result<usize> {
    let mut connection = Connection::open(target)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut pulled = 0;
    for layer in image.layers.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let head = connection.get(&image.blob_path(layer), &[])?;
        ensure!(head.status == 200, "a layer was answered {}", head.status);
        connection.read_body(&head, &mut buffer, |_| ())?;
        pulled += 1;
        // A client with a link of its own, not one that takes both processors.
        thread::sleep(Duration::from_millis(50));
    }
    Ok(pulled)
}

/// The same rules in another file, twice a second: what was admitted stays admitted.
pub(crate) fn reload(mirror: &Peer, policy: &Path, done: &AtomicBool) -> Result<()> {
    let text = fs::read_to_string(policy)?;
    for edition in 0_u32.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        fs::write(policy, format!("{text}# edition {edition}\n"))?;
        mirror.hang_up()?;
        thread::sleep(Duration::from_millis(500));
    }
    Ok(fs::write(policy, text)?)
}

fn fetch_manifest(target: &Target, image: &Image) -> Result<Vec<u8>> {
    Connection::open(target)?.fetch(&image.tag_path(), &[("Accept", MANIFEST_TYPE)])
}

type Step = fn(&mut Workbench, &mut Results) -> Result<()>;

/// The names are those that `--only` knows.
const STEPS: &[(&str, Step)] =
    &[("crowd", one_cold_blob), (MEMORY, many_readers), (BUSY_P99, busy)];

const READER_STACK: usize = 128 * 1024;

/// Readers begin at so many different places.
const MAX_READERS: u64 = 1_000;

/// Holds less than half of the layers that are pulled through it.
const SMALL_CACHE: &str = "150MiB";

const BUSY_SECONDS: u32 = 5;
