//! Proofs of inclusion: an entry is in the tree whose root a checkpoint names (RFC 9162, 2.1.3.2;
//! C2SP `tlog-checkpoint`).
//!
//! Who signed the checkpoint is not checked here: that takes the log's key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::note::Note;
use crate::trust::json::Malformed;

/// The hash of a node.
pub(super) type Node = [u8; 32];

/// What a checkpoint says about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The document that says it.
    pub(super) note: Note,
    /// Which log it says it about.
    pub(super) origin: String,
    /// Entries in the tree.
    pub(super) size: u64,
    /// The hash over all of them.
    pub(super) root: Node,
}

impl Checkpoint {
    /// Reads a signed note whose text is a checkpoint: origin, size and root, a line each.
    ///
    /// # Errors
    /// When it is anything else.
    pub(super) fn parse(note: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed("its checkpoint is malformed".to_owned());
        let note = Note::parse(note)?;
        let mut lines = note.lines().map(str::to_owned);
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        drop(lines);
        let origin = origin.filter(|origin| !origin.is_empty()).ok_or_else(malformed)?;
        let size = size.as_deref().and_then(decimal).ok_or_else(malformed)?;
        let root = root.and_then(|root| STANDARD.decode(root).ok()).ok_or_else(malformed)?;
        let root = root.try_into().map_err(|_| malformed())?;
        Ok(Self { note, origin, size, root })
    }

    /// Whether the entry `leaf` is at `index` of this tree, by the path of `hashes`.
    pub(super) fn includes(&self, leaf: &[u8], index: u64, hashes: &[Node]) -> bool {
        root_of(leaf, index, self.size, hashes) == Some(self.root)
    }
}

/// A number in its one spelling.
pub(super) fn decimal(text: &str) -> Option<u64> {
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
            let (at, size) = (index as u64, count as u64);
            let leads = |leaf: &[u8], index, size, hashes: &[Node]| {
                root_of(leaf, index, size, hashes) == Some(root)
            };
            prop_assert!(leads(&leaves[index], at, size, &hashes));
            prop_assert!(!leads(b"another leaf", at, size, &hashes));
            prop_assert!(!leads(&leaves[index], size, size, &hashes));
            prop_assert!(!leads(&leaves[index], 0, 0, &hashes));
            match change {
                0 => hashes.push([0; 32]),
                1 if !hashes.is_empty() => drop(hashes.pop()),
                2 if !hashes.is_empty() => hashes[0][31] ^= 1,
                _ => hashes.insert(0, [7; 32]),
            }
            prop_assert!(!leads(&leaves[index], at, size, &hashes));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}(\\n){0,3}\\PC{0,20}", numbers: (u64, u64)) {
            let _ = Checkpoint::parse(&format!("{text}\n\n\u{2014} log.test AAAAAAE=\n"));
            let _ = root_of(b"", numbers.0, numbers.1, &[[0; 32]; 65]);
        }
    }

    #[test]
    fn g17_reads_a_checkpoint_and_nothing_else() {
        let root = STANDARD.encode([1; 32]);
        let good = format!("log.test\n7\n{root}\nTimestamp: 1\n\n\u{2014} log.test AAAAAAE=\n");
        let read = Checkpoint::parse(&good).unwrap();
        assert_eq!((&*read.origin, read.size, read.root), ("log.test", 7, [1; 32]));
        for (what, with) in [
            ("log.test\n7", "\n7"),
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n-7\n"),
            ("\n7\n", "\n"),
            ("\n7\n", "\n18446744073709551616\n"),
            (root.as_str(), &root[..40]),
            ("\n\n", "\n"),
        ] {
            let bad = good.replacen(what, with, 1);
            assert_ne!(bad, good, "{what}");
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?} was taken");
        }
    }
}
