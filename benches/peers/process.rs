//! Servers as child processes, ended by their identifier when their value is dropped, and what the
//! kernel says they used.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What a server and its children have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, in seconds.
    pub processor: f64,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// Open files and connections now.
    pub files: u64,
}

impl Process {
    /// Starts `command` with its output in `log`, as the leader of a group of its own so that a
    /// Ctrl-C ends it through [`Drop`] and not half-way.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output =
            File::create(log).with_context(|| format!("cannot create `{}`", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// What it and its children have used.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let parent = self.child.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let mut total = Usage::default();
        for identifier in std::iter::once(parent.to_string())
            .chain(children.split_whitespace().map(str::to_owned))
        {
            total.processor += processor_time(&identifier)?;
            total.resident += resident(&identifier)?;
            total.files += fs::read_dir(format!("/proc/{identifier}/fd"))?.count() as u64;
        }
        Ok(total)
    }

    /// Asks it to read its configuration again.
    pub(crate) fn hang_up(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::HUP)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // The process may end in between; then there is nothing left to do.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.has_ended() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Raises this process's limit of open files, which its children inherit, as far as it may.
pub(crate) fn allow_many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// User and system time in seconds; proc(5), `/proc/pid/stat`, fields 14 and 15.
fn processor_time(identifier: &str) -> Result<f64> {
    let line = fs::read_to_string(format!("/proc/{identifier}/stat"))?;
    // The second field is the program's name, which may hold spaces; it ends with the last `)`.
    let (_, after_name) = line.rsplit_once(')').context("`stat` has no program name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |index: usize| -> Result<f64> { Ok(fields.get(index).context("short `stat`")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// `VmRSS` in bytes; proc(5), `/proc/pid/status`.
fn resident(identifier: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{identifier}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no `VmRSS`")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// How long a server may take to stop when asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// `USER_HZ`: Linux shows it as 100 to programs whatever the kernel uses.
const TICKS_PER_SECOND: f64 = 100.0;
