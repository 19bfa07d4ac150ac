//! The holds that a plan knows, looked at again while its run goes on.

use super::Failure;
use crate::{database::Connection, ledger, plan::subject::Persons, store::Store};
use std::time::Duration;
use tokio::sync::Mutex;

/// What planning has seen of the holds in force.
#[derive(Clone, Copy)]
pub(super) struct KnownHolds<'a> {
    /// Their number and the sum of their ids.
    pub mark: (u64, u64),
    /// The persons whom they are about.
    pub persons: &'a Mutex<Persons>,
    /// What the step answers, if it is one for requests.
    pub requests: Option<KnownRequests<'a>>,
}

/// What a step for requests was begun with.
#[derive(Clone, Copy)]
pub(super) struct KnownRequests<'a> {
    /// The highest number that the plan knows, and how many up to it were open.
    pub last: u64,
    pub open: u64,
    /// The persons who have asked.
    pub persons: &'a Mutex<Persons>,
}

/// Looking persons up costs statements: once in this time is enough between batches.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

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
        if let Some(requests) = self.requests {
            requests.check(store).await?;
        }
        match self.persons.lock().await.are_unchanged(own).await? {
            true => Ok(()),
            false => Err(Failure::PersonChanged),
        }
    }
}

impl KnownRequests<'_> {
    async fn check(&self, store: &mut Store) -> Result<(), Failure> {
        if store.requests_open_up_to(self.last).await.map_err(ledger::Error::from)? != self.open {
            return Err(Failure::RequestsChanged("a request was closed meanwhile".to_owned()));
        }
        match self.persons.lock().await.are_unchanged_since(LOOK_AGAIN).await? {
            true => Ok(()),
            false => Err(Failure::RequestsChanged(CHANGED.to_owned())),
        }
    }
}

/// Why a step for requests waits.
pub(super) const CHANGED: &str =
    "what links the rows of a person who has asked was changed meanwhile, or somebody else has it too now";
