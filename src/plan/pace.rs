//! The pace before a run: whether what it minds can be watched, and the words for it in the plan.

use crate::{
    database::{self, Error, Observer},
    diagnostic::{Code, Diagnostic, Place},
    job::{Job, SETTINGS_FILE},
    plan::open::OpenDatabase,
    settings::{Activity, DatabaseSettings, Pace, Replica, Settings, UnreachableReplica, WhenTimeIsUp},
};
use futures_util::future::join_all;
use jiff::SignedDuration;
use std::{collections::BTreeMap, time::Duration};

/// Asks once what a run would ask before each batch. What cannot work is an error, what may keep a run waiting a warning.
pub(super) async fn check(job: &Job, databases: &BTreeMap<String, OpenDatabase>) -> Vec<Diagnostic> {
    let settings = |name: &String| job.settings.databases.get(name);
    let checks = databases.iter().filter_map(|(name, open)| Some(check_database(job, settings(name)?, open)));
    join_all(checks).await.into_iter().flatten().collect()
}

async fn check_database(job: &Job, settings: &DatabaseSettings, open: &OpenDatabase) -> Vec<Diagnostic> {
    let pace = job.settings.pace.of(settings);
    if settings.replicas.is_empty() && pace.load.is_none() && pace.yield_to.is_empty() {
        return Vec::new();
    }
    let place = Place::root(SETTINGS_FILE).key("databases").key(&settings.name);
    let mut observer = match open.database.observe().await {
        Ok(observer) => observer,
        Err(error) => {
            let message = format!("{} cannot be watched: {error}", settings.name);
            return vec![Diagnostic::warning(Code::Unwatched, place, message)];
        }
    };
    let mut found = Vec::new();
    if let Some(load) = &pace.load
        && let Err(error) = observer.number(&load.query).await
    {
        let message = format!("the load query does not work: {error}");
        let query = place.key("pace").key("load").key("query");
        let help = "one statement that reads and gives one row, with a number in its last column";
        found.push(Diagnostic::error(Code::BadPace, query, message).help(help));
    }
    found.extend(blind_spots(observer.as_mut(), settings, &pace, &place).await);
    let mut asked = Vec::new();
    for (name, replica) in &settings.replicas {
        let told = match replica {
            Replica::Standby(standby) => observer.standby(standby).await.map(|told| {
                told.ok_or_else(|| format!("the primary knows no standby {standby:?} (its application_name) just now"))
            }),
            Replica::Reached(_) => continue,
        };
        asked.push((name, told));
    }
    let pace = &pace;
    let reached = settings.replicas.iter().filter_map(|(name, replica)| match replica {
        Replica::Reached(replica) => Some(async move { (name, ask(replica, pace).await) }),
        Replica::Standby(_) => None,
    });
    asked.extend(join_all(reached).await);
    for (name, told) in asked {
        let place = place.key("replicas").key(name);
        let then = match pace.unreachable_replica {
            UnreachableReplica::Pause => format!("a run waits for it, up to {}", words(pace.max_wait)),
            UnreachableReplica::Ignore => "a run goes on without it".to_owned(),
        };
        match told {
            Ok(Ok(replication)) => {
                if let Some(reason) = replication.stopped {
                    let message = format!("replica {name} does not follow: {reason}");
                    found.push(Diagnostic::warning(Code::Unwatched, place, message).help("a run waits for it"));
                }
            }
            Ok(Err(reason)) => found.push(Diagnostic::warning(Code::Unwatched, place, reason).help(then)),
            Err(error) => {
                let message = format!("replica {name} does not say how far it is: {error}");
                found.push(Diagnostic::warning(Code::Unwatched, place, message).help(then));
            }
        }
    }
    found
}

/// What a replica says of itself, or that it is none.
async fn ask(replica: &DatabaseSettings, pace: &Pace) -> Result<Result<crate::database::Replication, String>, Error> {
    let database = database::open(replica, pace)?;
    let told = database::promptly(async { database.observe().await?.replication().await }).await?;
    Ok(told.ok_or_else(|| format!("{} is no replica just now", replica.name)))
}

