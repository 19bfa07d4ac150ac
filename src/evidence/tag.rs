//! Row tags: what the ledger knows of a row.
//!
//! A tag is the first 16 bytes of HMAC-SHA-256 (RFC 2104) over the table's name and the row's key. Without the secret
//! it says nothing; with it, whoever knows a row's key finds its batch; once the secret is destroyed, nobody does.

use crate::evidence::merkle::{self, Hash, Tree};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{cmp::Ordering, collections::BTreeMap, fmt};

pub type Tag = [u8; 16];

/// Makes tags. Holds the keyed state of the HMAC, which is copied for each row.
#[derive(Clone)]
pub struct TagKey {
    id: String,
    state: Hmac<Sha256>,
}

impl TagKey {
    pub(crate) fn new(id: String, secret: &[u8; 32]) -> Self {
        // 32 bytes are less than SHA-256's block of 64, so that the key is padded and not hashed.
        let mut block = [0; 64];
        block[..32].copy_from_slice(secret);
        Self { id, state: Hmac::new(&block.into()) }
    }

    /// Eight hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The tag of a row. `table` is `database.schema.table`; `key` holds the primary key's values as texts, in key order.
    /// The message is each text with its length in bytes (64 bits, little-endian) in front, so no two lists of texts
    /// have the same.
    pub fn tag(&self, table: &str, key: &[impl AsRef<str>]) -> Tag {
        let mut mac = self.state.clone();
        feed(&mut mac, table);
        for part in key {
            feed(&mut mac, part.as_ref());
        }
        truncate(mac)
    }

    /// The tag of an SQL condition, as holds have them: without the secret nobody can try out what it was. An empty
    /// table name in front keeps it apart from every row's tag.
    pub fn condition_tag(&self, table: &str, condition: &str) -> Tag {
        self.tag("", &[table, condition])
    }

    /// The tag of a person, as holds have them. The number of texts keeps it apart from the tags of conditions, and its first
    /// one from those of subjects at recipients.
    pub fn person_tag(&self, table: &str, subject: &str, key: &[String]) -> Tag {
        let parts: Vec<_> = ["person", table, subject].into_iter().chain(key.iter().map(String::as_str)).collect();
        self.tag("", &parts)
    }
}

impl TagKey {
    /// The tag of what tells a person from others: see [`TagKey::person_tag`].
    pub fn identity_tag(&self, subject: &str, values: &[String]) -> Tag {
        let parts: Vec<_> = ["identity", subject].into_iter().chain(values.iter().map(String::as_str)).collect();
        self.tag("", &parts)
    }

    /// A key for another purpose. The message is no tag's: those begin with the length of a text, which is never this.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = self.state.clone();
        mac.update(&u64::MAX.to_le_bytes());
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// The tag of a person at a recipient: the name, and each identifier with its own name. The empty table name and the
    /// number of texts keep it apart from the tags of rows and conditions.
    pub fn subject_tag(&self, recipient: &str, identifiers: &BTreeMap<String, String>) -> Tag {
        let pairs = identifiers.iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
        let parts: Vec<_> = ["recipient", recipient, ""].into_iter().chain(pairs).collect();
        self.tag("", &parts)
    }
}

/// No secrets.
impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("TagKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn feed(mac: &mut Hmac<Sha256>, text: &str) {
    mac.update(&(text.len() as u64).to_le_bytes());
    mac.update(text.as_bytes());
}

fn truncate(mac: Hmac<Sha256>) -> Tag {
    let mut tag = [0; 16];
    tag.copy_from_slice(&mac.finalize().as_bytes()[..16]);
    tag
}

/// What becomes of a batch's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// They are evidence: the intent names their root, and they are kept for good.
    Lasting,
    /// The evidence is the number of rows alone. Only recovery needs them: they are forgotten with the batch's outcome.
    UntilSettled,
    /// None are made.
    Without,
}

/// Collects the tags of a batch: 16 bytes for each row.
#[derive(Clone, Debug)]
pub struct BatchEvidence {
    table: String,
    tag_key: String,
    tagging: Tagging,
    tags: Vec<Tag>,
}

/// The evidence of a finished batch: what goes into its intent and what is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTags {
    /// `database.schema.table`.
    pub table: String,
    /// The key that made the tags.
    pub tag_key: String,
    pub tagging: Tagging,
    /// The number of tags.
    pub count: u64,
    /// Merkle root over the sorted tags; that of the empty tree where the evidence is their number alone.
    pub root: Hash,
    /// Sorted, 16 bytes each.
    pub tags: Vec<u8>,
}

