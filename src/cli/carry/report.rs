//! What became of each image, told as soon as it is known, and of all of them at the end.

use std::io;

use crate::{
    archive::{Item, Outcome},
    cli::{
        failure::Exit,
        output::{Output, Tone},
    },
    units::Rounded,
};

/// A report that is being told.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    admitted: u64,
    denied: u64,
    kept: u64,
    undecided: u64,
    failed: u64,
    size: u64,
}

impl Report {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, admitted: 0, denied: 0, kept: 0, undecided: 0, failed: 0, size: 0 }
    }

    /// Tells what became of one image: a line of JSON, or a few of text.
    pub(super) fn tell(&mut self, item: &Item, output: &mut Output) -> io::Result<()> {
        self.count(item);
        if self.json {
            return output.json_line(item);
        }
        let tone = match item.outcome {
            Outcome::Admitted => Tone::Good,
            Outcome::Kept | Outcome::Undecided => Tone::Worrying,
            Outcome::Denied | Outcome::Failed => Tone::Bad,
        };
        let word = output.paint(tone, format_args!("{:<9}", item.outcome.as_str()));
        output.line(format_args!("{word}  {}", item.image))?;
        let mut facts = Vec::new();
        if item.size > 0 {
            facts.push(Rounded(item.size).to_string());
        }
        if !item.signed_by.is_empty() {
            facts.push(format!("signed by {}", item.signed_by.join(", ")));
        }
        let facts = facts.join(", ");
        for text in [&facts, &item.message, &item.next_step] {
            if !text.is_empty() {
                output.line(format_args!("           {text}"))?;
            }
        }
        Ok(())
    }

    /// Tells the sum, and says how the command ends.
    pub(super) fn finish(&self, fetched: u64, output: &mut Output) -> Exit {
        let Self { admitted, denied, kept, undecided, failed, .. } = self;
        let counts = [
            (*admitted, "admitted"),
            (*denied, "denied"),
            (*kept, "kept though denied"),
            (*undecided, "undecided"),
            (*failed, "failed"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let mut words: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        if words.is_empty() {
            words.push("no images".to_owned());
        }
        let (size, fetched) = (Rounded(self.size), Rounded(fetched));
        output.note(format_args!("{}; {size} in all, {fetched} moved", words.join(", ")));
        match (denied + kept + failed, undecided) {
            (0, 0) => Exit::Success,
            (0, _) => Exit::Undecided,
            _ => Exit::No,
        }
    }

    fn count(&mut self, item: &Item) {
        let counter = match item.outcome {
            Outcome::Admitted => &mut self.admitted,
            Outcome::Denied => &mut self.denied,
            Outcome::Failed => &mut self.failed,
            Outcome::Kept => &mut self.kept,
            Outcome::Undecided => &mut self.undecided,
        };
        *counter += 1;
        self.size += item.size;
    }
}
