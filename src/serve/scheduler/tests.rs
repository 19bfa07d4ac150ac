//! Days of scheduling in a moment: tokio's clock stands still and jumps to whatever is waited for next. The runs only
//! take time.

use super::*;
use crate::{diagnostic::Severity, job, standing::Standing, store};
use async_trait::async_trait;
use jiff::{SignedDuration, tz::TimeZone};
use std::{
    fs,
    sync::{Mutex, MutexGuard},
};
use tokio::time::Instant;

/// A clock that shows `base` when the test begins.
struct Simulated {
    base: Timestamp,
    began: Instant,
}

#[async_trait]
impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        self.base + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }

    async fn wait_until(&self, at: Timestamp) {
        let wait = Duration::try_from(at.duration_since(self.base)).unwrap_or_default();
        tokio::time::sleep_until(self.began + wait).await;
    }
}

/// How a rehearsed run goes.
#[derive(Clone, Copy)]
enum Go {
    Well,
    Takes(Duration),
    Temporary,
    Badly,
    Panics,
}

type Script = dyn Fn(usize, &[String]) -> Go + Send + Sync;

struct Rehearsal {
    zone: TimeZone,
    script: Box<Script>,
    log: Mutex<Vec<String>>,
    served: Mutex<BTreeMap<String, Timestamp>>,
    standing: Mutex<Standing>,
}

impl Rehearsal {
    fn log(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap()
    }
}

#[async_trait]
impl Runner for Rehearsal {
    async fn served(&self, _: &Job) -> Result<BTreeMap<String, Timestamp>, store::Error> {
        Ok(self.served.lock().unwrap().clone())
    }

    async fn take_schedules(
        &self,
        _: &Job,
        schedules: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, store::Error> {
        Ok(self.standing.lock().unwrap().take_schedules(schedules, now))
    }

    async fn run(&self, _: Arc<Job>, running: Arc<Running>, now: Timestamp, stop: CancellationToken) -> Ended {
        let began = now.to_zoned(self.zone.clone()).strftime("%m-%d %H:%M:%S %:z");
        let number = {
            let mut log = self.log();
            log.push(format!("{began} {}", running.rules.join(" ")));
            log.len() - 1
        };
        let go = (self.script)(number, &running.rules);
        let all: BTreeSet<_> = running.rules.iter().cloned().collect();
        let (outcome, temporary) = match go {
            Go::Well => (Outcome::Done, BTreeSet::new()),
            Go::Takes(time) => tokio::select! {
                () = tokio::time::sleep(time) => (Outcome::Done, BTreeSet::new()),
                () = stop.cancelled() => {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    self.log().push("interrupted".to_owned());
                    (Outcome::Temporary, all.clone())
                }
            },
            Go::Temporary => (Outcome::Temporary, all.clone()),
            Go::Badly => (Outcome::Failed, BTreeSet::new()),
            Go::Panics => panic!("on purpose"),
        };
        let mut served = self.served.lock().unwrap();
        served.extend(all.difference(&temporary).map(|rule| (rule.clone(), now)));
        Ended { outcome, temporary }
    }
}

struct Stage {
    directory: tempfile::TempDir,
    clock: Arc<Simulated>,
    runner: Arc<Rehearsal>,
    board: Arc<Board>,
    jobs: watch::Sender<Arc<Job>>,
    stop: CancellationToken,
}

/// Writes a job whose rules have these schedules; an empty one means the job's own.
fn write(directory: &std::path::Path, settings: &str, rules: &[(&str, &str)]) -> Arc<Job> {
    fs::create_dir_all(directory.join("rules")).unwrap();
    fs::write(directory.join("sunset.yaml"), format!("name: stage\ndatabases: {{core: \"sqlite:x\"}}\n{settings}\n"))
        .unwrap();
    let mut text = "category: a\nrules:\n".to_owned();
    for (rule, schedule) in rules {
        text += &format!(
            "  - id: {rule}\n    table: core.{rule}\n    starting_point: c\n    retention_period: 1 year\n    disposition: erase\n"
        );
        if !schedule.is_empty() {
            text += &format!("    schedule: \"{schedule}\"\n");
        }
    }
    fs::write(directory.join("rules/a.yaml"), text).unwrap();
    let job = job::load(directory, Severity::Error).unwrap();
    assert!(!job.has_errors(), "{:?}", job.diagnostics);
    Arc::new(job)
}

impl Stage {
    fn new(
        settings: &str,
        rules: &[(&str, &str)],
        from: &str,
        script: impl Fn(usize, &[String]) -> Go + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let job = write(directory.path(), settings, rules);
        let clock = Arc::new(Simulated { base: from.parse().unwrap(), began: Instant::now() });
        let runner = Rehearsal {
            zone: job.settings.time_zone.clone(),
            script: Box::new(script),
            log: Mutex::default(),
            served: Mutex::default(),
            standing: Mutex::default(),
        };
        let board = Arc::new(Board::new(job.clone(), clock.now()));
        let (jobs, _) = watch::channel(job);
        Self { directory, clock, runner: Arc::new(runner), board, jobs, stop: CancellationToken::new() }
    }

