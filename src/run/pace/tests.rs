//! Turns under throttles that say what a test tells them to.

use super::*;
use std::sync::{
    Mutex as SyncMutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// Says the same until somebody tells it otherwise, and counts how often it was asked.
#[derive(Clone)]
struct Fake {
    answer: Arc<SyncMutex<Answer>>,
    asked: Arc<AtomicU32>,
}

impl Fake {
    fn new(answer: Answer) -> Self {
        Self { answer: Arc::new(SyncMutex::new(answer)), asked: Arc::default() }
    }

    fn wait() -> Self {
        Self::new(Answer::Wait { reason: "a reason".to_owned(), until: None })
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

#[async_trait]
impl Throttle for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.answer.lock().unwrap().clone())
    }
}

/// Remembers what it is shown.
#[derive(Default)]
struct Shown(SyncMutex<Vec<String>>);

impl Progress for Shown {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn wait(&self, reason: &str, waited: Duration) {
        self.0.lock().unwrap().push(format!("{reason} {}", waited.as_secs()));
    }
    fn go_on(&self) {
        self.0.lock().unwrap().push("on".to_owned());
    }
}

fn step_pace<'a>(
    throttles: Vec<Box<dyn Throttle>>,
    stop: &'a CancellationToken,
    progress: &'a dyn Progress,
) -> StepPace<'a> {
    let settings = Settings { max_wait: Duration::from_secs(60), ..Settings::default() };
    let slots = throttles.into_iter().map(|throttle| Arc::new(Slot::new(throttle))).collect();
    StepPace::new("rule", settings, slots, stop, progress)
}

fn going() -> AtomicBool {
    AtomicBool::new(false)
}

