//! A SQLite file has no server: all that can be asked is a query.

use crate::{
    catalog::TableName,
    database::{
        Connection, Error, observe,
        observe::{Observer, Replication},
    },
    settings::Activity,
};
use async_trait::async_trait;
use std::collections::BTreeSet;

pub(super) struct SqliteObserver(pub Box<dyn Connection>);

#[async_trait]
impl Observer for SqliteObserver {
    async fn number(&mut self, query: &str) -> Result<f64, Error> {
        observe::number(self.0.as_mut(), query).await
    }

    async fn position(&mut self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    async fn replication(&mut self) -> Result<Option<Replication>, Error> {
        Ok(None)
    }

    async fn standby(&mut self, _: &str) -> Result<Option<Replication>, Error> {
        Ok(None)
    }

    async fn vacuums(&mut self, _: &[TableName]) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    async fn backups(&mut self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    async fn blind_spots(&mut self, _: &BTreeSet<Activity>) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}
