//! Proofs of inclusion: an entry is in the tree whose root a checkpoint names (RFC 9162, 2.1.3.2;
//! C2SP `tlog-checkpoint`).
//!
//! Who signed the checkpoint is not checked here: that takes the log's key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::trust::json::Malformed;

/// The hash of a node.
pub(in crate::trust) type Node = [u8; 32];

/// What a checkpoint says about a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Checkpoint {
    /// Entries in the tree.
    pub(in crate::trust) size: u64,
    /// The hash over all of them.
    pub(in crate::trust) root: Node,
}

impl Checkpoint {
    /// Reads a signed note whose text is a checkpoint: origin, size and root, a line each, and after
    /// an empty line its signatures.
    ///
    /// # Errors
    /// When it is anything else.
    pub(in crate::trust) fn parse(note: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed("its checkpoint is malformed".to_owned());
        if note.len() > MAX_CHECKPOINT {
            return Err(malformed());
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or_else(malformed)?;
        let signatures = signatures.strip_suffix('\n').ok_or_else(malformed)?;
        let count = signatures.split('\n').count();
        if count > MAX_SIGNATURES
            || !signatures.split('\n').all(|line| line.starts_with("\u{2014} "))
        {
            return Err(malformed());
        }
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        if origin.is_none_or(str::is_empty) {
            return Err(malformed());
        }
        let size = size.and_then(decimal).ok_or_else(malformed)?;
        let root = root.and_then(|root| STANDARD.decode(root).ok()).ok_or_else(malformed)?;
        Ok(Self { size, root: root.try_into().map_err(|_| malformed())? })
    }

    /// Whether the entry `leaf` is at `index` of this tree, by the path of `hashes`.
    pub(in crate::trust) fn includes(&self, leaf: &[u8], index: u64, hashes: &[Node]) -> bool {
        root_of(leaf, index, self.size, hashes) == Some(self.root)
    }
}

/// A number in its one spelling.
pub(in crate::trust) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The root of the tree of `size` entries that has `leaf` at `index`.
fn root_of(leaf: &[u8], index: u64, size: u64, hashes: &[Node]) -> Option<Node> {
    let last = size.checked_sub(1).filter(|last| index <= *last)?;
    let (mut position, mut last) = (index, last);
    let mut root: Node = Sha256::new().chain_update([0]).chain_update(leaf).finalize().into();
    for hash in hashes {
        if last == 0 {
            return None;
        }
        if position % 2 == 1 || position == last {
            root = parent(hash, &root);
            while position % 2 == 0 && position != 0 {
                position /= 2;
                last /= 2;
            }
        } else {
            root = parent(&root, hash);
        }
        position /= 2;
        last /= 2;
    }
    (last == 0).then_some(root)
}

fn parent(left: &Node, right: &Node) -> Node {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Bytes of a checkpoint.
const MAX_CHECKPOINT: usize = 64 << 10;
/// Signatures of a checkpoint: the log's own and those of witnesses.
const MAX_SIGNATURES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The root over `leaves` by the definition of RFC 9162, 2.1.1, and the path to `index`.
    fn tree(leaves: &[Vec<u8>], index: usize) -> (Node, Vec<Node>) {
        if leaves.len() == 1 {
            let leaf = Sha256::new().chain_update([0]).chain_update(&leaves[0]);
            return (leaf.finalize().into(), vec![]);
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(half);
        let (left_root, left_path) = tree(left, index.min(half - 1));
        let (right_root, right_path) = tree(right, index.saturating_sub(half));
        let (mut path, other) =
            if index < half { (left_path, right_root) } else { (right_path, left_root) };
        path.push(other);
        (parent(&left_root, &right_root), path)
    }

    proptest! {
        #[test]
        fn g17_a_path_leads_to_one_root(count in 1_usize..40, pick: usize, change in 0_usize..4) {
            let leaves: Vec<_> = (0..count).map(|leaf| vec![u8::try_from(leaf).unwrap()]).collect();
            let index = pick % count;
            let (root, mut hashes) = tree(&leaves, index);
            let checkpoint = Checkpoint { size: count as u64, root };
            let at = index as u64;
            prop_assert!(checkpoint.includes(&leaves[index], at, &hashes));
            prop_assert!(!checkpoint.includes(b"another leaf", at, &hashes));
            prop_assert!(!checkpoint.includes(&leaves[index], count as u64, &hashes));
            let empty = Checkpoint { size: 0, root };
            prop_assert!(!empty.includes(&leaves[index], 0, &hashes));
            match change {
                0 => hashes.push([0; 32]),
                1 if !hashes.is_empty() => drop(hashes.pop()),
                2 if !hashes.is_empty() => hashes[0][31] ^= 1,
                _ => hashes.insert(0, [7; 32]),
            }
            prop_assert!(!checkpoint.includes(&leaves[index], at, &hashes));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}(\\n){0,3}\\PC{0,20}", numbers: (u64, u64)) {
            let _ = Checkpoint::parse(&text);
            let _ = root_of(b"", numbers.0, numbers.1, &[[0; 32]; 65]);
        }
    }

    #[test]
    fn g17_reads_a_checkpoint_and_nothing_else() {
        let root = STANDARD.encode([1; 32]);
        let good = format!("log.test\n7\n{root}\nTimestamp: 1\n\n\u{2014} log.test AAAA\n");
        assert_eq!(Checkpoint::parse(&good), Ok(Checkpoint { size: 7, root: [1; 32] }));
        for (what, with) in [
            ("log.test\n7", "\n7"),
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n-7\n"),
            ("\n7\n", "\n"),
            ("\n7\n", "\n18446744073709551616\n"),
            (root.as_str(), &root[..40]),
            ("\u{2014} log.test AAAA", "- log.test AAAA"),
            (" AAAA\n", " AAAA"),
            ("\n\n", "\n"),
        ] {
            let bad = good.replacen(what, with, 1);
            assert_ne!(bad, good, "{what}");
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?} was taken");
        }
        let many = "\u{2014} log.test AAAA\n".repeat(33);
        assert!(Checkpoint::parse(&format!("log.test\n7\n{root}\n\n{many}")).is_err());
    }
}
