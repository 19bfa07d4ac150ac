//! The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1): a leaf is hashed with a leading 0, a node with a leading 1, and a
//! tree of n leaves splits at the largest power of two below n.
//!
//! Used twice: over the ledger's lines (its root goes into checkpoints) and over the row tags of a batch (its root goes
//! into the intent). Nothing here keeps leaves: a tree is its right edge, and a proof is a list of ranges whose roots
//! are gathered while the leaves pass by once.

use sha2::{Digest, Sha256};
use std::ops::Range;

pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A growing tree, kept as its right edge: the roots of the complete subtrees, one for each set bit of `size`, largest
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    edge: Vec<Hash>,
}

impl Tree {
    /// Continues a tree of which only size and edge were kept; `None` when they do not fit each other.
    pub fn from_edge(size: u64, edge: &[u8]) -> Option<Self> {
        let (hashes, rest) = edge.as_chunks();
        (rest.is_empty() && hashes.len() == size.count_ones() as usize).then(|| Self { size, edge: hashes.to_vec() })
    }

    /// What [`Tree::from_edge`] takes.
    pub fn edge(&self) -> Vec<u8> {
        self.edge.concat()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// The root; that of no leaves is the hash of nothing.
    pub fn root(&self) -> Hash {
        self.edge
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// The ranges of leaves whose roots prove that leaf `index` is in a tree of `size` leaves, in the order of RFC 6962
/// §2.1.1. Empty when there is no such leaf.
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut tree = 0..size;
    while tree.contains(&index) && tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        if index < middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The ranges of leaves whose roots prove that a tree of `size` leaves begins with the one of `old` leaves, in the order
/// of RFC 6962 §2.1.2. Empty when `old` is 0, `size` or more.
pub fn consistency_ranges(old: u64, size: u64) -> Vec<Range<u64>> {
    if old == 0 || old >= size {
        return Vec::new();
    }
    let mut ranges = Vec::new();
    let mut tree = 0..size;
    while tree.end > old {
        let middle = tree.start + split(tree.end - tree.start);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    // The old tree's root itself is known to whoever asks.
    if tree.start > 0 {
        ranges.push(tree);
    }
    ranges.reverse();
    ranges
}

/// The largest power of two below `size`, which is 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Gathers the roots of ranges while leaves pass by in order.
#[derive(Clone, Debug)]
pub struct Proof {
    next: u64,
    parts: Vec<(Range<u64>, Tree)>,
}

impl Proof {
    /// For ranges as [`inclusion_ranges`] and [`consistency_ranges`] give them.
    pub fn new(ranges: Vec<Range<u64>>) -> Self {
        Self { next: 0, parts: ranges.into_iter().map(|range| (range, Tree::default())).collect() }
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        if let Some((_, tree)) = self.parts.iter_mut().find(|(range, _)| range.contains(&self.next)) {
            tree.push(leaf);
        }
        self.next += 1;
    }

    /// The proof, once all leaves have passed.
    pub fn finish(self) -> Vec<Hash> {
        self.parts.into_iter().map(|(_, tree)| tree.root()).collect()
    }
}

/// Leaf `index` is in the tree with this size and root. The algorithm of RFC 9162 §2.1.3.2.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut index, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            hash = node(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The tree of `size` leaves begins with the tree of `old` leaves. The algorithm of RFC 9162 §2.1.4.2; an empty tree is
/// the beginning of every tree.
pub fn verify_consistency(old: u64, size: u64, proof: &[Hash], old_root: &Hash, root: &Hash) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == Tree::default().root();
    }
    if old >= size {
        return old == size && proof.is_empty() && old_root == root;
    }
    // Where the old tree is complete, its root is the proof's unspoken first hash.
    let (first, rest) = match proof {
        _ if old.is_power_of_two() => (*old_root, proof),
        [first, rest @ ..] => (*first, rest),
        [] => return false,
    };
    let (mut index, mut last) = (old - 1, size - 1);
    while index & 1 == 1 {
        index >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            old_hash = node(sibling, &old_hash);
            hash = node(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::{HashableLeaf, digest::Update, mem_backed_tree::MemoryBackedTree};
    use proptest::prelude::*;

    /// ct-merkle hashes leaves itself.
    #[derive(Clone)]
    struct Leaf(Vec<u8>);

    impl HashableLeaf for Leaf {
        fn hash<H: Update>(&self, hasher: &mut H) {
            hasher.update(&self.0);
        }
    }

    fn data(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    fn prove(ranges: Vec<Range<u64>>, size: u64) -> Vec<Hash> {
        let mut proof = Proof::new(ranges);
        (0..size).for_each(|index| proof.push(leaf(&data(index))));
        proof.finish()
    }

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        (0..size).for_each(|index| tree.push(leaf(&data(index))));
        tree
    }

    #[test]
    fn a_thousand_roots_equal_another_implementation() {
        let (mut ours, mut theirs) = (Tree::default(), MemoryBackedTree::<Sha256, Leaf>::new());
        for index in 0..1000 {
            ours.push(leaf(&data(index)));
            theirs.push(Leaf(data(index)));
            assert_eq!(&ours.root()[..], theirs.root().as_bytes().as_slice(), "after {} leaves", index + 1);
        }
        assert_eq!(
            hex::encode(Tree::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn proofs_equal_another_implementation() {
        let mut theirs = MemoryBackedTree::<Sha256, Leaf>::new();
        for size in 1..=40 {
            theirs.push(Leaf(data(size - 1)));
            for index in 0..size {
                let proof = prove(inclusion_ranges(index, size), size);
                assert_eq!(
                    proof.concat(),
                    theirs.prove_inclusion(usize::try_from(index).unwrap()).as_bytes(),
                    "{index} in {size}"
                );
                assert!(verify_inclusion(leaf(&data(index)), index, size, &proof, &tree(size).root()));
            }
            for old in 1..size {
                let proof = prove(consistency_ranges(old, size), size);
                let expected = theirs.prove_consistency(usize::try_from(size - old).unwrap());
                assert_eq!(proof.concat(), expected.as_bytes(), "{old} before {size}");
                assert!(verify_consistency(old, size, &proof, &tree(old).root(), &tree(size).root()));
            }
        }
    }

    proptest! {
        #[test]
        fn only_the_true_proof_is_accepted(size in 1_u64..300, index in 0_u64..300, other in 0_u64..300, bit in 0_usize..256, at in 0_usize..10) {
            let index = index % size;
            let root = tree(size).root();
            let proof = prove(inclusion_ranges(index, size), size);
            let ours = leaf(&data(index));
            prop_assert!(verify_inclusion(ours, index, size, &proof, &root));
            prop_assert!(other == index || !verify_inclusion(ours, other, size, &proof, &root));
            prop_assert!(!verify_inclusion(leaf(b"forged"), index, size, &proof, &root));
            let mut longer = proof.clone();
            longer.push(root);
            prop_assert!(!verify_inclusion(ours, index, size, &longer, &root));
            if !proof.is_empty() {
                prop_assert!(!verify_inclusion(ours, index, size, &proof[1..], &root));
                let mut forged = proof.clone();
                let place = at % proof.len();
                forged[place][bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!verify_inclusion(ours, index, size, &forged, &root));
            }
        }

        #[test]
        fn only_the_true_history_is_accepted(size in 2_u64..300, old in 1_u64..300, bit in 0_usize..256, at in 0_usize..10) {
            let old = 1 + old % (size - 1);
            let (before, after) = (tree(old).root(), tree(size).root());
            let proof = prove(consistency_ranges(old, size), size);
            prop_assert!(verify_consistency(old, size, &proof, &before, &after));
            prop_assert!(!verify_consistency(old, size, &proof, &leaf(b"forged"), &after));
            prop_assert!(!verify_consistency(old, size, &proof, &before, &leaf(b"forged")));
            prop_assert!(!verify_consistency(old, size, &proof[1..], &before, &after));
            let mut longer = proof.clone();
            longer.push(after);
            prop_assert!(!verify_consistency(old, size, &longer, &before, &after));
            let mut forged = proof.clone();
            let place = at % proof.len();
            forged[place][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_consistency(old, size, &forged, &before, &after));
        }

        #[test]
        fn a_tree_continues_from_its_edge(size in 0_u64..300, more in 0_u64..50) {
            let kept = tree(size);
            let mut continued = Tree::from_edge(size, &kept.edge()).unwrap();
            prop_assert_eq!(&continued, &kept);
            (size..size + more).for_each(|index| continued.push(leaf(&data(index))));
            prop_assert_eq!(continued.root(), tree(size + more).root());
            prop_assert!(Tree::from_edge(size + 1 + u64::from((size + 1).count_ones() % 2), &[0; 31]).is_none());
        }
    }
}