async fn blind_spots(
    observer: &mut dyn Observer,
    settings: &DatabaseSettings,
    pace: &Pace,
    place: &Place,
) -> Vec<Diagnostic> {
    let own = settings.pace.yield_to.is_some();
    let place = if own { place.key("pace") } else { Place::root(SETTINGS_FILE).key("pace") }.key("yield_to");
    let spots = observer.blind_spots(&pace.yield_to).await.unwrap_or_else(|error| vec![error.to_string()]);
    let warning = |spot| Diagnostic::warning(Code::Unwatched, place.clone(), format!("{}: {spot}", settings.name));
    spots.into_iter().map(warning).collect()
}

/// What a run minds, in words; one line for each thing, those of a database under its name.
pub(super) fn lines(job: &Job, databases: &BTreeMap<String, OpenDatabase>) -> Vec<String> {
    let pace = &job.settings.pace;
    let mut lines = Vec::new();
    if let Some(most) = pace.run_time {
        lines.push(format!("begins no batch after {}", words(most)));
    }
    if let Some(file) = &pace.pause_file {
        lines.push(format!("pauses while {} is there", file.display()));
    }
    let mut bounded = pace.run_time.is_some();
    for settings in databases.keys().filter_map(|name| job.settings.databases.get(name)) {
        let pace = pace.of(settings);
        bounded |= pace.window.is_some();
        lines.extend(of_database(settings, &pace, &job.settings));
    }
    if bounded && pace.when_time_is_up == WhenTimeIsUp::Fail {
        lines.push("fails when time is up and work is left".to_owned());
    }
    lines
}

fn of_database(settings: &DatabaseSettings, pace: &Pace, job: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(window) = &pace.window {
        let zone = job.time_zone.iana_name().unwrap_or("UTC");
        lines.push(format!("begins batches only in the window {window} ({zone})"));
    }
    if !settings.replicas.is_empty() {
        let names: Vec<_> = settings.replicas.keys().map(String::as_str).collect();
        let unreachable = match pace.unreachable_replica {
            UnreachableReplica::Pause => "waits for",
            UnreachableReplica::Ignore => "goes on without",
        };
        let lag = words(pace.max_lag);
        lines.push(format!(
            "waits while a replica ({}) is more than {lag} behind; {unreachable} one that does not answer",
            names.join(", ")
        ));
    }
    if let Some(load) = &pace.load {
        let stop = load.stop_above.map(|stop| format!(", ends a rule above {stop}")).unwrap_or_default();
        lines.push(format!("waits while its load is above {}{stop}: {}", load.most, load.query));
    }
    let activities: Vec<_> = pace
        .yield_to
        .iter()
        .map(|activity| match activity {
            Activity::Vacuum => "a vacuum of the table",
            Activity::Backup => "a backup of the server",
        })
        .collect();
    if !activities.is_empty() {
        lines.push(format!("waits for {}", activities.join(" and ")));
    }
    if let Some(rows) = pace.rows_per_second {
        lines.push(format!("at most {rows} rows a second"));
    }
    if let Some(percent) = pace.duty_percent {
        lines.push(format!("works {percent} % of the time"));
    }
    lines.into_iter().map(|line| format!("{}: {line}", settings.name)).collect()
}

/// How long work of this length takes at this pace, waits for others left out.
#[expect(clippy::cast_precision_loss, reason = "a guess")]
pub(super) fn seconds(pace: &Pace, rows: u64, seconds: f64) -> f64 {
    let worked = pace.duty_percent.map_or(seconds, |percent| seconds * 100.0 / percent);
    pace.rows_per_second.map_or(worked, |most| worked.max(rows as f64 / f64::from(most)))
}

/// `2h 30m`.
fn words(duration: Duration) -> String {
    format!("{:#}", SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}