async fn after(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_until_it_may_begin_and_says_why() {
    let (stop, shown, fake) = (CancellationToken::new(), Shown::default(), Fake::wait());
    let pace = step_pace(vec![Box::new(fake.clone())], &stop, &shown);
    let (over, mut turns) = (going(), pace.turns());
    let began = Instant::now();
    let (turn, ()) = tokio::join!(turns.next(&over), async {
        after(2.6).await;
        fake.says(Answer::Go);
    });
    assert!(turn.unwrap());
    // its answer of the last second held
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(pace.waited(), BTreeMap::from([("fake".to_owned(), 3000)]));
    let shown = shown.0.lock().unwrap().clone();
    assert_eq!((shown.first().unwrap().as_str(), shown.last().unwrap().as_str()), ("a reason 1", "on"));
}

#[tokio::test(start_paused = true)]
async fn connections_share_the_answers() {
    let (stop, fake) = (CancellationToken::new(), Fake::new(Answer::Go));
    let pace = step_pace(vec![Box::new(fake.clone())], &stop, &crate::run::Silent);
    let over = going();
    let (mut one, mut other) = (pace.turns(), pace.turns());
    for _ in 0..100 {
        assert!(one.next(&over).await.unwrap() && other.next(&over).await.unwrap());
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
    after(1.0).await;
    one.next(&over).await.unwrap();
    assert_eq!(fake.asked.load(Ordering::Relaxed), 2);
    assert_eq!(pace.waited(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_wait_at_once() {
    let (stop, fake) = (CancellationToken::new(), Fake::wait());
    let pace = step_pace(vec![Box::new(fake)], &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    let began = Instant::now();
    let (turn, ()) = tokio::join!(turns.next(&over), async {
        after(0.1).await;
        stop.cancel();
    });
    assert!(matches!(turn, Err(Failure::Interrupted)));
    assert_eq!(began.elapsed(), Duration::from_millis(100));
    assert_eq!(pace.waited()["fake"], 100);
}

/// A throttle that answers nothing does not hold up a stop either.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_question_at_once() {
    struct Deaf;
    #[async_trait]
    impl Throttle for Deaf {
        fn name(&self) -> &'static str {
            "deaf"
        }
        async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
            std::future::pending().await
        }
    }
    let stop = CancellationToken::new();
    let pace = step_pace(vec![Box::new(Deaf)], &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    let (turn, ()) = tokio::join!(turns.next(&over), async { stop.cancel() });
    assert!(matches!(turn, Err(Failure::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn another_connections_end_ends_a_wait() {
    let (stop, fake) = (CancellationToken::new(), Fake::wait());
    let pace = step_pace(vec![Box::new(fake)], &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    let (turn, ()) = tokio::join!(turns.next(&over), async {
        after(0.1).await;
        over.store(true, Ordering::Relaxed);
    });
    assert!(!turn.unwrap());
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let (stop, fake) = (CancellationToken::new(), Fake::wait());
    let pace = step_pace(vec![Box::new(fake.clone())], &stop, &crate::run::Silent);
    let over = going();
    let began = Instant::now();
    let failure = pace.turns().next(&over).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "a reason (waited 1m, which is all that max_wait allows); the rest waits for the next run"
    );
    assert_eq!(failure.result(), crate::ledger::RuleResult::Temporary);
    assert_eq!(began.elapsed().as_secs(), 60);
    // the next rule does not wait as long again
    let failure = pace.turns().next(&over).await.unwrap_err();
    assert_eq!(failure.to_string(), "a reason; the rest waits for the next run");
    assert_eq!(began.elapsed().as_secs(), 60);
    // but it goes on where it may
    fake.says(Answer::Go);
    after(1.0).await;
    assert!(pace.turns().next(&over).await.unwrap());
    fake.says(Answer::Wait { reason: "again".to_owned(), until: None });
    after(1.0).await;
    let again = Instant::now();
    pace.turns().next(&over).await.unwrap_err();
    assert_eq!(again.elapsed().as_secs(), 60);
}

/// Whoever looks after something else meanwhile has waited all the same.
#[tokio::test(start_paused = true)]
async fn a_wait_goes_on_after_a_look_elsewhere() {
    let (stop, fake) = (CancellationToken::new(), Fake::wait());
    let pace = step_pace(vec![Box::new(fake.clone())], &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    let began = Instant::now();
    let patience = Duration::from_secs(20);
    assert_eq!(turns.next_within(&over, patience).await.unwrap(), None);
    assert_eq!(began.elapsed(), patience);
    after(5.0).await;
    let failure = turns.ready_within(&over, Duration::MAX).await.unwrap_err();
    assert!(failure.to_string().contains("waited 1m, which is all"), "{failure}");
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(pace.waited(), BTreeMap::from([("fake".to_owned(), 60_000)]));
    fake.says(Answer::Go);
    after(1.0).await;
    assert_eq!(turns.next_within(&over, patience).await.unwrap(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn time_that_is_up_is_no_failure() {
    let (stop, fake) = (CancellationToken::new(), Fake::new(Answer::TimeIsUp("it is late".to_owned())));
    let pace = step_pace(vec![Box::new(fake.clone())], &stop, &crate::run::Silent);
    let failure = pace.turns().next(&going()).await.unwrap_err();
    assert_eq!(failure.to_string(), "it is late; the rest waits for the next run");
    assert_eq!(failure.result(), crate::ledger::RuleResult::Backlog);
    fake.says(Answer::Stop("it burns".to_owned()));
    after(1.0).await;
    let failure = pace.turns().next(&going()).await.unwrap_err();
    assert_eq!(failure.result(), crate::ledger::RuleResult::Temporary);
}

fn made_with(pace: Settings) -> Vec<Box<dyn Throttle>> {
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let (zone, began) = (&TimeZone::UTC, Instant::now());
    let setup = Setup { pace, zone, store: None, clock: &clock, began, server: None, tables: &[] };
    OF_THE_JOB.iter().chain(OF_A_DATABASE).filter_map(|open| open(&setup)).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_by_default() {
    assert!(made_with(Settings::default()).is_empty());
}

/// Two connections, each batch of 500 rows in 100 ms, at 1,000 rows a second.
#[tokio::test(start_paused = true)]
async fn rows_per_second_hold_for_all_connections_together() {
    let stop = CancellationToken::new();
    let throttles = made_with(Settings { rows_per_second: Some(1000), ..Settings::default() });
    let pace = step_pace(throttles, &stop, &crate::run::Silent);
    let over = going();
    let began = Instant::now();
    let work = async || {
        let mut turns = pace.turns();
        for _ in 0..20 {
            turns.next(&over).await.unwrap();
            after(0.1).await;
            pace.note(500).await;
        }
    };
    tokio::join!(work(), work());
    let seconds = began.elapsed().as_secs_f64();
    assert!((18.0..20.1).contains(&seconds), "20,000 rows took {seconds} s");
    let waited = pace.waited()["rows_per_second"];
    assert!((16_000..20_000).contains(&waited), "{waited}");
    // after an hour's pause there is no burst of an hour's worth
    after(3600.0).await;
    let began = Instant::now();
    work().await;
    assert!(began.elapsed().as_secs_f64() > 8.0);
}

#[tokio::test(start_paused = true)]
async fn a_duty_cycle_holds_for_each_connection() {
    let stop = CancellationToken::new();
    let throttles = made_with(Settings { duty_percent: Some(20.0), ..Settings::default() });
    let pace = step_pace(throttles, &stop, &crate::run::Silent);
    let over = going();
    let began = Instant::now();
    let work = async || {
        let mut turns = pace.turns();
        for _ in 0..10 {
            assert!(turns.next(&over).await.unwrap());
            after(0.05).await;
        }
    };
    tokio::join!(work(), work());
    // ten batches and nine rests of four times their length
    assert_eq!(began.elapsed().as_millis(), 10 * 50 + 9 * 200);
    assert_eq!(pace.waited()["duty_cycle"], 1800);
}

/// What is no batch is no work: a page that waits for third parties does not earn the database a rest.
#[tokio::test(start_paused = true)]
async fn only_batches_count_as_work() {
    let stop = CancellationToken::new();
    let throttles = made_with(Settings { duty_percent: Some(50.0), ..Settings::default() });
    let pace = step_pace(throttles, &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    turns.ready_within(&over, Duration::MAX).await.unwrap();
    after(10.0).await;
    let began = Instant::now();
    turns.next(&over).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    after(0.2).await;
    turns.ended();
    after(10.0).await;
    let began = Instant::now();
    turns.next(&over).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_runs_time_ends() {
    let stop = CancellationToken::new();
    let throttles = made_with(Settings { run_time: Some(Duration::from_secs(7200)), ..Settings::default() });
    let pace = step_pace(throttles, &stop, &crate::run::Silent);
    let (over, mut turns) = (going(), pace.turns());
    assert!(turns.next(&over).await.unwrap());
    after(7199.0).await;
    assert!(turns.next(&over).await.unwrap());
    after(1.0).await;
    let failure = turns.next(&over).await.unwrap_err();
    assert_eq!(failure.to_string(), "the run has used its time of 2h; the rest waits for the next run");
}
