//! The holds that a plan knows, looked at again while its run goes on.

use super::Failure;
use crate::{database::Connection, ledger, plan::subject::Persons, store::Store};
use tokio::sync::Mutex;

/// What planning has seen of the holds in force.
#[derive(Clone, Copy)]
pub(super) struct KnownHolds<'a> {
    /// Their number and the sum of their ids.
    pub mark: (u64, u64),
    /// The persons whom they are about.
    pub persons: &'a Mutex<Persons>,
}

impl KnownHolds<'_> {
    /// The holds are those that the plan knows, and what links a held person's rows is what it was.
    ///
    /// # Errors
    /// They are not, or cannot be asked about: nothing more may be changed.
    pub async fn check(&self, store: &mut Store) -> Result<(), Failure> {
        self.check_over(store, None).await
    }

    /// The same; what stands in this database is asked for over this session.
    ///
    /// # Errors
    /// As [`KnownHolds::check`].
    pub async fn check_over(&self, store: &mut Store, own: Option<(&str, &mut dyn Connection)>) -> Result<(), Failure> {
        if store.holds_mark().await.map_err(ledger::Error::from)? != self.mark {
            return Err(Failure::HoldsChanged);
        }
        match self.persons.lock().await.are_unchanged(own).await? {
            true => Ok(()),
            false => Err(Failure::PersonChanged),
        }
    }
}
