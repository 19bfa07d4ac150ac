//! `yield_to: [vacuum]`: a vacuum of the very table goes first. What is deleted meanwhile it would not take along, and both
//! would wait for the same disk.

use super::{Answer, Failure, Setup, Throttle, Turn, is_passing, watch::Watch};
use crate::{catalog::TableName, settings::Activity};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use std::sync::Arc;

struct Vacuum {
    server: Arc<Watch>,
    /// The rule's table, or those that hold its rows.
    tables: Vec<TableName>,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let server = setup.server.filter(|_| setup.pace.yield_to.contains(&Activity::Vacuum))?;
    Some(Box::new(Vacuum { server: server.watch.clone(), tables: setup.tables.to_vec() }))
}

#[async_trait]
impl Throttle for Vacuum {
    fn name(&self) -> &'static str {
        "vacuum"
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let tables = self.tables.clone();
        let found = self.server.ask(|server| async move { server.vacuums(&tables).await }.boxed()).await;
        let reason = match found {
            Ok(vacuums) if vacuums.is_empty() => return Ok(Answer::Go),
            Ok(vacuums) => vacuums.join("; "),
            Err(error) if is_passing(&error) => format!("vacuums are not known: {error}"),
            Err(error) => return Err(error.into()),
        };
        Ok(Answer::Wait { reason, until: None })
    }
}
