//! `sunset serve` as its users meet it: the real program with a clock that is ahead, asked over HTTP.

mod browser;

use crate::support::{
    bench::{Bench, signal},
    exposition::Exposition,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Child,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use sunset::catalog::Engine;

/// Nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs; it is killed when the test ends.
pub struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Server {
    /// Starts it on a free port; `arguments` may say otherwise.
    pub fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = bench.start(&[&["serve"], listen, arguments].concat());
        let (log, stderr) = (Arc::new(Mutex::new(String::new())), child.stderr.take().unwrap());
        let kept = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut log = kept.lock().unwrap();
                *log += &line.unwrap();
                *log += "\n";
            }
        });
        let mut server = Self { child, log, address: String::new() };
        let address = |log: &str| Some(log.split_once(" on http://")?.1.split_once('/')?.0.to_owned());
        server.until("it serves", |server| address(&server.log()).is_some());
        server.address = address(&server.log()).unwrap();
        server
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until this holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "never: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let address = self.address.replace("0.0.0.0", "127.0.0.1");
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if headers.iter().any(|(name, _)| *name == "host") {
            String::new()
        } else {
            format!("host: {address}\r\n")
        };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn metrics(&self) -> Exposition {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Exposition::parse(&answer.body)
    }

    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits for the end; gives the exit code.
    pub fn ended(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

const SETTINGS: &str = "time_zone: Asia/Tokyo\nschedule: 30 2 * * *";

/// Just before the time of the schedule.
const BEFORE: &str = "2026-11-22T02:29:58+09:00";

const RULE: &str = "
- {id: t, table: core.t, starting_point: at_day, retention_period: 1 year, regular_deletion_period: 2 years,
   disposition: erase}";

/// Two rows that are due, one of them held, and one that is not.
pub async fn company(engine: Engine) -> Bench {
    let bench = Bench::new(engine).await;
    bench
        .script(
            "create table t (id {int} primary key, at_day {date}, name {text});
             insert into t values (1, '2001-01-01', 'hunter2 Hanako'), (2, '2024-01-01', 'hunter2 Taro'),
               (3, '2026-11-01', 'hunter2 Jiro')",
        )
        .await;
    bench.settings(SETTINGS);
    bench.rules(RULE);
    let hold = ["hold", "add", "--table", "core.t", "--key", "1", "--matter", "1/26", "--reason", "x", "--owner", "y"];
    bench.sunset(&[hold.as_slice(), &["--review", "2030-01-01"]].concat()).expect(0);
    bench
}

#[tokio::test]
async fn a_rule_runs_when_its_time_comes_and_everybody_can_see_it() {
    let bench = company(Engine::Postgres).await;
    let mut server = Server::start(&bench, &["--now", BEFORE]);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").body, "ready\n");
    assert_eq!(server.metrics().count("sunset_config_last_reload_successful"), 1);
    server.until("the rule ran", |server| server.log().contains("scheduled run ended"));
    assert_eq!(bench.list("select id from t order by id").await, "1 3");

    let disposed = "sunset_rows_disposed_total{rule=\"t\",disposition=\"erase\"}";
    server.until("the metrics show it", |server| server.metrics().count(disposed) == 1);
    let metrics = server.metrics();
    assert_eq!(metrics.count("sunset_rule_held_rows{rule=\"t\"}"), 1);
    assert_eq!(metrics.count("sunset_rule_overdue_rows{rule=\"t\"}"), 0);
    assert_eq!(metrics.count("sunset_last_run_exit_code"), 0);
    assert_eq!(metrics.count("sunset_runs_in_progress"), 0);
    let next: jiff::Timestamp = "2026-11-22T17:30:00Z".parse().unwrap();
    assert_eq!(metrics.count("sunset_rule_next_run_timestamp_seconds{rule=\"t\"}"), next.as_second());

    for (path, language, words) in [
        ("/", "en", ["Next run", "2026-11-23 02:30 JST", "Nothing needs attention."]),
        ("/", "ja", ["次回の実行", "2026-11-23 02:30 JST", "対応が必要な事項はありません。"]),
        ("/rules", "en", ["core.t", "30 2 * * *", "explained rest"]),
        ("/rules", "ja", ["core.t", "消去", "完了（理由のある残りあり）"]),
        ("/recipients", "en", ["This job has no recipients.", "Recipients", "Asia/Tokyo"]),
        ("/ledger", "en", ["Signed by a checkpoint", "done", "Holds in force"]),
        ("/ledger", "ja", ["署名済み", "完了", "有効な消去停止"]),
    ] {
        let answer = server.get(&format!("{path}?lang={language}"));
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(&format!("<html lang=\"{language}\">")), "{path}");
        for word in words {
            assert!(answer.body.contains(word), "no {word} in {path} ({language}):\n{}", answer.body);
        }
        // no value of a row, no key, nothing from elsewhere, nothing that acts
        for forbidden in ["hunter2", "<script", "javascript:", "http://", "https://", "<form", " style="] {
            let found = answer.body.replace("http://www.w3.org/2000/svg", "").contains(forbidden);
            assert!(!found, "{forbidden} in {path}");
        }
        assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
    }
    let japanese = server.ask("GET", "/rules", &[("accept-language", "ja,en;q=0.5")]);
    assert!(japanese.body.contains("<html lang=\"ja\">"), "the browser's language counts");

    server.signal("TERM");
    assert_eq!(server.ended(), 0);
    let evidence = bench.evidence();
    assert!(evidence.is_settled() && evidence.committed_rows() == 1);
    // on another machine with the same store, `status` shows the same
    let status = bench.sunset(&["status"]).expect(0).out;
    assert!(status.contains("explained rest"), "{status}");
}

