//! The commands are killed and run into full disks; what they leave behind is whole, and the next
//! run finishes.

use std::{fs, process::Stdio, time::Duration};

use super::{
    super::support::{image::noise, *},
    *,
};

/// Starts a command, and kills it after `pause` unless it has ended.
async fn killed(site: &Site, words: &[&str], pause: Duration) -> bool {
    let mut command = program();
    command.args(words).current_dir(site.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program was built");
    tokio::time::sleep(pause).await;
    let running = child.try_wait().expect("it is our child").is_none();
    let _ = child.kill();
    let _ = child.wait();
    running
}

/// Runs a command none of whose files can grow beyond `kilobytes`.
async fn on_a_full_disk(site: &Site, words: &[&str], kilobytes: u32) -> Said {
    let mut command = std::process::Command::new("/bin/bash");
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_portcullis")]).args(words);
    command.current_dir(site.folder.path()).env_clear().env("NO_COLOR", "1");
    let ran = tokio::task::spawn_blocking(move || command.output().expect("bash is there"));
    ran.await.expect("it does not panic").into()
}

/// A signed image whose layers take a while.
async fn large() -> (Upstream, Key, Image) {
    let (upstream, key) = (Upstream::start().await, Key::p256());
    let layers = ["a", "b", "c"].map(|seed| noise(seed, 3 << 20)).to_vec();
    let image = Image::with_layers("large", layers);
    upstream.push("acme/large", "v1", &image);
    sign(&upstream, &key, "acme/large", &image);
    (upstream, key, image)
}

#[tokio::test]
async fn commands_that_are_killed_are_finished_by_the_next_run() {
    let (upstream, key, image) = large().await;
    let (near, far) = (Site::near(&upstream, &key), Site::far(&upstream, &key));
    let seed = ["seed", "acme/large:v1"];
    let export = ["export", "--all", "--output", "bag.tar"];
    let archive = near.path("bag.tar");
    let import = ["import", archive.as_str()];
    let mut kills = 0;
    for (site, words) in [(&near, &seed[..]), (&near, &export[..]), (&far, &import[..])] {
        for pause in [40, 80, 120, 160, 240] {
            kills += u32::from(killed(site, words, Duration::from_millis(pause)).await);
            // Before the name there is nothing, after it there is everything.
            if words[0] == "export" && near.folder.path().join("bag.tar").exists() {
                break;
            }
        }
        site.runs(words).await;
    }
    assert!(kills > 0, "nothing was ever killed");
    let again = far.runs(&import).await;
    assert!(again.beside.contains(" 0 B moved"), "{again:?}");
    let mirror = far.serve().await;
    assert_eq!(mirror.manifest("acme/large", "v1").await.body, image.document.bytes);
    for blob in &image.blobs {
        assert_eq!(mirror.blob("acme/large", Digest::of(blob)).await.body, blob);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_half_visible() {
    let (upstream, key, image) = large().await;
    let near = Site::near(&upstream, &key);
    let seeded = on_a_full_disk(&near, &["seed", "acme/large:v1"], 1500).await;
    assert_eq!(seeded.code, Some(1), "{seeded:?}");
    assert!(format!("{}{}", seeded.answer, seeded.beside).contains("write"), "{seeded:?}");
    near.runs(&["seed", "acme/large:v1"]).await;
    for output in ["bag.tar", "layout"] {
        let words = ["export", "--all", "--output", output];
        let full = on_a_full_disk(&near, &words, 2000).await;
        assert_eq!(full.code, Some(1), "{full:?}");
        assert!(full.beside.contains("cannot write"), "{full:?}");
        let whole = if output == "layout" { "layout/index.json" } else { output };
        assert!(!near.folder.path().join(whole).exists());
        near.runs(&words).await;
    }
    let archive = near.path("bag.tar");
    let far = Site::far(&upstream, &key);
    let full = on_a_full_disk(&far, &["import", &archive], 1500).await;
    assert_eq!(full.code, Some(1), "{full:?}");
    assert_eq!(far.runs(&["list"]).await.answer, "");
    far.runs(&["import", &archive]).await;
    let mirror = far.serve().await;
    assert_eq!(mirror.manifest("acme/large", "v1").await.body, image.document.bytes);
    let partial = fs::read_dir(mirror.data().join("partial")).unwrap().count();
    assert_eq!(partial, 0, "something is left over");
}
