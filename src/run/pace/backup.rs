//! `yield_to: [backup]`: a backup of the server goes first, as far as it can be seen.

use super::{Answer, Failure, Setup, Throttle, Turn, is_passing, watch::Watch};
use crate::settings::Activity;
use async_trait::async_trait;
use futures_util::FutureExt as _;
use std::sync::Arc;

struct Backup {
    server: Arc<Watch>,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let server = setup.server.filter(|_| setup.pace.yield_to.contains(&Activity::Backup))?;
    Some(Box::new(Backup { server: server.watch.clone() }))
}

#[async_trait]
impl Throttle for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let reason = match self.server.ask(|server| server.backups().boxed()).await {
            Ok(backups) if backups.is_empty() => return Ok(Answer::Go),
            Ok(backups) => backups.join("; "),
            Err(error) if is_passing(&error) => format!("backups are not known: {error}"),
            Err(error) => return Err(error.into()),
        };
        Ok(Answer::Wait { reason, until: None })
    }
}