#[tokio::test]
async fn it_only_answers_questions() {
    let bench = company(Engine::Sqlite).await;
    let server = Server::start(&bench, &["--now", "2026-11-22T12:00:00+09:00"]);
    let post = server.ask("POST", "/", &[("content-length", "0")]);
    assert_eq!((post.status, post.head.contains("allow: get, head")), (405, true));
    assert_eq!(server.get("/nowhere").status, 404);
    assert_eq!(server.get("/../etc/passwd").status, 404);
    let head = server.ask("HEAD", "/", &[]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // a page of another site, under whose name a browser looks here
    assert_eq!(server.ask("GET", "/", &[("host", "evil.example")]).status, 421);
    assert_eq!(server.ask("GET", "/metrics", &[("host", "evil.example")]).status, 421);
    assert_eq!(server.ask("GET", "/healthz", &[("host", "evil.example")]).status, 200);
}

#[tokio::test]
async fn other_machines_need_a_token() {
    let bench = company(Engine::Sqlite).await;
    let refused = bench.sunset(&["serve", "--listen", "0.0.0.0:0"]).expect(2);
    assert!(refused.err.contains("--token-file"), "{}", refused.err);
    let token = bench.path("token");
    fs::write(&token, "a-token-of-some-length\n").unwrap();
    let server = Server::start(&bench, &["--listen", "0.0.0.0:0", "--token-file", token.to_str().unwrap()]);
    for path in ["/", "/rules", "/recipients", "/ledger", "/metrics", "/nowhere"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.head.contains("www-authenticate: bearer") && answer.head.contains("www-authenticate: basic"));
        assert!(!answer.body.contains("core.t"), "{path}");
        assert_eq!(server.ask("GET", path, &[("authorization", "Bearer wrong")]).status, 401, "{path}");
    }
    let bearer = ("authorization", "Bearer a-token-of-some-length");
    assert_eq!(server.ask("GET", "/rules", &[bearer]).status, 200);
    assert_eq!(server.ask("GET", "/metrics", &[bearer, ("host", "sunset.example:9464")]).status, 200);
    // anybody:a-token-of-some-length
    let basic = ("authorization", "Basic YW55Ym9keTphLXRva2VuLW9mLXNvbWUtbGVuZ3Ro");
    assert_eq!(server.ask("GET", "/", &[basic]).status, 200);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert!(!server.log().contains("a-token"), "{}", server.log());
}

