//! PEM, the strict way: RFC 7468, one block and nothing else.
//!
//! What stands before, after or between blocks is where two readers see two keys (G-19), so there
//! may be nothing: no second block, no text around, no carriage returns, no headers. Where lines end
//! inside changes no meaning, and not everybody who writes PEM ends them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The content of the one block in `text`, and which of `labels` it carries.
///
/// # Errors
/// When `text` is anything else; see [`PemError`].
pub(super) fn decode<'l>(text: &[u8], labels: &[&'l str]) -> Result<(&'l str, Vec<u8>), PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::NotText)?;
    if text.contains('\r') {
        return Err(PemError::CarriageReturn);
    }
    let mut lines = text.trim_end_matches('\n').split('\n');
    let first = lines.next().unwrap_or_default();
    let label = first
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_suffix("-----"))
        .ok_or(PemError::NoBlock)?;
    let label = labels
        .iter()
        .copied()
        .find(|known| *known == label)
        .ok_or_else(|| PemError::Label(label.chars().take(40).collect()))?;
    let last = lines.next_back().unwrap_or_default();
    let mut body = String::with_capacity(text.len());
    for line in lines {
        if line.starts_with("-----") {
            return Err(PemError::SeveralBlocks);
        }
        if line.is_empty() {
            return Err(PemError::Body);
        }
        body.push_str(line);
    }
    if last.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) != Some(label) {
        return Err(PemError::NoEnd);
    }
    let content = STANDARD.decode(body).map_err(|_| PemError::Body)?;
    if content.is_empty() { Err(PemError::Body) } else { Ok((label, content)) }
}

/// The contents of the blocks in `text`, from one to `most`, each labelled by one of `labels`. They stand
/// one after the other, with empty lines between them at most.
///
/// # Errors
/// When `text` is anything else; see [`PemError`].
pub(super) fn decode_several(
    text: &[u8],
    labels: &[&str],
    most: usize,
) -> Result<Vec<Vec<u8>>, PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::NotText)?;
    let begins: Vec<_> = text.match_indices("-----BEGIN ").map(|(at, _)| at).collect();
    if begins.len() > most {
        return Err(PemError::SeveralBlocks);
    }
    let starts = std::iter::once(0).chain(begins.into_iter().skip(1));
    let ends = starts.clone().skip(1).chain([text.len()]);
    let block = |(start, end)| Ok(decode(text[start..end].as_bytes(), labels)?.1);
    starts.zip(ends).map(block).collect()
}

/// `content` as one block labelled `label`.
pub(super) fn encode(label: &str, content: &[u8]) -> String {
    let body = STANDARD.encode(content);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Why a text is not one PEM block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Between the two lines is something else than standard base64.
    #[error("the lines between BEGIN and END must be standard base64 and nothing else")]
    Body,
    /// Windows line ends.
    #[error("it has Windows line ends: save it with Unix ones (`dos2unix`)")]
    CarriageReturn,
    /// Another kind of block.
    #[error("it holds a `{0}`")]
    Label(String),
    /// It does not begin with a block.
    #[error("it must begin with a `-----BEGIN ...-----` line, without text before it")]
    NoBlock,
    /// It does not end with the block.
    #[error("it must end with the `-----END ...-----` line of its block, without text after it")]
    NoEnd,
    /// Not UTF-8.
    #[error("it is not text")]
    NotText,
    /// More than one block.
    #[error("it holds several blocks: keep each in a file of its own")]
    SeveralBlocks,
}

/// RFC 7468, 2: characters in a line that is written.
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &str = "-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n";

    #[test]
    fn g19_reads_one_block_and_nothing_else() {
        let read =
            |text: &str| decode(text.as_bytes(), &["PUBLIC KEY"]).map(|(_, content)| content);
        assert_eq!(read(BLOCK), Ok(vec![0, 1, 2]));
        assert_eq!(read(BLOCK.trim_end()), Ok(vec![0, 1, 2]));
        for (text, error) in [
            (String::new(), PemError::NoBlock),
            ("\n \n".to_owned(), PemError::NoBlock),
            (format!("a key:\n{BLOCK}"), PemError::NoBlock),
            (format!("\n{BLOCK}"), PemError::NoBlock),
            (format!("{BLOCK}{BLOCK}"), PemError::SeveralBlocks),
            (format!("{BLOCK}trailing"), PemError::SeveralBlocks),
            (BLOCK.replace("-----END PUBLIC KEY-----\n", ""), PemError::NoEnd),
            (BLOCK.replace("END PUBLIC", "END PRIVATE"), PemError::NoEnd),
            (BLOCK.replace('\n', "\r\n"), PemError::CarriageReturn),
            (BLOCK.replace("PUBLIC KEY", "CERTIFICATE"), PemError::Label("CERTIFICATE".to_owned())),
            (BLOCK.replace("AAEC", "AAEC\n"), PemError::Body),
            (BLOCK.replace("AAEC", "Proc-Type: 4,ENCRYPTED\nAAEC"), PemError::Body),
            (BLOCK.replace("AAEC", "AA EC"), PemError::Body),
            (BLOCK.replace("AAEC", "AAE"), PemError::Body),
            (BLOCK.replace("AAEC", "AAF="), PemError::Body),
            (BLOCK.replace("AAEC", "__8="), PemError::Body),
            (BLOCK.replace("AAEC\n", ""), PemError::Body),
        ] {
            assert_eq!(read(&text), Err(error), "{text:?}");
        }
        assert_eq!(decode(&[0xff, 0xfe], &["PUBLIC KEY"]), Err(PemError::NotText));
    }

    #[test]
    fn g19_reads_blocks_after_each_other_and_nothing_between() {
        let read = |text: &str| decode_several(text.as_bytes(), &["PUBLIC KEY"], 2);
        let content = vec![0, 1, 2];
        assert_eq!(read(BLOCK), Ok(vec![content.clone()]));
        assert_eq!(read(&format!("{BLOCK}\n{BLOCK}\n")), Ok(vec![content.clone(), content]));
        for (text, error) in [
            (String::new(), PemError::NoBlock),
            (" \n".to_owned(), PemError::NoBlock),
            (format!("a key:\n{BLOCK}"), PemError::NoBlock),
            (format!("{BLOCK}a key:\n{BLOCK}"), PemError::SeveralBlocks),
            (BLOCK.repeat(3), PemError::SeveralBlocks),
            (format!("{BLOCK}-----BEGIN "), PemError::NoBlock),
        ] {
            assert_eq!(read(&text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(content in proptest::collection::vec(any::<u8>(), 1..300)) {
            let text = encode("PUBLIC KEY", &content);
            prop_assert_eq!(decode(text.as_bytes(), &["PUBLIC KEY"]), Ok(("PUBLIC KEY", content)));
        }

        #[test]
        fn parsing_never_panics(text in "(-----(BEGIN|END) PUBLIC KEY-----|[A-Za-z0-9+/=\\n-]{0,20}|\\PC{0,5}){0,6}") {
            let _ = decode(text.as_bytes(), &["PUBLIC KEY"]);
            let _ = decode_several(text.as_bytes(), &["PUBLIC KEY"], 4);
        }
    }
}
