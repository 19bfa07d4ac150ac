//! What a ledger's entries come to at an earlier size: to compare it with checkpoints that are kept elsewhere.

use super::{PAGE, Result, entry};
use crate::{
    evidence::merkle::{Hash, Proof, Tree, consistency_ranges},
    store::Store,
};

/// The Merkle root over the first `size` entries; `None` where there are fewer.
///
/// # Errors
/// The store cannot be read.
pub async fn root_of(store: &mut Store, size: u64) -> Result<Option<Hash>> {
    let mut tree = Tree::default();
    each_leaf(store, size, |leaf| tree.push(leaf)).await?;
    Ok((tree.size() == size).then(|| tree.root()))
}

/// The proof that the first `size` entries begin with the first `old` ones (RFC 6962 §2.1.2). Empty where `old` is 0 or
/// `size`.
///
/// # Errors
/// The store cannot be read.
pub async fn consistency(store: &mut Store, old: u64, size: u64) -> Result<Vec<Hash>> {
    let mut proof = Proof::new(consistency_ranges(old, size));
    each_leaf(store, size, |leaf| proof.push(leaf)).await?;
    Ok(proof.finish())
}

/// Hands over the hashes of the first `size` entries, in order; of those before the first one that is missing.
async fn each_leaf(store: &mut Store, size: u64, mut take: impl FnMut(Hash)) -> Result<()> {
    let mut read = 0;
    while read < size {
        let page = store.entries_after(read, PAGE).await?;
        let Some((first, _)) = page.first() else { return Ok(()) };
        if *first != read + 1 {
            return Ok(());
        }
        for (seq, line) in page {
            if seq != read + 1 || seq > size {
                return Ok(());
            }
            take(entry::hash(&line));
            read = seq;
        }
    }
    Ok(())
}
