//! Lines on their way to stderr, written by a thread of their own.
//!
//! A line for every request, written by the thread that answers, would cost more than the request:
//! a system call each, and a lock around it. So lines are gathered for a moment and written together.
//! What a person has to see is not gathered: a warning or an error is written at once, behind what
//! was said before it. A process that is killed loses the last moment of requests, no more.
//!
//! The memory is bounded. When nobody reads stderr, lines are dropped and counted, and requests go
//! on.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// What gathers lines. Clones share it; [`flush`](Self::flush) writes what is there.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Locked before `waiting`, so that lines leave in the order in which they came.
    output: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Lines {
    /// Gathers lines for `output`, and starts the thread that writes them.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(output: Box<dyn Write + Send>) -> io::Result<Self> {
        let lines = Self::new(output);
        let writer = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                writer.wait();
                thread::sleep(GATHER);
                writer.flush();
            }
        })?;
        Ok(lines)
    }

    fn new(output: Box<dyn Write + Send>) -> Self {
        let waiting = Mutex::new(Waiting::default());
        let (arrived, output) = (Condvar::new(), Mutex::new(output));
        Self { shared: Arc::new(Shared { waiting, arrived, output }) }
    }

    /// Writes all lines that are there.
    pub(super) fn flush(&self) {
        let mut output = self.shared.output.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { bytes, dropped } = std::mem::take(&mut *self.waiting());
        // There is nobody left to tell that stderr cannot be written.
        let _ = output.write_all(&bytes);
        if dropped > 0 {
            let _ = writeln!(output, "{dropped} lines of the log were dropped: nobody read them");
        }
        let _ = output.flush();
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + line.len() > MAX_WAITING {
            waiting.dropped += 1;
            return;
        }
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.shared.arrived.notify_one();
        }
    }

    fn wait(&self) {
        let empty = |waiting: &mut Waiting| waiting.bytes.is_empty() && waiting.dropped == 0;
        let arrived = self.shared.arrived.wait_while(self.waiting(), empty);
        drop(arrived.unwrap_or_else(PoisonError::into_inner));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { lines: self, is_urgent: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { lines: self, is_urgent: *metadata.level() <= Level::WARN }
    }
}

/// Takes whole lines.
pub(super) struct LineWriter<'a> {
    lines: &'a Lines,
    is_urgent: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.push(line);
        if self.is_urgent {
            self.lines.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long lines are gathered: what a person does not notice.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes that may wait: some ten thousand lines.
const MAX_WAITING: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn say(lines: &Lines, text: &str, is_urgent: bool) {
        LineWriter { lines, is_urgent }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_warning_is_written_at_once_behind_what_was_said_before() {
        let page = Page::default();
        let lines = Lines::new(Box::new(page.clone()));
        say(&lines, "a request\n", false);
        assert_eq!(page.text(), "");
        say(&lines, "a warning\n", true);
        assert_eq!(page.text(), "a request\na warning\n");
    }

    #[test]
    fn lines_are_written_without_being_asked() {
        let page = Page::default();
        let lines = Lines::start(Box::new(page.clone())).unwrap();
        for round in 1..=3 {
            say(&lines, "a request\n", false);
            while page.text().lines().count() < round {
                thread::sleep(GATHER);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let page = Page::default();
        let lines = Lines::new(Box::new(page.clone()));
        let long = "x".repeat(MAX_WAITING / 2);
        for _ in 0..5 {
            say(&lines, &long, false);
        }
        lines.flush();
        let rest = page.text().split_off(MAX_WAITING);
        assert_eq!(rest, "3 lines of the log were dropped: nobody read them\n");
        say(&lines, "again\n", false);
        lines.flush();
        assert!(page.text().ends_with("again\n"));
    }
}
