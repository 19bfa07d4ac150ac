//! The connections over which throttles ask: never those that change rows, and one for each server.

use crate::{
    database::{self, Database, Error, Observer},
    settings::{DatabaseSettings, Pace},
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// One server, watched over a connection that is opened at the first question and after each failure.
pub(super) struct Watch {
    server: Result<Box<dyn Database>, Error>,
    observer: Mutex<Option<Box<dyn Observer>>>,
}

impl Watch {
    /// Connects to nothing yet.
    pub fn new(settings: &DatabaseSettings, pace: &Pace) -> Self {
        Self { server: database::open(settings, pace), observer: Mutex::default() }
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The server cannot be reached, does not answer in time, or fails.
    pub async fn ask<T, F>(&self, question: F) -> Result<T, Error>
    where
        F: for<'o> FnOnce(&'o mut dyn Observer) -> BoxFuture<'o, Result<T, Error>>,
    {
        let asked = async {
            let server = self.server.as_ref().map_err(Clone::clone)?;
            let mut kept = self.observer.lock().await;
            // taken out, so that a question that is given up half-way leaves no answer for the next one
            let mut observer = match kept.take() {
                Some(observer) => observer,
                None => server.observe().await?,
            };
            let answer = question(observer.as_mut()).await?;
            *kept = Some(observer);
            Ok(answer)
        };
        database::promptly(asked).await
    }
}
