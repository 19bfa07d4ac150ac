//! Counts calls against daily quotas in the store, over runs, nights and processes.
//!
//! Calls are taken from the day in small blocks before they are made, so that a run that is killed has at most counted too
//! many, never too few. What is left of a block is given back at the end of the run.

use crate::{
    recipients::{
        Quotas,
        quota::{Clock, Day, Quota, Spent},
    },
    settings::{Settings, StoreSettings},
    store::{self, Store},
};
use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::sync::Mutex;

/// Blocks of a quota.
const BLOCKS: u32 = 50;

/// No block is larger.
const LARGEST_BLOCK: u32 = 500;

pub(super) struct StoredQuotas {
    store: StoreSettings,
    zone: TimeZone,
    clock: Clock,
    blocks: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    store: Option<Store>,
    by_recipient: BTreeMap<String, Block>,
}

/// What a recipient may still be called without asking the store.
struct Block {
    begins: Timestamp,
    left: u32,
    /// The day has no more.
    is_last: bool,
}

impl StoredQuotas {
    /// `now` is what the run takes for the present time.
    pub fn new(settings: &Settings, now: Timestamp) -> Self {
        let (store, zone) = (settings.store.clone(), settings.time_zone.clone());
        Self { store, zone, clock: Clock::from(now), blocks: Mutex::default() }
    }

    /// Gives back what no call was made for.
    pub async fn give_back(&self) -> Result<(), store::Error> {
        let mut blocks = self.blocks.lock().await;
        let Blocks { store, by_recipient } = &mut *blocks;
        let Some(mut store) = store.take() else { return Ok(()) };
        for (recipient, block) in std::mem::take(by_recipient).into_iter().filter(|(_, block)| block.left > 0) {
            store.give_calls_back(&recipient, block.begins, block.left).await?;
        }
        store.close().await
    }
}

impl Blocks {
    async fn store(&mut self, settings: &StoreSettings) -> Result<&mut Store, store::Error> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open_existing(settings).await?,
        };
        Ok(self.store.insert(store))
    }

    async fn take(
        &mut self,
        settings: &StoreSettings,
        recipient: &str,
        quota: &Quota,
        day: &Day,
    ) -> Result<bool, store::Error> {
        let known = self.by_recipient.get_mut(recipient).filter(|block| block.begins == day.begins);
        if let Some(block) = known
            && (block.left > 0 || block.is_last)
        {
            let taken = block.left > 0;
            block.left = block.left.saturating_sub(1);
            return Ok(taken);
        }
        let wanted = (quota.calls / BLOCKS).clamp(1, LARGEST_BLOCK);
        let given = self.store(settings).await?.take_calls(recipient, day.begins, quota.calls, wanted).await?;
        let block = Block { begins: day.begins, left: given.saturating_sub(1), is_last: given < wanted };
        self.by_recipient.insert(recipient.to_owned(), block);
        Ok(given > 0)
    }
}

#[async_trait]
impl Quotas for StoredQuotas {
    async fn take(&self, recipient: &str, quota: &Quota) -> Result<(), Spent> {
        let now = self.clock.now();
        let day = quota.day(now, &self.zone);
        match self.blocks.lock().await.take(&self.store, recipient, quota, &day).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Spent::new(quota, &day, now)),
            Err(error) => {
                Err(Spent { reason: format!("its calls of this day cannot be counted: {error}"), again_after: None })
            }
        }
    }

    async fn rest(&self, recipient: &str) -> Option<Duration> {
        let mut blocks = self.blocks.lock().await;
        let until = async { blocks.store(&self.store).await?.rest(recipient).await };
        let until = until.await.inspect_err(|error| {
            tracing::warn!(recipient, reason = %error, "whether it asked to be left alone cannot be read");
        });
        let left = until.ok()??.duration_since(self.clock.now());
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    async fn keep_rest(&self, recipient: &str, pause: Duration) {
        let until = self.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
        let mut blocks = self.blocks.lock().await;
        let kept = async { blocks.store(&self.store).await?.keep_rest(recipient, until).await };
        if let Err(error) = kept.await {
            tracing::warn!(recipient, reason = %error, "that it asked to be left alone cannot be kept");
        }
    }
}

impl fmt::Debug for StoredQuotas {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("StoredQuotas").finish_non_exhaustive()
    }
}