#[tokio::test]
async fn changed_files_take_effect_when_they_are_good() {
    let bench = company(Engine::Sqlite).await;
    let mut server = Server::start(&bench, &["--now", "2026-11-22T12:00:00+09:00"]);
    let good = |server: &Server| server.metrics().count("sunset_config_last_reload_successful") == 1;

    // not even YAML; then a table that is not there; each time, the rules from before stay
    for (broken, words) in [
        ("- {id: t, tabel: core.t", "rules/category.yaml"),
        (
            "- {id: new, table: core.nowhere, starting_point: at_day, retention_period: 1 year, disposition: erase}",
            "nowhere",
        ),
    ] {
        bench.rules(broken);
        server.signal("HUP");
        server.until("the fault is seen", |server| !good(server) && server.get("/").body.contains(words));
        let page = server.get("/?lang=en").body;
        assert!(page.contains("The rules from before stay in force.") && !page.contains("<id"), "{page}");
        let rules = server.get("/rules").body;
        assert!(rules.contains("core.t") && !rules.contains("nowhere"), "{rules}");
        assert!(server.metrics().has("sunset_rule_next_run_timestamp_seconds{rule=\"t\"}"));
    }

    // without any signal: the files are looked at every few seconds
    bench.settings("time_zone: Asia/Tokyo\nschedule: 45 3 * * *");
    bench.rules("- {id: renamed, table: core.t, starting_point: at_day, retention_period: 1 year, disposition: erase}");
    server.until("the new rules are in force", |server| good(server) && server.get("/rules").body.contains("renamed"));
    let next: jiff::Timestamp = "2026-11-22T18:45:00Z".parse().unwrap();
    server.until("the new schedule counts", |server| {
        let series = "sunset_rule_next_run_timestamp_seconds{rule=\"renamed\"}";
        let metrics = server.metrics();
        metrics.has(series) && metrics.count(series) == next.as_second()
    });
    assert!(!server.metrics().has("sunset_rule_next_run_timestamp_seconds{rule=\"t\"}"));
    server.signal("TERM");
    assert_eq!(server.ended(), 0);
}

#[tokio::test]
async fn what_is_wrong_from_the_start_is_not_served() {
    let bench = company(Engine::Sqlite).await;
    bench.rules("- {id: t, table: core.nowhere, starting_point: at_day, retention_period: 1 year, disposition: erase}");
    let call = bench.sunset(&["serve", "--listen", "127.0.0.1:0"]).expect(2);
    assert!(call.err.contains("nowhere"), "{}", call.err);
    bench.rules(RULE);
    let call = bench.sunset(&["serve", "--listen", "127.0.0.1:0", "--rules-digest", &"0".repeat(64)]).expect(3);
    assert!(call.err.contains("--rules-digest"), "{}", call.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let call = bench.sunset(&["serve", "--listen", &taken.local_addr().unwrap().to_string()]).expect(2);
    assert!(call.err.contains("--listen"), "{}", call.err);
}

/// Many rows and small batches: a run of some seconds.
async fn slow_company() -> Bench {
    let bench = Bench::new(Engine::Postgres).await;
    bench.settings(&format!("{SETTINGS}\npace: {{batch_rows: 5}}"));
    bench.rules("- {id: t, table: core.t, starting_point: at_day, retention_period: 1 year, disposition: erase}");
    bench
        .script(
            "create table t (id int primary key, at_day date);
             insert into t select n, '2001-01-01' from generate_series(1, 20000) as n",
        )
        .await;
    bench
}

#[tokio::test]
async fn asked_to_stop_it_finishes_its_batch_and_the_next_start_goes_on() {
    let bench = slow_company().await;
    let mut server = Server::start(&bench, &["--now", BEFORE]);
    server.until("a run is at work", |server| {
        let page = server.get("/?lang=en").body;
        page.contains("at rule t, ") && !page.contains("at rule t, 0 of")
    });
    assert_eq!(server.metrics().count("sunset_runs_in_progress"), 1);
    server.signal("TERM");
    assert_eq!(server.ended(), 0, "{}", server.log());
    let left = bench.count("select count(*) from t").await;
    assert!(left > 0 && left < 20000, "{left}");
    let evidence = bench.evidence();
    assert!(evidence.is_settled(), "a batch was cut off");
    assert_eq!(evidence.committed_rows(), 20000 - left);
    // within the hour it is caught up; a clock of the next day has its own turn
    bench.settings(SETTINGS);
    let server = Server::start(&bench, &["--now", "2026-11-23T02:29:58+09:00"]);
    server.until("the rest is done", |server| server.log().contains("scheduled run ended"));
    assert_eq!(bench.count("select count(*) from t").await, 0);
}

#[tokio::test]
async fn asked_twice_it_ends_at_once_and_nothing_is_lost() {
    let bench = slow_company().await;
    let mut server = Server::start(&bench, &["--now", BEFORE]);
    server.until("a run is at work", |server| server.get("/?lang=en").body.contains("at rule t, "));
    // somebody holds the rows, so that the open batch cannot end
    let mut holder = crate::support::bench::postgres(&bench.database.url).await;
    sqlx::raw_sql("begin; lock table t in access exclusive mode").execute(&mut holder).await.unwrap();
    server.signal("TERM");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(server.get("/readyz").status, 503);
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.ended(), 75, "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(holder);
    bench.settings(SETTINGS);
    bench.run(0);
    assert_eq!(bench.count("select count(*) from t").await, 0);
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 20000);
}

