//! `replicas` and `max_lag`: no batch begins while a replica is too far behind.
//!
//! MariaDB and MySQL replicas tell their lag in seconds. A PostgreSQL standby tells how old the last transaction is that it
//! has replayed, which says nothing while the primary is idle; and it cannot know what it has not received. So the primary
//! is asked where its log ends, again and again: a standby that has replayed up to where the log ended ten seconds ago is
//! not further behind than that, whatever clocks and connections say.

use super::{Answer, Failure, Setup, Throttle, Turn, watch::Watch, words};
use crate::{
    database::{Error, ErrorKind, Replication},
    settings::{Replica, UnreachableReplica},
};
use async_trait::async_trait;
use futures_util::{FutureExt as _, future::join_all};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// After so long, a replica that did not answer and is ignored is asked again.
const AGAIN: Duration = Duration::from_secs(30);

struct ReplicaLag {
    primary: Arc<Watch>,
    replicas: Vec<Watched>,
    most: Duration,
    unreachable: UnreachableReplica,
}

struct Watched {
    name: String,
    source: Source,
    ends: Ends,
    /// It did not answer and is ignored until then.
    ignored: Option<Instant>,
}

enum Source {
    Itself(Watch),
    /// The primary knows it by this name.
    Primary(String),
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    let server = setup.server?;
    let watched = |(name, replica): (&String, &Replica)| Watched {
        name: name.clone(),
        source: match replica {
            Replica::Reached(settings) => Source::Itself(Watch::new(settings, &setup.pace)),
            Replica::Standby(name) => Source::Primary(name.clone()),
        },
        ends: Ends::default(),
        ignored: None,
    };
    let replicas: Vec<_> = server.settings.replicas.iter().map(watched).collect();
    (!replicas.is_empty()).then(|| {
        Box::new(ReplicaLag {
            primary: server.watch.clone(),
            replicas,
            most: setup.pace.max_lag,
            unreachable: setup.pace.unreachable_replica,
        }) as _
    })
}

#[async_trait]
impl Throttle for ReplicaLag {
    fn name(&self) -> &'static str {
        "replica_lag"
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let now = Instant::now();
        // before the replicas: what it has written since is no lag
        let end = match self.primary.ask(|primary| primary.position().boxed()).await {
            Ok(end) => end,
            Err(error) => return Ok(wait(format!("the primary does not say where its log ends: {error}"))),
        };
        let primary = &self.primary;
        let asked = self.replicas.iter_mut().filter(|replica| replica.ignored.is_none_or(|until| until <= now));
        let answers = join_all(asked.map(async |replica| {
            let told = replica.ask(primary).await;
            (replica, told)
        }));
        for (replica, told) in answers.await {
            let name = &replica.name;
            match told {
                Ok(told) => {
                    replica.ignored = None;
                    match replica.ends.lag(now, end, &told) {
                        Ok(lag) if lag <= self.most => {}
                        Ok(lag) => {
                            let (lag, most) = (words(lag), words(self.most));
                            return Ok(wait(format!("replica {name} is {lag} behind, max_lag is {most}")));
                        }
                        Err(reason) => return Ok(wait(format!("replica {name} does not follow: {reason}"))),
                    }
                }
                Err(error) if self.unreachable == UnreachableReplica::Ignore => {
                    tracing::warn!(replica = name, reason = %error, "replica does not answer; going on without it");
                    replica.ignored = Some(now + AGAIN);
                }
                Err(error) => return Ok(wait(format!("replica {name} does not say how far it is: {error}"))),
            }
        }
        Ok(Answer::Go)
    }
}

fn wait(reason: String) -> Answer {
    Answer::Wait { reason, until: None }
}

impl Watched {
    async fn ask(&self, primary: &Watch) -> Result<Replication, Error> {
        let told = match &self.source {
            Source::Itself(watch) => watch.ask(|replica| replica.replication().boxed()).await?,
            Source::Primary(name) => {
                let name = name.clone();
                primary.ask(|primary| async move { primary.standby(&name).await }.boxed()).await?
            }
        };
        told.ok_or_else(|| match &self.source {
            Source::Itself(_) => Error::new(ErrorKind::Unreachable, "it is no replica (any more)"),
            Source::Primary(name) => {
                Error::new(ErrorKind::Unreachable, format!("the primary knows no standby {name:?}"))
            }
        })
    }
}