impl BatchEvidence {
    /// For a batch of rows of `table` (`database.schema.table`).
    pub fn new(table: impl Into<String>, key: &TagKey) -> Self {
        Self { table: table.into(), tag_key: key.id.clone(), tagging: Tagging::Lasting, tags: Vec::new() }
    }

    #[must_use]
    pub fn with(self, tagging: Tagging) -> Self {
        Self { tagging, ..self }
    }

    pub fn push(&mut self, tag: Tag) {
        self.tags.push(tag);
    }

    /// Sorts the tags, so that their order tells nothing, and computes their root.
    pub fn finish(mut self) -> BatchTags {
        // as numbers, which compares sixteen bytes at once
        self.tags.sort_unstable_by_key(|tag| u128::from_be_bytes(*tag));
        let tags = self.tags.concat();
        let root = if self.tagging == Tagging::Lasting { root_of_tags(&tags) } else { Tree::default().root() };
        let count = self.tags.len() as u64;
        BatchTags { table: self.table, tag_key: self.tag_key, tagging: self.tagging, count, root, tags }
    }
}

/// So many tags are one leaf of a batch's tree. A leaf for each tag would cost ten times as many hashes, more than making
/// the tags; a proof carries the tags of one leaf, 1 KiB.
pub const LEAF: usize = 64;

/// The leaves of a batch's tree, from its sorted tags of 16 bytes each.
pub fn leaves(tags: &[u8]) -> impl ExactSizeIterator<Item = Hash> {
    tags.chunks(16 * LEAF).map(merkle::leaf)
}

/// Two sorted lists of tags have one in common.
pub fn share_one(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (one.chunks_exact(16).peekable(), other.chunks_exact(16).peekable());
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        match a.cmp(b) {
            Ordering::Less => drop(one.next()),
            Ordering::Greater => drop(other.next()),
            Ordering::Equal => return true,
        }
    }
    false
}

/// The Merkle root over them.
pub fn root_of_tags(tags: &[u8]) -> Hash {
    let mut tree = Tree::default();
    leaves(tags).for_each(|leaf| tree.push(leaf));
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> TagKey {
        TagKey::new("00000000".into(), &[7; 32])
    }

    #[test]
    fn a_tag_is_a_truncated_hmac_over_lengths_and_texts() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"\x10\0\0\0\0\0\0\0core.public.cats\x02\0\0\0\0\0\0\x0042");
        assert_eq!(key().tag("core.public.cats", &["42"]), mac.finalize().as_bytes()[..16]);
    }

    /// Sixty-four to a leaf, as RFC 6962 says of trees; by another implementation.
    #[test]
    fn the_root_is_that_of_leaves_of_sixty_four_tags() {
        use ct_merkle::{HashableLeaf, digest::Update, mem_backed_tree::MemoryBackedTree};
        struct Leaf(Vec<u8>);
        impl HashableLeaf for Leaf {
            fn hash<H: Update>(&self, hasher: &mut H) {
                hasher.update(&self.0);
            }
        }
        for count in [0, 1, 63, 64, 65, 128, 1000] {
            let tags: Vec<u8> = (0..count).flat_map(|n| key().tag("core.cats", &[n.to_string()])).collect();
            let mut theirs = MemoryBackedTree::<Sha256, Leaf>::new();
            tags.chunks(1024).for_each(|leaf| theirs.push(Leaf(leaf.to_vec())));
            assert_eq!(root_of_tags(&tags)[..], theirs.root().as_bytes()[..], "{count} tags");
        }
    }

    proptest! {
        #[test]
        fn different_rows_have_different_tags(a in "[ab]{0,3}", b in prop::collection::vec("[ab]{0,2}", 0..3), c in "[ab]{0,3}", d in prop::collection::vec("[ab]{0,2}", 0..3)) {
            prop_assert_eq!((&a, &b) == (&c, &d), key().tag(&a, &b) == key().tag(&c, &d));
        }

        #[test]
        fn the_order_of_rows_does_not_matter(mut keys in prop::collection::vec("[a-z]{1,4}", 0..50)) {
            let finish = |keys: &[String]| {
                let mut evidence = BatchEvidence::new("core.main.cats", &key());
                keys.iter().for_each(|text| evidence.push(key().tag("core.main.cats", &[text])));
                evidence.finish()
            };
            let forward = finish(&keys);
            keys.reverse();
            prop_assert_eq!(&finish(&keys), &forward);
            prop_assert_eq!(forward.count, keys.len() as u64);
            prop_assert!(forward.tags.as_chunks::<16>().0.is_sorted());
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", key()), "TagKey { id: \"00000000\", .. }");
    }
}
