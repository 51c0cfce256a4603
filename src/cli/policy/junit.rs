//! Results in the XML that CI systems read: the subset of JUnit's format that all of them agree on.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use super::test::Tested;

/// Writes `tested` to the file `path`.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write(path: &Path, tested: &[Tested]) -> io::Result<()> {
    File::create(path)?.write_all(report(tested).as_bytes())
}

fn report(tested: &[Tested]) -> String {
    let failures = tested.iter().filter(|case| !case.passed).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{}\" failures=\"{failures}\"", tested.len());
    text.push_str(&format!("<testsuites {counts}>\n"));
    text.push_str(&format!("  <testsuite name=\"portcullis policy test\" {counts}>\n"));
    for case in tested {
        let (file, name) = (Escaped(&case.file), Escaped(&case.name));
        text.push_str(&format!("    <testcase classname=\"{file}\" name=\"{name}\""));
        if case.passed {
            text.push_str("/>\n");
            continue;
        }
        let message = case.differences.join("; ");
        let said = case.verdict.as_ref().map_or("", |verdict| &verdict.message);
        let (message, said) = (Escaped(&message), Escaped(said));
        text.push_str(&format!(
            ">\n      <failure message=\"{message}\">{said}</failure>\n    </testcase>\n"
        ));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// A text as XML has it (XML 1.0, 2.2 and 2.4): what XML cannot hold at all becomes a question mark.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => formatter.write_str("&amp;"),
            '<' => formatter.write_str("&lt;"),
            '>' => formatter.write_str("&gt;"),
            '"' => formatter.write_str("&quot;"),
            '\t' | '\n' | '\r' => formatter.write_char(' '),
            '\u{fffe}' | '\u{ffff}' => formatter.write_char('?'),
            letter if letter.is_control() => formatter.write_char('?'),
            letter => formatter.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let case = |name: &str, differences: &[&str]| Tested {
            file: "cases.toml".to_owned(),
            name: name.to_owned(),
            passed: differences.is_empty(),
            differences: differences.iter().map(|&text| text.to_owned()).collect(),
            verdict: None,
        };
        let text = report(&[case("good", &[]), case("<bad> & \"worse\"\u{1}", &["it <is>"])]);
        insta::assert_snapshot!(text, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="2" failures="1">
          <testsuite name="portcullis policy test" tests="2" failures="1">
            <testcase classname="cases.toml" name="good"/>
            <testcase classname="cases.toml" name="&lt;bad&gt; &amp; &quot;worse&quot;?">
              <failure message="it &lt;is&gt;"></failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