    /// The job at another time, served by another process with the same store.
    fn again(&self, from: &str) -> Self {
        let clock = Arc::new(Simulated { base: from.parse().unwrap(), began: Instant::now() });
        let job = self.jobs.borrow().clone();
        let board = Arc::new(Board::new(job.clone(), clock.now()));
        let (jobs, _) = watch::channel(job);
        let (directory, runner, stop) = (tempfile::tempdir().unwrap(), self.runner.clone(), CancellationToken::new());
        Self { directory, clock, runner, board, jobs, stop }
    }

    /// A rule was served then.
    fn served(&self, rule: &str, at: &str) {
        self.runner.served.lock().unwrap().insert(rule.to_owned(), at.parse().unwrap());
    }

    async fn open(&self) -> tokio::task::JoinHandle<()> {
        let (clock, runner) = (self.clock.clone(), self.runner.clone());
        let scheduler = Scheduler::new(clock, runner, self.board.clone(), self.stop.clone()).await;
        tokio::spawn(scheduler.run(self.jobs.subscribe()))
    }

    /// Lets so many hours pass, ends, and tells when what ran.
    async fn play(&self, hours: u64) -> Vec<String> {
        let scheduler = self.open().await;
        tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
        self.stop.cancel();
        scheduler.await.unwrap();
        self.runner.log().clone()
    }

