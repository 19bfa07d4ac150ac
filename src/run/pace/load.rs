//! `load`: a number that the database tells, and how high it may be. (gh-ost's `--max-load` and `--critical-load`.)

use super::{Answer, Failure, Setup, Throttle, Turn, is_passing, watch::Watch};
use crate::{database::Error, settings::Load as Settings};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use std::sync::Arc;

struct Load {
    server: Arc<Watch>,
    settings: Settings,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let (server, settings) = (setup.server?.watch.clone(), setup.pace.load.clone()?);
    Some(Box::new(Load { server, settings }))
}

#[async_trait]
impl Throttle for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let Settings { query, most, stop_above } = &self.settings;
        let asked = query.clone();
        let number = self.server.ask(|server| async move { server.number(&asked).await }.boxed()).await;
        let reason = match number {
            Ok(number) if stop_above.is_some_and(|stop| number > stop) => {
                return Ok(Answer::Stop(format!("the load is {number}, which is above stop_above")));
            }
            Ok(number) if number > *most => format!("the load is {number}, at most {most} is allowed"),
            Ok(_) => return Ok(Answer::Go),
            Err(error) if is_passing(&error) => format!("the load is not known: {error}"),
            Err(error) => return Err(Error::new(error.kind, format!("the load query: {error}")).into()),
        };
        Ok(Answer::Wait { reason, until: None })
    }
}
