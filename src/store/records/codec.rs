//! How a small file is written: one line of JSON, and one line with the digest of the first.
//!
//! ```text
//! {"version":1,"record":{...}}
//! sha256:<hex>
//! ```
//! The second line makes a torn or altered file certain to be noticed; `head -1` shows the JSON to
//! people and programs. Whatever does not decode, or has another version, reads as absent, and
//! absent always means "ask again", never "allow".

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::oci::Digest;

/// Something that is kept in a file of its own.
pub(in crate::store) trait Record: Serialize + DeserializeOwned {
    /// Changes when what is written today could be misread tomorrow.
    const VERSION: u32;
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    record: &'a T,
}

#[derive(Deserialize)]
struct Read<'a> {
    version: u32,
    #[serde(borrow)]
    record: &'a serde_json::value::RawValue,
}

/// The file that holds `record`.
pub(in crate::store) fn encode<T: Record>(record: &T) -> Vec<u8> {
    let written = Written { version: T::VERSION, record };
    let mut content =
        serde_json::to_vec(&written).expect("a record has text keys and no part that fails");
    let digest = Digest::of(&content);
    content.extend_from_slice(format!("\n{digest}\n").as_bytes());
    content
}

/// The record in a file, `None` where the file is not what [`encode`] writes.
pub(in crate::store) fn decode<T: Record>(content: &[u8]) -> Option<T> {
    let content = content.strip_suffix(b"\n")?;
    let end = content.iter().rposition(|byte| *byte == b'\n')?;
    let (json, digest) = (&content[..end], &content[end + 1..]);
    let digest: Digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    if !digest.matches(json) {
        return None;
    }
    let read: Read<'_> = serde_json::from_slice(json).ok()?;
    // The version first: the record of another one may have another shape.
    (read.version == T::VERSION).then(|| serde_json::from_str(read.record.get()).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Record for Vec<(String, u64)> {
        const VERSION: u32 = 1;
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Next(Vec<(String, u64)>);

    impl Record for Next {
        const VERSION: u32 = 2;
    }

    #[test]
    fn a_record_of_another_version_reads_as_absent() {
        assert_eq!(decode::<Next>(&encode(&vec![("a".to_owned(), 1)])), None);
    }

    fn values() -> impl Strategy<Value = Vec<(String, u64)>> {
        prop::collection::vec((".{0,8}", any::<u64>()), 0..6)
    }

    proptest! {
        #[test]
        fn round_trips(value in values()) {
            prop_assert_eq!(decode::<Vec<(String, u64)>>(&encode(&value)), Some(value));
        }

        #[test]
        fn decoding_never_panics(content: Vec<u8>) {
            prop_assert_eq!(decode::<Vec<(String, u64)>>(&content), None);
        }

        #[test]
        fn an_altered_or_cut_record_reads_as_absent(
            value in values(),
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let content = encode(&value);
            let at = at.index(content.len());
            let mut altered = content.clone();
            altered[at] ^= flip;
            prop_assert_eq!(decode::<Vec<(String, u64)>>(&altered), None);
            prop_assert_eq!(decode::<Vec<(String, u64)>>(&content[..at]), None);
        }
    }
}
