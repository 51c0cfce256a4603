//! The log's line for a person: time, level, what happened, and the facts as `name=value`.
//!
//! tracing's own formatter can do more than is needed here, and pays for it with every request.
//! What peers say ends up in facts, so a control character is never written as it is: no value can
//! move the cursor or begin a line of its own.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, time::FormatTime as _},
    registry::LookupSpan,
};

/// Formats events.
pub(super) struct HumanLine;

impl<S, N> FormatEvent<S, N> for HumanLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        tracing_subscriber::fmt::time::SystemTime.format_time(&mut writer)?;
        writer.write_str(level(*event.metadata().level(), writer.has_ansi_escapes()))?;
        let mut facts = Facts { writer, result: Ok(()) };
        event.record(&mut facts);
        facts.result?;
        facts.writer.write_char('\n')
    }
}

/// Writes facts behind each other.
struct Facts<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Facts<'_> {
    fn name(&mut self, field: &Field) -> fmt::Result {
        self.writer.write_char(' ')?;
        self.writer.write_str(field.name())?;
        self.writer.write_char('=')
    }

    fn text(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.name(field)?;
        if value.contains(|found: char| matches!(found, '"' | '\\') || found.is_control()) {
            return write!(self.writer, "{value:?}");
        }
        self.writer.write_char('"')?;
        self.writer.write_str(value)?;
        self.writer.write_char('"')
    }

    fn formatted(&mut self, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
        if field.name() == MESSAGE {
            self.writer.write_char(' ')?;
        } else {
            self.name(field)?;
        }
        write!(Tame(&mut self.writer), "{value:?}")
    }
}

impl Visit for Facts<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if is_origin(field) {
            return;
        }
        self.result = self.result.and_then(|()| match field.name() {
            MESSAGE => self.formatted(field, &format_args!("{value}")),
            _ => self.text(field, value),
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !is_origin(field) {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.result = self.result.and_then(|()| self.formatted(field, value));
    }

    /// With what caused it, and what caused that.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
        let mut source = value.source();
        while let Some(cause) = source {
            self.result = self.result.and_then(|()| write!(Tame(&mut self.writer), ": {cause}"));
            source = cause.source();
        }
    }
}

/// Whether a fact only says where in a library that does not know tracing something was said.
fn is_origin(field: &Field) -> bool {
    field.name().starts_with("log.")
}

/// Writes control characters as what they are called in Rust.
struct Tame<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Tame<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, found)) = rest.char_indices().find(|(_, found)| found.is_control()) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", found.escape_default())?;
            rest = &rest[at + found.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

const fn level(level: Level, colours: bool) -> &'static str {
    match (level, colours) {
        (Level::ERROR, false) => " ERROR",
        (Level::WARN, false) => "  WARN",
        (Level::INFO, false) => "  INFO",
        (Level::DEBUG, false) => " DEBUG",
        (Level::TRACE, false) => " TRACE",
        (Level::ERROR, true) => " \u{1b}[31mERROR\u{1b}[0m",
        (Level::WARN, true) => "  \u{1b}[33mWARN\u{1b}[0m",
        (Level::INFO, true) => "  \u{1b}[32mINFO\u{1b}[0m",
        (Level::DEBUG, true) => " \u{1b}[34mDEBUG\u{1b}[0m",
        (Level::TRACE, true) => " \u{1b}[35mTRACE\u{1b}[0m",
    }
}

/// The field that tracing puts the text of an event into.
const MESSAGE: &str = "message";

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt as format, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What an event looks like, without its time.
    fn line(ansi: bool, event: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let layer = format::layer()
            .with_ansi(ansi)
            .event_format(HumanLine)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = text.split_at(text.find('Z').unwrap() + 1);
        assert_eq!(time.len(), "2026-01-31T08:00:00.000000Z".len());
        rest.to_owned()
    }

    #[test]
    fn shows_what_happened_and_the_facts_in_their_order() {
        let missing: Option<&str> = None;
        let text = line(false, || {
            tracing::info!(status = 200_u64, route = "blob", digest = %"sha256:ab", missing, whole = true, "request");
        });
        assert_eq!(text, "  INFO request status=200 route=\"blob\" digest=sha256:ab whole=true\n");
        assert!(line(true, || tracing::warn!("x")).contains("\u{1b}[33mWARN\u{1b}[0m x"));
    }

    #[test]
    fn no_value_begins_a_line_or_moves_the_cursor() {
        let evil = "a\"\n2026 ERROR\u{1b}[2J\u{9b}b";
        for text in [
            line(false, || tracing::info!(value = evil, "said")),
            line(false, || tracing::info!(value = %evil, "said")),
            line(false, || tracing::info!(value = ?evil, "said")),
            line(false, || tracing::info!("said {evil}")),
        ] {
            let inside = text.strip_suffix('\n').unwrap();
            assert!(!inside.contains(char::is_control), "{text:?}");
            assert!(inside.contains("2026 ERROR"), "{text:?}");
        }
    }
}