/// Where the primary's log ended at which moment: as far back as the replica has come.
#[derive(Debug, Default)]
struct Ends(VecDeque<(Instant, u64)>);

impl Ends {
    /// How far the replica is behind, with the primary's log ending at `end` now.
    ///
    /// # Errors
    /// It does not follow at all, in words.
    fn lag(&mut self, now: Instant, end: Option<u64>, told: &Replication) -> Result<Duration, String> {
        if let Some(reason) = &told.stopped {
            return Err(reason.clone());
        }
        let Some((end, reached)) = end.zip(told.position) else {
            return told.behind.ok_or_else(|| "it does not know how far it is behind".to_owned());
        };
        self.0.push_back((now, end));
        let age = |(at, _): &(Instant, u64)| now.duration_since(*at);
        // the last end that it has come to, and the first that it has not
        while self.0.get(1).is_some_and(|(_, end)| *end <= reached) {
            self.0.pop_front();
        }
        let come_to = self.0.front().filter(|(_, end)| *end <= reached).map(age);
        let Some(not_come_to) = self.0.iter().find(|(_, end)| *end > reached).map(age) else {
            return Ok(Duration::ZERO);
        };
        let told = told.behind.unwrap_or(Duration::ZERO).max(not_come_to);
        Ok(come_to.map_or(told, |most| told.min(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64, behind: Option<u64>) -> Replication {
        Replication { position: Some(position), behind: behind.map(Duration::from_secs), stopped: None }
    }

    #[test]
    fn positions_go_over_what_a_standby_thinks() {
        let mut ends = Ends::default();
        let start = Instant::now();
        let mut lag = |seconds: u64, end: u64, told: Replication| {
            ends.lag(start + Duration::from_secs(seconds), Some(end), &told).map(|lag| lag.as_secs())
        };
        // the primary was idle for an hour, and everything is replayed
        assert_eq!(lag(0, 100, at(100, Some(3600))), Ok(0));
        // a moment later something was written: not further behind than the last look
        assert_eq!(lag(1, 110, at(100, Some(3601))), Ok(1));
        assert_eq!(lag(2, 120, at(120, Some(0))), Ok(0));
        // it has lost its connection, and takes what it has for everything
        assert_eq!(lag(3, 130, at(120, Some(1))), Ok(1));
        assert_eq!(lag(20, 200, at(120, None)), Ok(17));
        // it comes back
        assert_eq!(lag(21, 210, at(150, Some(12))), Ok(12));
        assert_eq!(lag(22, 220, at(220, Some(0))), Ok(0));
        // its clock is an hour ahead
        assert_eq!(lag(23, 230, at(225, Some(3600))), Ok(1));
    }

    #[test]
    fn a_standby_that_is_behind_from_the_start_is_believed() {
        let mut ends = Ends::default();
        let now = Instant::now();
        assert_eq!(ends.lag(now, Some(100), &at(50, Some(300))), Ok(Duration::from_secs(300)));
        assert_eq!(ends.lag(now + Duration::from_secs(5), Some(110), &at(50, None)), Ok(Duration::from_secs(5)));
        let stopped = Replication { stopped: Some("its replay is paused".to_owned()), ..at(110, Some(0)) };
        assert_eq!(ends.lag(now, Some(110), &stopped), Err("its replay is paused".to_owned()));
    }

    #[test]
    fn without_positions_the_seconds_count() {
        let mut ends = Ends::default();
        let told = |behind| Replication { behind, ..Replication::default() };
        assert_eq!(ends.lag(Instant::now(), None, &told(Some(Duration::from_secs(7)))), Ok(Duration::from_secs(7)));
        assert!(ends.lag(Instant::now(), None, &told(None)).is_err());
    }
}
