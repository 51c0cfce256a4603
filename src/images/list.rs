//! Image lists: one image a line, `#` begins a comment, empty lines are nothing.
//!
//! ```text
//! # what the site needs
//! nginx:1.27                                  # Docker Hub, as everybody writes it
//! ghcr.io/acme/app@sha256:...
//! docker.io/acme/app:v1.*                     every tag that looks like it
//! docker.io/acme/tool:>=1.4, <2               every version inside of it
//! ```

use super::{Mention, ReadError, Reading, Selection, TagPattern, Text, Writing};

pub(super) fn read(source: &Text<'_>) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    for (start, line) in source.lines() {
        let content = without_comment(line).trim();
        if content.is_empty() {
            continue;
        }
        let place = source.place(start);
        let wanted = selection(content).map_err(|what| ReadError {
            place: place.clone(),
            what: format!("`{content}`: {what}"),
        })?;
        let start = start + line.find(content).unwrap_or_default();
        let writing = Writing::Literal(start..start + content.len());
        reading.mentions.push(Mention { wanted, place, writing });
    }
    Ok(reading)
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = character;
    }
    line
}

fn selection(content: &str) -> Result<Selection, String> {
    let pattern = content.split_once('@').is_none().then(|| content.rsplit_once(':')).flatten();
    match pattern {
        Some((name, tags)) if !tags.contains('/') && TagPattern::is_meant_by(tags) => {
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err("a pattern over tags follows a repository".to_owned());
            }
            let tags = tags.parse().map_err(|error: super::TagPatternError| error.to_string())?;
            Ok(Selection::Many { name: name.to_owned(), tags })
        }
        _ if content.contains(char::is_whitespace) => Err("one image a line".to_owned()),
        _ => content.parse().map(Selection::One).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<Reading, ReadError> {
        read(&Text::new("images.txt", text))
    }

    #[test]
    fn reads_images_and_patterns_and_nothing_else() {
        let text = "\u{20}# all we need\n\nnginx:1.27 # web\r\n  docker.io/acme/app:v1.*\nacme/tool:>=1.4, <2\n";
        let reading = read_text(text).unwrap();
        let told: Vec<_> = reading
            .mentions
            .iter()
            .map(|mention| (mention.wanted.to_string(), mention.place.to_string()))
            .collect();
        let expected = [
            ("nginx:1.27", "images.txt:3"),
            ("docker.io/acme/app:v1.*", "images.txt:4"),
            ("acme/tool:>=1.4, <2", "images.txt:5"),
        ];
        assert_eq!(told, expected.map(|(wanted, place)| (wanted.to_owned(), place.to_owned())));
        let Writing::Literal(span) = &reading.mentions[0].writing else { panic!("is literal") };
        assert_eq!(&text[span.clone()], "nginx:1.27");
    }

    #[test]
    fn says_which_line_is_no_image() {
        let error = read_text("nginx\nnginx nginx\n").unwrap_err().to_string();
        assert_eq!(error, "images.txt:2: `nginx nginx`: one image a line");
        for bad in ["app:^x", ":1.*", "app@sha256:0", "a b:1.*"] {
            assert!(read_text(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_literal_spans_hold_what_was_read(text in "(\\PC|\n){0,80}") {
            for mention in read_text(&text).map(|reading| reading.mentions).unwrap_or_default() {
                let Writing::Literal(span) = mention.writing else { panic!("lists are literal") };
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
