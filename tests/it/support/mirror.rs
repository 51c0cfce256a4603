//! The mirror under test: the real program, in a folder of its own, on ports of its own.
//!
//! It is a process, so that a kill is a kill and a restart reads what is on the disk. When a test
//! fails, what the program wrote to standard error is shown.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Ask, Digest, Setup, client::Open, eventually, write};

/// A running mirror. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Mirror {
    folder: TempDir,
    /// What follows `portcullis serve` on its command line.
    words: Vec<String>,
    process: Child,
    log: Log,
    address: SocketAddr,
    admin: SocketAddr,
}

/// What a process wrote to standard error, so far.
type Log = Arc<Mutex<String>>;

impl Mirror {
    /// Lays out `setup` in a new folder and serves it.
    ///
    /// # Panics
    /// When the program ends before it listens.
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        setup.lay_out(folder.path());
        Self::serve(folder, &["--config", "portcullis.toml"]).await
    }

    /// Runs `portcullis serve` with `words` in `folder`.
    ///
    /// # Panics
    /// When the program ends before it listens.
    pub(crate) async fn serve(folder: TempDir, words: &[&str]) -> Self {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let (process, log) = spawn(folder.path(), &words);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut mirror = Self { folder, words, process, log, address: nowhere, admin: nowhere };
        mirror.find_addresses().await;
        mirror
    }

    /// Starts the program again on the same folder, after [`Mirror::kill`] or [`Mirror::stop`].
    pub(crate) async fn start_again(&mut self) {
        (self.process, self.log) = spawn(self.folder.path(), &self.words);
        self.find_addresses().await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("it is ours");
    }

    /// From now on, no file of it can grow beyond `bytes`: a disk that fills up.
    pub(crate) fn limit_file_size(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: None };
        prlimit(Some(self.id()), Resource::Fsize, limit).expect("limits of a child may be lowered");
    }

    fn id(&self) -> Pid {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        id.expect("a process has an id")
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        for _ in 0..MOST_POLLS {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("it does not end");
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the store keeps the content `digest`.
    pub(crate) fn stored(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.data().join(format!("blobs-v1/sha256/{}/{hex}", &hex[..2]))
    }

    /// Everything it has written to standard error since it was last started.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("only lines are added under it").clone()
    }

    // === asking ===

    pub(crate) async fn get(&self, target: impl Into<String>) -> Answer {
        self.send(Ask::get(target)).await
    }

    pub(crate) async fn head(&self, target: impl Into<String>) -> Answer {
        self.send(Ask::head(target)).await
    }

    pub(crate) async fn manifest(&self, repository: &str, reference: impl ToString) -> Answer {
        self.get(format!("/v2/{repository}/manifests/{}", reference.to_string())).await
    }

    pub(crate) async fn blob(&self, repository: &str, digest: impl ToString) -> Answer {
        self.get(format!("/v2/{repository}/blobs/{}", digest.to_string())).await
    }

    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        ask.send(self.address).await
    }

    /// Sends `ask` and returns at the headers of the answer.
    pub(crate) async fn open(&self, ask: Ask) -> Open {
        ask.open(self.address).await
    }

    pub(crate) async fn admin(&self, target: &str) -> Answer {
        Ask::get(target).send(self.admin).await
    }

    /// Has the mirror look again at `reference` in `image`.
    pub(crate) async fn recheck(&self, image: &str, reference: impl ToString) -> Answer {
        let reference = reference.to_string();
        let target = format!("/v1/verify?image={image}&reference={reference}");
        Ask::method("POST", target).send(self.admin).await
    }

    /// The sum of the metric `name` over the label sets that contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let answer = self.admin("/metrics").await;
        String::from_utf8_lossy(&answer.body)
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let metric = series.split('{').next().unwrap_or_default();
                metric == name && series.contains(labels)
            })
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    // === policy ===

    /// Replaces the policy and returns once it is in force.
    pub(crate) async fn adopt(&self, policy: &str) {
        self.replace("policy.toml", format!("version = 1\n{policy}"));
        self.reload().await;
    }

    /// Replaces a file beside the policy by rename, as editors and configuration tools do.
    pub(crate) fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = self.folder().join(format!(".{name}.new"));
        write(&beside, content);
        fs::rename(beside, self.folder().join(name)).expect("both are in one folder");
    }

    /// Sends SIGHUP and waits until the reload has been tried.
    pub(crate) async fn reload(&self) {
        let before = self.metric(RELOADS, "").await;
        self.signal(Signal::HUP);
        eventually("the policy is loaded again", || async {
            self.metric(RELOADS, "").await > before
        })
        .await;
    }

    // === records ===

    /// All audit records, oldest first.
    pub(crate) fn records(&self) -> Vec<Value> {
        let folder = self.data().join("audit-v1");
        let mut files: Vec<_> = fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.sort();
        files
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }

    /// The record of the decision behind `answer`, which must be there already.
    #[track_caller]
    pub(crate) fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.decision();
        self.records()
            .into_iter()
            .find(|record| record["decision"] == *id && record.get("outcome").is_some())
            .unwrap_or_else(|| panic!("no record of decision {id}"))
    }

    /// The recorded reason of the decision behind `answer`.
    #[track_caller]
    pub(crate) fn reason_of(&self, answer: &Answer) -> String {
        self.record_of(answer)["reason"].as_str().expect("reasons are text").to_owned()
    }

    async fn find_addresses(&mut self) {
        for _ in 0..MOST_POLLS {
            let log = self.log();
            if let (Some(address), Some(admin)) =
                (announced(&log, "listening on "), announced(&log, "admin on "))
            {
                (self.address, self.admin) = (address, admin);
                return;
            }
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                panic!("the mirror ended with {status} before it listened:\n{}", self.log());
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("the mirror announced no address");
    }
}

impl Drop for Mirror {
    #[expect(clippy::print_stderr, reason = "what a failed test has to show")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the mirror wrote:\n{}---", self.log());
        }
    }
}

/// The program, with nothing of this process's surroundings.
pub(crate) fn program() -> Command {
    surrounded(Command::new(env!("CARGO_BIN_EXE_portcullis")))
}

fn surrounded(mut command: Command) -> Command {
    command.env_clear().env("NO_COLOR", "1").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// The address after `words` in the log: the one place that knows how `serve` announces itself.
pub(crate) fn announced(log: &str, words: &str) -> Option<SocketAddr> {
    let rest = log.split(words).nth(1)?;
    let rest = rest.strip_prefix("http://").or(rest.strip_prefix("https://")).unwrap_or(rest);
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
    rest[..end?].trim_end_matches(['.', ':']).parse().ok()
}

fn spawn(folder: &Path, words: &[String]) -> (Child, Log) {
    // The shell hands on that SIGXFSZ is ignored, so that a size limit is an error, not a death.
    let mut process = surrounded(Command::new("/bin/sh"))
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_portcullis")])
        .arg("serve")
        .args(words)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let log = Log::default();
    let lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
    let written = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut log = written.lock().expect("only lines are added under it");
            log.push_str(&line);
            log.push('\n');
        }
    });
    (process, log)
}

/// Counts policy loads since the start, whatever came of them.
const RELOADS: &str = "portcullis_policy_reloads_total";
const POLL: Duration = Duration::from_millis(10);
const MOST_POLLS: u32 = 3_000;
