//! The label of the job that a client works for.

use std::fmt;

/// What a CI system calls its job: `acme/app#1234`. It comes from the client and proves nothing; the
/// records carry it so that "which job pulled this" is a question with an answer.
///
/// At most [`MAX_JOB_LENGTH`] printable ASCII characters and never empty, so that it can neither
/// swell a record nor move a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job(Box<str>);

impl Job {
    /// What is left of `text` once it is cut and cleaned; `None` when that is nothing.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let clean =
            |found: char| if found.is_ascii_graphic() || found == ' ' { found } else { '?' };
        let text: String = text.trim().chars().take(MAX_JOB_LENGTH).map(clean).collect();
        let text = text.trim_end();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Characters of a job's label that are kept.
pub const MAX_JOB_LENGTH: usize = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_is_cut_and_cleaned() {
        let of = |text: &str| Job::of(text).map(|job| job.to_string());
        assert_eq!(of(" acme/app#12 ").as_deref(), Some("acme/app#12"));
        assert_eq!(of("a\n\u{1b}[2J\u{202e}b").as_deref(), Some("a??[2J?b"));
        assert_eq!(of(" \t"), None);
        assert_eq!(of(&"x".repeat(500)).map(|job| job.len()), Some(MAX_JOB_LENGTH));
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "\\PC{0,200}") {
            if let Some(job) = Job::of(&text) {
                prop_assert_eq!(Job::of(job.as_str()), Some(job));
            }
        }
    }
}