    /// How often a rule was skipped, by reason.
    fn skipped(&self) -> Vec<String> {
        let skipped = self.board.read().skipped;
        skipped.iter().map(|((rule, why), times)| format!("{rule} {} {times}", why.word())).collect()
    }
}

const PARIS: &str = "time_zone: Europe/Paris\nschedule: 30 2 * * *";
const TOKYO: &str = "time_zone: Asia/Tokyo\nschedule: 30 2 * * *";

fn well(_: usize, _: &[String]) -> Go {
    Go::Well
}

#[tokio::test(start_paused = true)]
async fn the_clocks_go_forward() {
    let rules = [("a", ""), ("b", ""), ("hourly", "0 * * * *"), ("late", "30 9 * * *")];
    let stage = Stage::new(PARIS, &rules, "2026-03-28T23:50:00Z", well);
    assert_eq!(
        stage.play(10).await,
        [
            "03-29 01:00:00 +01:00 hourly",
            // 02:30 is skipped by the clocks: it comes when they have changed, together with whatever is due then
            "03-29 03:00:00 +02:00 a b hourly",
            "03-29 04:00:00 +02:00 hourly",
            "03-29 05:00:00 +02:00 hourly",
            "03-29 06:00:00 +02:00 hourly",
            "03-29 07:00:00 +02:00 hourly",
            "03-29 08:00:00 +02:00 hourly",
            "03-29 09:00:00 +02:00 hourly",
            "03-29 09:30:00 +02:00 late",
            "03-29 10:00:00 +02:00 hourly",
            "03-29 11:00:00 +02:00 hourly",
        ]
    );
    assert!(stage.skipped().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_clocks_go_back() {
    let rules = [("a", ""), ("hourly", "0 * * * *"), ("late", "30 9 * * *")];
    let stage = Stage::new(PARIS, &rules, "2026-10-24T22:50:00Z", well);
    let log = stage.play(34).await;
    let of = |rule: &str| log.iter().filter(|line| line.ends_with(rule)).cloned().collect::<Vec<_>>();
    // 02:30 comes twice that night and counts once, and next night it is 02:30 again
    assert_eq!(of(" a"), ["10-25 02:30:00 +02:00 a", "10-26 02:30:00 +01:00 a"]);
    assert_eq!(of(" late"), ["10-25 09:30:00 +01:00 late", "10-26 09:30:00 +01:00 late"]);
    let hourly = of(" hourly");
    assert_eq!(hourly.len(), 34, "every hour of a day that has 25");
    assert_eq!(
        hourly[1..5],
        [
            "10-25 02:00:00 +02:00 hourly",
            "10-25 02:00:00 +01:00 hourly",
            "10-25 03:00:00 +01:00 hourly",
            "10-25 04:00:00 +01:00 hourly",
        ]
        .map(str::to_owned)
    );
    assert!(stage.skipped().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_still_going_is_not_overlapped_and_keeps_no_other_waiting() {
    let rules = [("slow", "0 * * * *"), ("quick", "30 * * * *")];
    let stage = Stage::new(TOKYO, &rules, "2026-11-21T15:30:00Z", |number, _| match number {
        0 => Go::Takes(Duration::from_secs(150 * 60)),
        _ => Go::Well,
    });
    assert_eq!(
        stage.play(5).await,
        [
            "11-22 01:00:00 +09:00 slow",
            "11-22 01:30:00 +09:00 quick",
            "11-22 02:30:00 +09:00 quick",
            "11-22 03:30:00 +09:00 quick",
            // 02:00 and 03:00 fell into the run of 01:00, which ended at 03:30
            "11-22 04:00:00 +09:00 slow",
            "11-22 04:30:00 +09:00 quick",
            "11-22 05:00:00 +09:00 slow",
        ]
    );
    assert_eq!(stage.skipped(), ["slow running 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_caught_up_once() {
    // 03:10 in Tokyo; the night before, everything ran
    let rules = [("a", ""), ("often", "*/10 * * * *"), ("early", "0 1 * * *"), ("new", "0 3 * * *")];
    let stage = Stage::new(TOKYO, &rules, "2026-11-21T18:10:30Z", well);
    for rule in ["a", "often", "early"] {
        stage.served(rule, "2026-11-20T18:00:00Z");
    }
    let log = stage.play(1).await;
    // `early` is more than an hour late; `new` has never run, so it has missed nothing
    assert_eq!(log[0], "11-22 03:10:30 +09:00 a often");
    assert_eq!(log[1], "11-22 03:20:00 +09:00 often");
    assert_eq!(log.len(), 7, "{log:?}");
    assert_eq!(stage.skipped(), ["early missed 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_run_is_caught_up_like_any_other() {
    // nobody was there at 02:30, and the rule had never run; at 03:20 it is caught up, at 03:40 it would be too late
    for (back, log) in [("2026-11-21T18:20:00Z", vec!["11-22 03:20:00 +09:00 a"]), ("2026-11-21T18:40:00Z", vec![])] {
        let stage = Stage::new(TOKYO, &[("a", "")], "2026-11-21T15:00:00Z", well);
        assert_eq!(stage.play(1).await, [""; 0]);
        assert_eq!(stage.again(back).play(1).await, log);
    }
    // the first run is cut off at 02:31, and what is left is caught up at 02:40, once
    let stage = Stage::new(TOKYO, &[("a", "")], "2026-11-21T15:00:00Z", |number, _| match number {
        0 => Go::Takes(Duration::from_secs(3600)),
        _ => Go::Well,
    });
    let scheduler = stage.open().await;
    tokio::time::sleep(Duration::from_secs(151 * 60)).await;
    stage.stop.cancel();
    scheduler.await.unwrap();
    let again = stage.again("2026-11-21T17:40:00Z");
    assert_eq!(again.play(1).await, ["11-22 02:30:00 +09:00 a", "interrupted", "11-22 02:40:00 +09:00 a"]);
    assert_eq!(stage.again("2026-11-21T18:00:00Z").play(1).await.len(), 3);
    // a schedule that is new at the start has missed nothing, and neither has one that a server took over while it ran
    let stage = Stage::new(TOKYO, &[("a", "")], "2026-11-21T15:00:00Z", well);
    let scheduler = stage.open().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let job = write(stage.directory.path(), TOKYO, &[("a", "0 2 * * *"), ("new", "0 3 * * *")]);
    stage.board.change(|state| state.job = job.clone());
    stage.jobs.send(job.clone()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.stop.cancel();
    scheduler.await.unwrap();
    let later = stage.again("2026-11-21T18:05:00Z");
    later.jobs.send_replace(write(later.directory.path(), TOKYO, &[("a", "0 2 * * *"), ("new", "30 2 * * *")]));
    later.board.change(|state| state.job = later.jobs.borrow().clone());
    assert_eq!(later.play(1).await, [""; 0], "2:00 is too long ago, and 2:30 was told to nobody");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_caught_up_or_tried_again_outside_its_window() {
    let settings =
        "time_zone: Asia/Tokyo\nschedule: 30 2 * * *\npace: {window: \"02:00-03:00\"}\nserve: {catch_up: 3 h}";
    // 02:50, then 03:10, on nights when 02:30 was missed
    let stage = Stage::new(settings, &[("a", "")], "2026-11-21T17:50:00Z", well);
    stage.served("a", "2026-11-20T18:00:00Z");
    assert_eq!(stage.play(1).await, ["11-22 02:50:00 +09:00 a"]);
    let stage = Stage::new(settings, &[("a", "")], "2026-11-21T18:10:00Z", well);
    stage.served("a", "2026-11-20T18:00:00Z");
    assert_eq!(stage.play(1).await, [""; 0]);
    assert_eq!(stage.skipped(), ["a closed 1"]);
    // 02:30, 02:31, 02:33, 02:37, 02:45; 03:01 would be too late
    let stage = Stage::new(settings, &[("a", "")], "2026-11-21T17:00:00Z", |_, _| Go::Temporary);
    assert_eq!(stage.play(3).await.len(), 5);
    assert_eq!(stage.skipped(), ["a closed 1"]);
}

#[tokio::test(start_paused = true)]
async fn how_late_is_a_setting() {
    let settings = format!("{TOKYO}\nserve: {{catch_up: 8 h}}");
    let stage = Stage::new(&settings, &[("a", "")], "2026-11-22T01:00:00Z", well);
    stage.served("a", "2026-11-20T18:00:00Z");
    assert_eq!(stage.play(1).await, ["11-22 10:00:00 +09:00 a"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_run_is_not_run_again() {
    let stage = Stage::new(TOKYO, &[("a", ""), ("b", "")], "2026-11-21T17:00:00Z", well);
    let scheduler = stage.open().await;
    tokio::time::sleep(Duration::from_secs(29 * 60)).await;
    // `sunset run --rule a` by hand, or another replica, at the very moment
    stage.served("a", "2026-11-21T17:30:00Z");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    stage.stop.cancel();
    scheduler.await.unwrap();
    assert_eq!(*stage.runner.log(), ["11-22 02:30:00 +09:00 b"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_within_its_time() {
    let stage = Stage::new(TOKYO, &[("a", ""), ("b", "30 3 * * *")], "2026-11-21T17:00:00Z", |number, rules| {
        match (number, rules[0].as_str()) {
            (0..=2, "a") => Go::Temporary,
            (_, "b") => Go::Temporary,
            _ => Go::Well,
        }
    });
    let log = stage.play(25).await;
    let expected = [
        "11-22 02:30:00 +09:00 a",
        "11-22 02:31:00 +09:00 a",
        "11-22 02:33:00 +09:00 a",
        "11-22 02:37:00 +09:00 a",
        "11-22 03:30:00 +09:00 b",
        "11-22 03:31:00 +09:00 b",
        "11-22 03:33:00 +09:00 b",
        "11-22 03:37:00 +09:00 b",
        "11-22 03:45:00 +09:00 b",
        "11-22 04:01:00 +09:00 b",
        // the next try would come more than an hour late
        "11-23 02:30:00 +09:00 a",
    ];
    assert_eq!(log, expected);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_waits_for_the_next_time_and_stops_nobody() {
    let stage =
        Stage::new(TOKYO, &[("a", ""), ("b", "40 2 * * *")], "2026-11-21T17:00:00Z", |number, _| match number {
            0 => Go::Panics,
            _ => Go::Badly,
        });
    assert_eq!(
        stage.play(25).await,
        ["11-22 02:30:00 +09:00 a", "11-22 02:40:00 +09:00 b", "11-23 02:30:00 +09:00 a", "11-23 02:40:00 +09:00 b",]
    );
    assert!(stage.board.read().running.is_empty());
}

#[tokio::test(start_paused = true)]
async fn jitter_moves_the_whole_job_by_the_same_time_each_night() {
    let settings = format!("{TOKYO}\nserve: {{jitter: 20 min}}");
    let stage = Stage::new(&settings, &[("a", ""), ("b", "30 2 * * 0")], "2026-11-21T17:00:00Z", well);
    let log = stage.play(48).await;
    let time = |line: &str| line[6..14].to_owned();
    assert_eq!(log.len(), 2);
    assert!(log[0].ends_with(" a b") && log[1].ends_with(" a"), "{log:?}");
    assert_eq!(time(&log[0]), time(&log[1]));
    assert!(time(&log[0]).as_str() > "02:30:00" && time(&log[0]).as_str() <= "02:50:00", "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn when_told_to_stop_it_waits_for_what_is_going_and_begins_nothing() {
    let stage = Stage::new(TOKYO, &[("a", ""), ("b", "31 2 * * *")], "2026-11-21T17:29:00Z", |_, _| {
        Go::Takes(Duration::from_secs(3600))
    });
    let scheduler = stage.open().await;
    tokio::time::sleep(Duration::from_secs(119)).await;
    let running = stage.board.read().running;
    assert_eq!(running.iter().map(|running| running.rules.join(" ")).collect::<Vec<_>>(), ["a"]);
    stage.stop.cancel();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!scheduler.is_finished() && stage.board.read().draining);
    scheduler.await.unwrap();
    assert_eq!(*stage.runner.log(), ["11-22 02:30:00 +09:00 a", "interrupted"]);
    assert!(stage.board.read().running.is_empty());
}

#[tokio::test(start_paused = true)]
async fn changed_rules_take_effect_and_unchanged_ones_lose_nothing() {
    let stage = Stage::new(TOKYO, &[("a", ""), ("gone", ""), ("moved", "0 5 * * *")], "2026-11-21T17:00:00Z", well);
    let scheduler = stage.open().await;
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    // at the very moment at which `a` is due, before anybody has looked
    let rules = [("a", ""), ("moved", "45 2 * * *"), ("new", "50 2 * * *"), ("past", "0 2 * * *")];
    let job = write(stage.directory.path(), TOKYO, &rules);
    stage.board.change(|state| state.job = job.clone());
    stage.jobs.send(job).unwrap();
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let log = stage.runner.log().clone();
    assert_eq!(
        log.iter().map(|line| line.replace(" gone", "")).collect::<Vec<_>>(),
        ["11-22 02:30:00 +09:00 a", "11-22 02:45:00 +09:00 moved", "11-22 02:50:00 +09:00 new"]
    );
    let next = stage.board.read().next;
    let past: Timestamp = "2026-11-22T17:00:00Z".parse().unwrap();
    assert_eq!(next["past"], ("0 2 * * *".to_owned(), Some(past)));
    assert!(!next.contains_key("gone"));
    stage.stop.cancel();
    scheduler.await.unwrap();
}

#[test]
fn a_machine_that_slept_catches_up_once() {
    let directory = tempfile::tempdir().unwrap();
    let job = write(directory.path(), TOKYO, &[("often", "*/10 * * * *"), ("daily", "")]);
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let mut agenda = agenda(&job, &BTreeMap::new(), at("2026-11-21T17:00:00Z"));
    // it falls asleep, and wakes up six hours later
    let taken = agenda.take(at("2026-11-21T23:04:00Z"), &BTreeSet::new());
    let start = Start { rule: "often".to_owned(), scheduled: at("2026-11-21T23:00:00Z"), attempt: 0 };
    assert_eq!(taken.start, [start]);
    assert_eq!(taken.skip.len(), 1, "{taken:?}");
    assert_eq!((taken.skip[0].rule.as_str(), taken.skip[0].why), ("daily", super::super::agenda::Why::Missed));
    assert_eq!(agenda.next(), Some(at("2026-11-21T23:10:00Z")));
    assert_eq!(agenda.take(at("2026-11-21T23:09:59Z"), &BTreeSet::new()), Default::default());
    // a clock that was set back repeats nothing
    assert_eq!(agenda.take(at("2026-11-21T22:00:00Z"), &BTreeSet::new()), Default::default());
}
