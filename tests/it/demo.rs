//! `portcullis demo`: the whole story, without a network, and it stays up until it is told to end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn tells_its_story_serves_and_ends_by_a_signal() {
    let folder = tempfile::TempDir::new().expect("there is room");
    let mut process = Killed(
        mirror::program()
            .args(["demo", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built"),
    );
    let story = Arc::new(Mutex::new(String::new()));
    let stdout: Box<dyn std::io::Read + Send> = Box::new(process.0.stdout.take().expect("piped"));
    let stderr: Box<dyn std::io::Read + Send> = Box::new(process.0.stderr.take().expect("piped"));
    for stream in [stdout, stderr] {
        let story = Arc::clone(&story);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                *story.lock().expect("only lines are added") += &(line + "\n");
            }
        });
    }
    let told = || story.lock().expect("only lines are added").clone();
    eventually("the lines to try are printed", || async {
        let story = told();
        story.contains("podman") && story.contains("docker") && story.contains("crane")
    })
    .await;
    let story = told();
    for word in ["signed:v1", "unsigned:v1", "altered:v1", "refused (403", "no signature was found"]
    {
        assert!(story.contains(word), "{word} in {story}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(process.0.try_wait().expect("our child").is_none(), "it stays up:\n{story}");

    // The podman line names the mirror; what it pulls is there.
    let line = story.lines().find(|line| line.contains("podman")).expect("it was found above");
    let image = line
        .split_whitespace()
        .find(|word| word.contains("127.0.0.1:") || word.contains("localhost:"))
        .unwrap_or_else(|| panic!("an image in {line}"));
    let (registry, path) = image.trim_matches(['`', '\'', '"']).split_once('/').expect("host/path");
    let (repository, tag) = path.rsplit_once(':').expect("a tag");
    let address = registry.replace("localhost", "127.0.0.1").parse().expect("an address");
    let answer = Ask::get(format!("/v2/{repository}/manifests/{tag}")).send(address).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let id = i32::try_from(process.0.id()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(id, Signal::INT).expect("it is ours");
    for _ in 0..500 {
        if let Some(status) = process.0.try_wait().expect("our child") {
            assert_eq!(status.code(), Some(0));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not end:\n{}", told());
}