#[tokio::test]
async fn a_run_that_does_not_end_is_left_behind_in_time() {
    let bench = slow_company().await;
    // no batch ends in time, however fast the program is
    let trigger =
        "create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(4); return null; end';
                   create trigger slow before delete on t for each statement execute function wait()";
    bench.script(trigger).await;
    let mut server = Server::start(&bench, &["--now", BEFORE, "--drain", "1s"]);
    server.until("a run is at work", |server| server.get("/?lang=en").body.contains("at rule t, "));
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.ended(), 75, "{}", server.log());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn what_was_missed_while_nobody_was_there_is_caught_up() {
    let bench = company(Engine::Sqlite).await;
    bench.sunset(&["run", "--now", "2026-11-20"]).expect(0);
    bench.script("insert into t values (4, '2024-01-01', 'hunter2 Saburo')").await;
    // the run above was now, by the real clock: the next turn is at half past two after it
    let tokyo = jiff::tz::TimeZone::get("Asia/Tokyo").unwrap();
    let now = jiff::Timestamp::now().to_zoned(tokyo);
    let turn = now.date().tomorrow().unwrap().at(2, 30, 0, 0).to_zoned(now.time_zone().clone()).unwrap();
    let at = |minutes: i64| (turn.timestamp() + jiff::SignedDuration::from_mins(minutes)).to_string();
    let server = Server::start(&bench, &["--now", &at(90)]);
    server.until("it is too late", |server| server.log().contains("rule skipped"));
    // the log speaks a moment before the page does
    server.until("the page says so", |server| server.get("/?lang=en").body.contains("was missed"));
    assert_eq!(server.metrics().count("sunset_rule_skipped_runs_total{rule=\"t\",result=\"missed\"}"), 1);
    drop(server);
    assert_eq!(bench.list("select id from t order by id").await, "1 3 4");
    let server = Server::start(&bench, &["--now", &at(30)]);
    server.until("it is caught up", |server| server.log().contains("scheduled run ended"));
    assert_eq!(bench.list("select id from t order by id").await, "1 3");
}

#[tokio::test]
async fn without_its_store_it_says_so() {
    let bench = company(Engine::Sqlite).await;
    let server = Server::start(&bench, &["--now", "2026-11-22T12:00:00+09:00"]);
    fs::write(bench.path("state/sunset.db"), "no database any more, but for long enough to be taken for one").unwrap();
    for file in ["state/sunset.db-wal", "state/sunset.db-shm"] {
        let _ = fs::remove_file(bench.path(file));
    }
    server.until("it is not ready", |server| server.get("/readyz").status == 503);
    assert_eq!(server.get("/healthz").status, 200, "starting anew would not help");
    assert_eq!(server.get("/metrics").status, 503);
    let page = server.get("/?lang=en");
    assert!(page.status == 200 && page.body.contains("The store cannot be read"), "{}", page.body);
    assert!(server.get("/ledger?lang=ja").body.contains("ストアを読み取れない"));
}

#[tokio::test]
async fn whatever_people_write_is_text() {
    let bench = company(Engine::Sqlite).await;
    let text = fs::read_to_string(bench.path("rules/category.yaml")).unwrap();
    fs::write(bench.path("rules/category.yaml"), format!("title: \"<script>alert(1)</script> & <b>\"\n{text}"))
        .unwrap();
    let server = Server::start(&bench, &["--now", "2026-11-22T12:00:00+09:00"]);
    for path in ["/", "/rules"] {
        let page = server.get(path).body;
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(page.contains("alert(1)"), "{page}");
    }
}

/// A pause holds for the server's runs, too, and everybody can see it.
#[tokio::test]
async fn a_paused_job_waits_and_says_so() {
    let bench = company(Engine::Sqlite).await;
    let server = Server::start(&bench, &["--now", BEFORE]);
    bench.sunset(&["pause", "--by", "hanako", "--reason", "<b>index</b>"]).expect(0);
    server.until("the metrics show it", |server| server.metrics().count("sunset_paused") == 1);
    server.until("the run waits", |server| server.log().contains("the job is paused by hanako"));
    for (language, words) in [("en", "Paused by hanako since 20"), ("ja", "一時停止中です（&#60;b&#62;index")] {
        let page = server.get(&format!("/?lang={language}")).body;
        assert!(page.contains(words), "{page}");
    }
    assert_eq!(bench.list("select id from t order by id").await, "1 2 3");
    bench.sunset(&["resume", "--by", "hanako"]).expect(0);
    server.until("the rule ran", |server| server.log().contains("scheduled run ended"));
    assert_eq!(bench.list("select id from t order by id").await, "1 3");
    server.until("the metrics show it", |server| server.metrics().count("sunset_paused") == 0);
}
