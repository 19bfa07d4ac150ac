//! Rows that are added up before they go: totals are those of the rows, groups of a few persons have none, and whatever
//! moment a run ends at, every row is counted once.

use crate::{
    recipients::run::sandbox,
    support::{
        bench::{Bench, Call, on_every_engine},
        random::Random,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};
use sunset::{
    catalog::Engine,
    failpoint::{AGGREGATE_MOMENTS, MOMENTS},
};

on_every_engine!(
    totals_are_those_of_the_rows,
    every_way_through_the_table_adds_up,
    it_dies_at_every_moment,
    only_one_process_adds_up,
    writers_meanwhile_lose_nothing,
    served_rows_are_added_up,
    months_are_those_of_the_job,
    columns_have_to_fit,
    totals_are_exact_or_rows_stay,
    coverage_knows_the_target,
);

/// So many persons make a group.
const SMALLEST: u64 = 3;

const AGGREGATE: &str = "
  aggregate:
    into: core.usage_monthly
    by: {month: {month: used_on}, plan: plan_code}
    totals: {days: count, megabytes: {sum: megabytes}}
    smallest_group: {persons: customer_id, at_least: 3, counted_in: persons}";

async fn usage(bench: &Bench) {
    bench
        .script(
            "create table usage_daily (id {int} primary key, customer_id {int}, used_on {date}, plan_code {text},
               megabytes {int}, billed_on {date});
             create table usage_notes (id {int} primary key, usage_id {int},
               foreign key (usage_id) references usage_daily (id));
             create index usage_notes_usage on usage_notes (usage_id);
             create table usage_monthly (month {date} not null, plan {text} not null, days {bigint} not null,
               megabytes {bigint} not null, persons {int} not null, remark {text}, primary key (month, plan))",
        )
        .await;
    rule(bench, "  dependents: {core.usage_notes: erase}", "");
}

fn rule(bench: &Bench, before: &str, after: &str) {
    bench.rules(&format!(
        "
- id: usage
  table: core.usage_daily
  starting_point: {{column: billed_on, counted_from: month_end}}
  retention_period: 1 year
  disposition: erase
{before}{AGGREGATE}{after}"
    ));
}

/// Nothing references the rows any more, so that they go by ranges, or in the way that MySQL allows.
async fn let_notes_go(bench: &Bench) {
    bench.script("drop table usage_notes; create table usage_notes (id {int} primary key, usage_id {int})").await;
}

fn settings(bench: &Bench, batch_rows: u32) {
    bench.settings(&format!("time_zone: Asia/Tokyo\npace: {{batch_rows: {batch_rows}}}"));
}

/// Rows, the totals of their megabytes, and their persons.
type Group = (u64, u64, BTreeSet<u64>);

/// What is in the database by now, and what should come of it: a second opinion, without SQL.
struct Ledger {
    random: Random,
    next: u64,
    /// Due and not held.
    due: BTreeMap<(String, String), Group>,
    /// Due rows that belong to no group.
    groupless: u64,
    kept: BTreeMap<(String, String), (u64, u64, u64)>,
    counted: u64,
    left_out: u64,
    stays: u64,
}

impl Ledger {
    fn new(salt: u64) -> Self {
        Self {
            random: Random::new(salt),
            next: 1,
            due: BTreeMap::new(),
            groupless: 0,
            kept: BTreeMap::new(),
            counted: 0,
            left_out: 0,
            stays: 0,
        }
    }

    /// So many rows more, some of them not due, some without a value.
    async fn add(&mut self, bench: &Bench, rows: u64) {
        let mut values = Vec::new();
        let mut notes = Vec::new();
        for _ in 0..rows {
            let id = self.next;
            self.next += 1;
            let random = &mut self.random;
            // some plans have a few customers only
            let plan = ["light", "plain", "プラン", "it's", "rare"][usize::try_from(random.below(5)).unwrap()];
            let customer = match plan {
                "rare" if random.below(30) > 0 => random.below(2),
                _ => random.below(9),
            };
            let customer = (random.below(12) > 0).then_some(customer);
            let month = format!("2020-{:02}", 1 + random.below(4));
            let day = (random.below(20) > 0).then(|| format!("{month}-{:02}", 1 + random.below(28)));
            let plan = (random.below(20) > 0).then(|| plan.to_owned());
            let megabytes = (random.below(10) > 0).then(|| random.below(5000));
            let billed = match random.below(8) {
                0 => "'2026-06-01'",
                1 => "null",
                _ => "'2020-06-01'",
            };
            let number = |number: Option<u64>| number.map_or_else(|| "null".to_owned(), |number| number.to_string());
            let text = |text: &Option<String>| {
                text.as_ref().map_or_else(|| "null".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
            };
            values.push(format!(
                "({id}, {}, {}, {}, {}, {billed})",
                number(customer),
                text(&day),
                text(&plan),
                number(megabytes)
            ));
            if id.is_multiple_of(7) {
                notes.push(format!("({id}, {id})"));
            }
            if billed != "'2020-06-01'" {
                self.stays += 1;
                continue;
            }
            match (day, plan) {
                (Some(_), Some(plan)) => {
                    let group = self.due.entry((format!("{month}-01"), plan)).or_default();
                    group.0 += 1;
                    group.1 += megabytes.unwrap_or(0);
                    group.2.extend(customer);
                }
                _ => self.groupless += 1,
            }
        }
        bench.script(&format!("insert into usage_daily values {}", values.join(", "))).await;
        if !notes.is_empty() {
            bench.script(&format!("insert into usage_notes values {}", notes.join(", "))).await;
        }
    }

    /// All that is due has gone.
    fn went(&mut self) {
        self.left_out += std::mem::take(&mut self.groupless);
        for (key, (rows, megabytes, persons)) in std::mem::take(&mut self.due) {
            let persons = persons.len() as u64;
            if persons < SMALLEST && !self.kept.contains_key(&key) {
                self.left_out += rows;
                continue;
            }
            let kept = self.kept.entry(key).or_default();
            kept.0 += rows;
            kept.1 += megabytes;
            kept.2 = kept.2.max(persons);
            self.counted += rows;
        }
    }

    async fn check(&self, bench: &Bench) {
        let found: BTreeSet<_> =
            bench.lines("select month, plan, days, megabytes, persons from usage_monthly").await.into_iter().collect();
        let expected: BTreeSet<_> = self
            .kept
            .iter()
            .map(|((month, plan), (rows, megabytes, persons))| format!("{month}|{plan}|{rows}|{megabytes}|{persons}"))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(bench.count("select count(*) from usage_daily").await, self.stays);
        // what went was counted, or left out
        let evidence = bench.evidence();
        assert!(evidence.is_settled());
        assert_eq!(evidence.committed_rows(), self.counted + self.left_out);
        assert_eq!(self.next - 1, self.counted + self.left_out + self.stays);
    }
}

async fn totals_are_those_of_the_rows(bench: Bench) {
    settings(&bench, 37);
    usage(&bench).await;
    let mut ledger = Ledger::new(1);
    ledger.add(&bench, 600).await;
    // the same by SQL alone
    let month = match bench.engine {
        Engine::Postgres => "to_char(used_on, 'YYYY-MM-01')",
        Engine::Mysql => "date_format(used_on, '%Y-%m-01')",
        Engine::Sqlite => "strftime('%Y-%m-01', used_on)",
    };
    let groups = |having: &str| {
        format!(
            "select {month}, plan_code, count(*), coalesce(sum(megabytes), 0), count(distinct customer_id) from usage_daily
             where billed_on < '2025-01-01' and used_on is not null and plan_code is not null and id <> 5
             group by {month}, plan_code having count(distinct customer_id) {having} order by 1, 2"
        )
    };
    let hold = ["hold", "add", "--table", "core.usage_daily", "--key", "5", "--matter", "m", "--reason", "r"];
    bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0);
    let expected = bench.lines(&groups(">= 3")).await;
    let suppressed = bench.rows(&groups("< 3")).await;
    assert!(expected.len() > 8 && !suppressed.is_empty(), "{expected:?}, {suppressed:?}");
    let due = bench.count("select count(*) from usage_daily where billed_on < '2025-01-01' and id <> 5").await;
    let counted: u64 = expected.iter().map(|line| line.split('|').nth(2).unwrap().parse::<u64>().unwrap()).sum();

    let plan = bench.plan();
    let planned = &plan["steps"][0]["aggregate"];
    let groups = serde_json::json!({
        "kept": expected.len(), "suppressed": suppressed.len(), "rows_left_out": due - counted,
    });
    assert_eq!(planned["groups"], groups);
    assert_eq!(planned["by"], serde_json::json!({"month": "month of used_on", "plan": "plan_code"}));
    assert_eq!(bench.count("select count(*) from usage_monthly").await, 0, "a plan wrote something");
    let text = bench.sunset(&["plan", "--now", bench.now]).expect(0).out;
    let words = format!(
        "{} more have fewer than 3 persons and are left out; {} rows go uncounted",
        suppressed.len(),
        due - counted
    );
    assert!(text.contains(&words), "{text}");

    let report = bench.run_to_the_end();
    let order = if bench.engine == Engine::Postgres { " collate \"C\"" } else { "" };
    let found = format!("select month, plan, days, megabytes, persons from usage_monthly order by 1, plan{order}");
    let sorted = |lines: Vec<String>| lines.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(bench.lines(&found).await), sorted(expected));
    assert_eq!(report.disposed(), due);
    assert!(report.rule("usage")["remaining"]["held"] == 1, "{report:?}");
    assert_eq!(report.rule("usage")["aggregate"]["groups"], groups);
    assert_eq!(bench.count("select count(*) from usage_daily where id = 5").await, 1);
    assert_eq!(bench.count("select count(*) from usage_monthly where remark is not null").await, 0);
    let evidence = bench.evidence();
    let surveyed = evidence.events("surveyed");
    assert_eq!(surveyed[0]["kept"], groups["kept"]);
    assert_eq!(surveyed[0]["suppressed"], groups["suppressed"]);
    assert_eq!(surveyed[0]["rows_left_out"], groups["rows_left_out"]);
    assert_eq!(surveyed[0]["smallest_group"], SMALLEST);
    for word in ["light", "プラン", "2020-01-01"] {
        assert!(!evidence.entries.iter().any(|entry| entry.to_string().contains(word)), "the ledger names a group");
    }
}

/// Random rows come again and again, and go by each way through the table; late ones are added to groups that are there.
async fn every_way_through_the_table_adds_up(bench: Bench) {
    settings(&bench, 64);
    usage(&bench).await;
    let mut ledger = Ledger::new(2);
    ledger.add(&bench, 400).await;
    bench.run(0);
    ledger.went();
    ledger.check(&bench).await;
    let_notes_go(&bench).await;
    let mut walks = BTreeSet::new();
    for (round, more) in ["", "\n  evidence: counts", ""].into_iter().enumerate() {
        rule(&bench, "", more);
        let rows = [300, 500, 20][round];
        ledger.add(&bench, rows).await;
        if round == 2 {
            // many rows that stay, so that an index pays
            let kept: Vec<_> =
                (0..3000).map(|n| format!("({}, 1, null, null, 1, '2026-06-01')", 100_000 + n)).collect();
            bench.script(&format!("insert into usage_daily values {}", kept.join(", "))).await;
            ledger.stays += 3000;
            ledger.next += 3000;
            bench.script("create index usage_daily_billed on usage_daily (billed_on)").await;
            bench.script_for("analyze", "analyze table usage_daily", "analyze").await;
        }
        let plan = bench.plan();
        walks.insert(plan["steps"][0]["access"]["walk"].as_str().unwrap().to_owned());
        bench.run(0);
        ledger.went();
        ledger.check(&bench).await;
    }
    assert_eq!(walks.len(), 2, "{walks:?}");
}

async fn it_dies_at_every_moment(bench: Bench) {
    settings(&bench, 60);
    usage(&bench).await;
    let_notes_go(&bench).await;
    let mut ledger = Ledger::new(3);
    let mut died = BTreeSet::new();
    let within = MOMENTS.iter().filter(|moment| !matches!(**moment, "before_call" | "after_call" | "after_answer"));
    for (number, moment) in AGGREGATE_MOMENTS.iter().chain(within).enumerate() {
        rule(&bench, "", if number % 2 == 0 { "" } else { "\n  evidence: counts" });
        let visit = if moment.ends_with("_survey") || number % 3 == 0 { 1 } else { 2 };
        ledger.add(&bench, 200).await;
        if moment.ends_with("_recovery") {
            let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", "after_commit:2")]);
            assert_eq!(call.code, -1, "{call:?}");
        }
        let failpoint = format!("{moment}:{visit}");
        let run = || bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", &failpoint)]);
        let mut call = run();
        while call.code == 75 {
            thread::sleep(Duration::from_millis(100));
            call = run();
        }
        assert!([-1, 0].contains(&call.code), "{failpoint}: {call:?}");
        if call.code == -1 {
            died.insert(*moment);
        }
        bench.finish();
        ledger.went();
        ledger.check(&bench).await;
    }
    for moment in AGGREGATE_MOMENTS.iter().chain(&["after_statement", "after_intent", "after_commit"]) {
        assert!(died.contains(moment), "{moment} never came");
    }
}

async fn only_one_process_adds_up(bench: Bench) {
    settings(&bench, 5);
    usage(&bench).await;
    let mut ledger = Ledger::new(4);
    for _ in 0..2 {
        ledger.add(&bench, 500).await;
        let runs = [1, 2, 3].map(|_| bench.start(&["run", "--now", bench.now, "--workers", "4"]));
        for run in runs {
            let call = Call::of(run);
            assert!([0, 75].contains(&call.code), "{call:?}");
        }
        bench.finish();
        ledger.went();
        ledger.check(&bench).await;
    }
}

/// While others change numbers, add rows and let rows be due no more, exactly the rows that go are added, as they are then.
async fn writers_meanwhile_lose_nothing(bench: Bench) {
    settings(&bench, 4);
    usage(&bench).await;
    bench.script("create table increments (id {int})").await;
    let mut random = Random::new(5);
    let mut next = 1;
    for round in 0..2 {
        if round == 1 {
            let_notes_go(&bench).await;
            rule(&bench, "", "");
        }
        let row = |id: u64| format!("({id}, {}, '2020-02-03', 'light', 0, '2020-02-29')", id % 50);
        let first = next;
        next += 400;
        let rows: Vec<_> = (first..next).map(row).collect();
        bench.script(&format!("insert into usage_daily values {}", rows.join(", "))).await;
        let mut run = bench.start(&["run", "--now", bench.now]);
        let mut written = 0;
        while run.try_wait().unwrap().is_none() {
            let id = first + random.below(next - first);
            let sql = match random.below(4) {
                // a run does not end while due rows are added faster than it erases them
                0 if next - first < 1200 => format!("insert into usage_daily values {}", row(next)),
                0 | 1 => format!("update usage_daily set billed_on = '2026-06-01' where id = {id}"),
                2 => format!("update usage_daily set billed_on = '2020-02-29' where id = {id}"),
                // whether there was a row to change is asked while nobody else can change it
                _ => format!(
                    "begin; update usage_daily set megabytes = megabytes + 1 where id = {id};
                     insert into increments select id from usage_daily where id = {id}; commit"
                ),
            };
            if bench.try_script(&sql).await {
                written += 1;
                next += u64::from(sql.starts_with("insert"));
            }
        }
        assert!(written > 0, "nobody wrote meanwhile");
        let call = Call::of(run);
        assert!([0, 75].contains(&call.code), "{call:?}");
        bench.script("update usage_daily set billed_on = '2020-02-29'").await;
        bench.finish();
        assert_eq!(bench.count("select count(*) from usage_daily").await, 0);
        let increments = bench.count("select count(*) from increments").await;
        let found = bench.list("select month, plan, days, megabytes, persons from usage_monthly").await;
        assert_eq!(found, format!("2020-02-01|light|{}|{increments}|50", next - 1));
    }
}

/// Rows whose recipients are asked first are added up when they go, and not before.
async fn served_rows_are_added_up(bench: Bench) {
    let sandbox = sandbox().await;
    fs::write(bench.path("crm_key"), "crm_planted").unwrap();
    bench.settings(&format!(
        "time_zone: Asia/Tokyo\npace: {{batch_rows: 10}}\nrecipients:\n  crm: {{kind: http, url: \"{}\", auth: \
         {{bearer: \"${{file:crm_key}}\"}}, grade: E1, delete: {{method: DELETE, path: \"/v1/people/{{email}}\", gone: [404]}}}}",
        sandbox.url("crm")
    ));
    let members: Vec<_> = (1..=60)
        .map(|id| format!("({id}, '20{:02}-01-01', {}, 'person{id}@example.com')", 1 + id % 20, 20 * (id % 3)))
        .collect();
    bench
        .script(&format!(
            "create table members (id {{int}} primary key, left_on {{date}}, age {{int}}, email {{text}});
             create table leavers (age {{int}} primary key, members {{int}} not null, persons {{int}} not null);
             insert into members values {}, (61, '2001-01-01', 99, 'old@example.com')",
            members.join(", ")
        ))
        .await;
    bench.rules(
        "
- id: members
  table: core.members
  starting_point: left_on
  retention_period: 1 year
  disposition: erase
  recipients: [crm: {email: email}]
  aggregate:
    into: core.leavers
    by: {age: age}
    totals: {members: count}
    smallest_group: {persons: id, at_least: 2, counted_in: persons}",
    );
    let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", "after_totals:3")]);
    assert_eq!(call.code, -1, "{call:?}");
    let gone = 61 - bench.count("select count(*) from members").await;
    assert_eq!(gone, 20, "two batches were committed");
    assert_eq!(bench.count("select sum(members) from leavers").await, 20);
    bench.finish();
    assert_eq!(bench.lines("select * from leavers order by age").await, ["0|20|20", "20|20|20", "40|20|20"]);
    assert_eq!(bench.count("select count(*) from members").await, 0);
    // a group that was left out, and one that is there
    bench.script("insert into members values (62, '2001-01-01', 99, 'a@example.com'), (63, '2001-01-01', 20, 'b@example.com')").await;
    bench.run(0);
    assert_eq!(bench.lines("select * from leavers order by age").await, ["0|20|20", "20|21|20", "40|20|20"]);
}

/// Points in time lie in the month of the job's time zone, summer time included; other times in the month they are written
/// with.
async fn months_are_those_of_the_job(bench: Bench) {
    let instants = bench.engine != Engine::Sqlite;
    bench
        .script(
            "create table visits (id {int} primary key, seen_at {timestamptz}, noted_at {timestamp}, noted_on {date},
               person {int});
             create table visits_daily (day {date} not null, visits {int} not null, persons {int} not null, unique (day));
             create table visits_monthly (month {date} not null, visits {int} not null, persons {int} not null,
               primary key (month));
             create table visits_yearly (year {date} not null, visits {int} not null, persons {int} not null,
               unique (year))",
        )
        .await;
    for (zone, written, target, unit, column, expected) in [
        // 24:00 in Tokyo is 15:00 in UTC
        (
            "Asia/Tokyo",
            ["2020-01-31 14:59:59", "2020-01-31 15:00:00"],
            "monthly",
            "month",
            "seen_at",
            "2020-01-01|2 2020-02-01|2",
        ),
        // summer time began on 8 March 2020 and ended on 1 November
        (
            "America/New_York",
            ["2020-07-01 03:59:59", "2020-07-01 04:00:00"],
            "monthly",
            "month",
            "seen_at",
            "2020-06-01|2 2020-07-01|2",
        ),
        (
            "America/New_York",
            ["2020-12-01 04:59:59", "2020-12-01 05:00:00"],
            "daily",
            "day",
            "seen_at",
            "2020-11-30|2 2020-12-01|2",
        ),
        (
            "Asia/Tokyo",
            ["2020-01-31 23:59:59", "2020-02-01 00:00:00"],
            "monthly",
            "month",
            "noted_at",
            "2020-01-01|2 2020-02-01|2",
        ),
        (
            "Asia/Tokyo",
            ["2019-12-31 23:59:59", "2020-12-31 23:59:59"],
            "yearly",
            "year",
            "noted_at",
            "2019-01-01|2 2020-01-01|2",
        ),
        ("Asia/Tokyo", ["2019-12-31", "2020-01-01"], "yearly", "year", "noted_on", "2019-01-01|2 2020-01-01|2"),
    ] {
        if column == "seen_at" && !instants {
            continue;
        }
        bench.settings(&format!("time_zone: {zone}"));
        bench.rules(&format!(
            "
- id: visits
  table: core.visits
  starting_point: noted_on
  retention_period: 1 year
  disposition: erase
  aggregate:
    into: core.visits_{target}
    by: {{{unit}: {{{unit}: {column}}}}}
    totals: {{visits: count}}
    smallest_group: {{persons: person, at_least: 2, counted_in: persons}}"
        ));
        let mut values = Vec::new();
        for (id, time) in written.iter().chain(&written).enumerate() {
            let of = |name: &str| if name == column { format!("'{time}'") } else { "null".to_owned() };
            let noted = if column == "noted_on" { of("noted_on") } else { "'2020-01-01'".to_owned() };
            let seen = match bench.engine {
                Engine::Postgres if column == "seen_at" => format!("'{time}+00'"),
                _ => of("seen_at"),
            };
            values.push(format!("({id}, {seen}, {}, {noted}, {id})", of("noted_at")));
        }
        bench.script(&format!("insert into visits values {}", values.join(", "))).await;
        bench.run(0);
        let found = format!("select {unit}, visits from visits_{target} order by 1");
        assert_eq!(bench.list(&found).await, expected, "{zone} {column}");
        bench.script(&format!("delete from visits_{target}")).await;
    }
}

/// A partition does not go whole where its rows are added up first.
async fn partitions_go_by_rows(bench: Bench) {
    settings(&bench, 50);
    let more = match bench.engine {
        Engine::Postgres => {
            "partition by range (billed_on);
             create table usage_2020 partition of usage_daily for values from ('2020-01-01') to ('2021-01-01');
             create table usage_2026 partition of usage_daily for values from ('2026-01-01') to ('2027-01-01')"
        }
        _ => {
            "partition by range columns (billed_on) (partition p2020 values less than ('2021-01-01'),
             partition p2026 values less than ('2027-01-01'))"
        }
    };
    bench
        .script(&format!(
            "create table usage_daily (id {{int}}, customer_id {{int}}, used_on {{date}}, plan_code {{text}},
               megabytes {{int}}, billed_on {{date}} not null, primary key (id, billed_on)) {more}"
        ))
        .await;
    bench
        .script(
            "create table usage_monthly (month {date} not null, plan {text} not null, days {bigint} not null,
               megabytes {bigint} not null, persons {int} not null, primary key (month, plan))",
        )
        .await;
    bench.rules(&format!(
        "
- id: usage
  table: core.usage_daily
  starting_point: billed_on
  retention_period: 1 year
  disposition: erase
  partitions: drop{AGGREGATE}"
    ));
    let rows: Vec<_> =
        (0..200).map(|id| format!("({id}, {}, '2020-02-03', 'light', 2, '2020-03-01')", id % 5)).collect();
    bench.script(&format!("insert into usage_daily values {}", rows.join(", "))).await;
    let plan = bench.plan();
    let obstacles = plan["steps"][0]["partitions"]["obstacles"].to_string();
    assert!(obstacles.contains("each batch is added up in"), "{obstacles}");
    assert_eq!(plan["steps"][0]["partitions"]["whole"], serde_json::json!([]));
    assert_eq!(bench.run_to_the_end().disposed(), 200);
    let found = bench.list("select month, plan, days, megabytes, persons from usage_monthly").await;
    assert_eq!(found, "2020-02-01|light|200|400|5");
}

#[tokio::test]
async fn partitions_go_by_rows_on_postgres() {
    partitions_go_by_rows(Bench::new(Engine::Postgres).await).await;
}

#[tokio::test]
async fn partitions_go_by_rows_on_mariadb() {
    partitions_go_by_rows(Bench::new(Engine::Mysql).await).await;
}

/// A rule with this aggregate on the tables of [`columns_have_to_fit`].
fn misfit(into: &str, by: &str, totals: &str, persons: &str, counted_in: &str) -> String {
    format!(
        "
- id: usage
  table: core.usage_daily
  starting_point: billed_on
  retention_period: 1 year
  disposition: erase
  aggregate:
    into: core.{into}
    by: {by}
    totals: {totals}
    smallest_group: {{persons: {persons}, at_least: 3, counted_in: {counted_in}}}"
    )
}

async fn columns_have_to_fit(bench: Bench) {
    usage(&bench).await;
    bench
        .script(
            "drop table usage_notes;
             create table strict (month {date} not null, days {int} not null, persons {int} not null,
               note {text} not null, kind {int} not null default 1, primary key (month));
             create table loose (month {date}, days {float}, megabytes {text}, persons {float}, unique (month))",
        )
        .await;
    let mut texts = String::new();
    let by = "{month: {month: used_on}, plan: plan_code}";
    for (what, yaml, code) in [
        ("a column without a value", misfit("usage_monthly", by, "{days: count}", "customer_id", "persons"), "E0804"),
        ("no table", misfit("usage_montly", by, "{days: count}", "customer_id", "persons"), "E0402"),
        ("itself", misfit("usage_daily", "{id: id}", "{megabytes: count}", "customer_id", "plan_code"), "E0801"),
        (
            "no such columns",
            misfit(
                "usage_monthly",
                "{month: {month: usedon}, plann: plan_code}",
                "{dais: count, megabytes: {sum: mb}}",
                "customer",
                "people",
            ),
            "E0403",
        ),
        (
            "no key",
            misfit("usage_monthly", "{month: {month: used_on}}", "{days: count}", "customer_id", "persons"),
            "E0802",
        ),
        ("not null", misfit("strict", "{month: {month: used_on}}", "{days: count}", "customer_id", "persons"), "E0804"),
        (
            "may be null",
            misfit(
                "loose",
                "{month: {month: used_on}}",
                "{days: count, megabytes: {sum: megabytes}}",
                "customer_id",
                "persons",
            ),
            "E0802",
        ),
        (
            "types",
            misfit(
                "usage_monthly",
                "{month: {year: plan_code}, plan: megabytes}",
                "{days: {sum: plan_code}, megabytes: count}",
                "customer_id",
                "persons",
            ),
            "E0803",
        ),
    ] {
        bench.rules(&yaml);
        let call = bench.sunset(&["validate"]).expect(2);
        assert!(call.out.contains(code) || call.err.contains(code), "{what}: {call:?}");
        texts += &format!("== {what}\n\n{}{}\n", call.out, call.err);
    }
    if bench.engine == Engine::Sqlite {
        insta::assert_snapshot!("aggregate_misfits", texts);
    }
}

/// What became of rows whose values are added up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The total is this one, and the rows are gone.
    Total(&'static str),
    /// The rules do not fit.
    Unfit,
    /// Rows and total are as before, and the run says so.
    Stay,
}

/// The type of what is added up, that of the target, what stands there already, what is added, and what comes of it.
type Sum = (&'static str, &'static str, &'static str, &'static [&'static str], End);

fn sums(engine: Engine) -> Vec<Sum> {
    use End::{Stay, Total, Unfit};
    match engine {
        Engine::Postgres => vec![
            ("bigint", "bigint", "9223372036854775800", &["7"], Total("9223372036854775807")),
            ("bigint", "bigint", "9223372036854775800", &["8"], Stay),
            (
                "bigint",
                "bigint",
                "0",
                &["9223372036854775807", "9223372036854775807", "-9223372036854775807"],
                Total("9223372036854775807"),
            ),
            ("integer", "smallint", "32767", &["1"], Stay),
            ("bigint", "numeric", "9223372036854775800", &["9223372036854775807"], Total("18446744073709551607")),
            ("bigint", "numeric(20)", "0", &["9223372036854775807"], Total("9223372036854775807")),
            ("bigint", "numeric(3)", "999", &["1"], Stay),
            ("bigint", "numeric(20,-2)", "0", &["5"], Unfit),
            ("bigint", "double precision", "0", &["5"], Unfit),
            ("bigint", "amount", "0", &["5"], Unfit),
            ("numeric(12,2)", "numeric(14,2)", "0.10", &["0.20", "-1.40"], Total("-1.10")),
            ("numeric(12,2)", "numeric(14,1)", "0", &["0.25"], Unfit),
            ("numeric(12,2)", "numeric(14,-2)", "0", &["300"], Unfit),
            ("numeric(12,-2)", "numeric(14,-2)", "0", &["300"], Total("300")),
            ("numeric(12,2)", "numeric(4,2)", "99.99", &["0.01"], Stay),
            ("numeric(12,2)", "amount", "0", &["1"], Unfit),
            ("amount", "numeric", "0", &["1.25"], Total("1.25")),
            ("numeric(12,2)", "double precision", "0", &["0.25"], Unfit),
            ("numeric(12,2)", "bigint", "0", &["0.25"], Unfit),
            ("numeric(12,2)", "numeric", "1", &["'NaN'"], Stay),
            ("numeric", "numeric", "1", &["'Infinity'"], Stay),
            ("numeric", "numeric(12,2)", "1", &["1"], Unfit),
            ("double precision", "double precision", "1", &["'Infinity'"], Stay),
            ("double precision", "double precision", "1", &["'NaN'", "1"], Stay),
            ("double precision", "double precision", "1", &["0.5"], Total("1.5")),
            ("real", "double precision", "1", &["0.5"], Total("1.5")),
            ("double precision", "real", "1", &["0.5"], Unfit),
            ("double precision", "numeric", "1", &["0.5"], Unfit),
            ("oid", "bigint", "1", &["1"], Unfit),
            ("text", "bigint", "1", &["'1'"], Unfit),
        ],
        Engine::Mysql => vec![
            ("bigint", "bigint", "9223372036854775800", &["7"], Total("9223372036854775807")),
            ("bigint", "bigint", "9223372036854775800", &["8"], Stay),
            ("bigint unsigned", "bigint unsigned", "1", &["18446744073709551614"], Total("18446744073709551615")),
            ("bigint unsigned", "bigint unsigned", "2", &["18446744073709551614"], Stay),
            ("int", "int unsigned", "5", &["-6"], Stay),
            ("int", "tinyint", "127", &["1"], Stay),
            ("int", "decimal(20,0)", "1", &["1"], Total("2")),
            ("int", "double", "1", &["1"], Unfit),
            ("decimal(12,2)", "decimal(14,2)", "0.10", &["0.20", "-1.40"], Total("-1.10")),
            ("decimal(12,2)", "decimal(14,1)", "0.1", &["0.25"], Unfit),
            ("decimal(12,2)", "decimal(4,2)", "99.99", &["0.01"], Stay),
            ("decimal(12,2)", "double", "0", &["0.25"], Unfit),
            ("double", "double", "1", &["0.5"], Total("1.5")),
            ("float", "double", "1", &["0.5"], Total("1.5")),
            ("double", "float", "1", &["0.5"], Unfit),
            ("double", "decimal(12,2)", "1", &["0.5"], Unfit),
        ],
        Engine::Sqlite => vec![
            ("bigint", "bigint", "9223372036854775800", &["7"], Total("9223372036854775807")),
            ("bigint", "bigint", "9223372036854775800", &["8"], Stay),
            ("bigint", "bigint", "0", &["9223372036854775807", "9223372036854775807"], Stay),
            ("bigint", "numeric", "9223372036854775800", &["8"], Stay),
            ("bigint", "real", "0", &["1"], Unfit),
            ("bigint", "bigint", "0", &["1.5"], Stay),
            ("bigint", "bigint", "0", &["'x'"], Stay),
            ("bigint", "bigint", "0", &["x'31'"], Stay),
            ("bigint", "bigint", "'x'", &["1"], Stay),
            ("bigint", "bigint", "1.5", &["1"], Stay),
            ("numeric(12,2)", "numeric(14,2)", "0.1", &["0.2", "0.7", "-1.4"], Total("-0.4")),
            ("numeric(12,2)", "numeric(14,2)", "0.1", &["0.2"], Total("0.3")),
            ("decimal(12,2)", "numeric", "0.1", &["0.2"], Total("0.3")),
            ("decimal(12,1)", "numeric(14,3)", "0.125", &["0.2"], Total("0.325")),
            ("decimal(12,2)", "numeric(14,1)", "0", &["0.25"], Unfit),
            ("decimal(12,2)", "decimal(14,2)", "0", &["0.125"], Stay),
            ("decimal(12,2)", "decimal(14,2)", "0.125", &["0.1"], Stay),
            ("decimal(12,2)", "decimal(14,2)", "90071992547409.92", &["0.1"], Stay),
            ("decimal(12,2)", "decimal(14,2)", "0", &["'x'"], Stay),
            ("numeric", "numeric", "0", &["1"], Unfit),
            ("numeric(12,2)", "real", "0", &["1"], Unfit),
            ("real", "real", "1", &["0.5"], Total("1.5")),
            ("real", "real", "1", &["9e999"], Stay),
            ("real", "real", "1", &["'x'"], Stay),
            ("real", "real", "1.7e308", &["1.7e308"], Stay),
        ],
    }
}

/// Whatever the types are, nothing is rounded, cut off or taken for a number in silence.
async fn totals_are_exact_or_rows_stay(bench: Bench) {
    if bench.engine == Engine::Postgres {
        bench.script("create domain amount as numeric(10,2)").await;
    }
    bench.rules(
        "
- id: a
  table: core.t
  starting_point: used_on
  retention_period: 1 year
  disposition: erase
  aggregate:
    into: core.m
    by: {month: {month: used_on}}
    totals: {n: count, s: {sum: v}}
    smallest_group: {persons: p, at_least: 2, counted_in: persons}",
    );
    for (round, (summed, into, old, values, end)) in sums(bench.engine).into_iter().enumerate() {
        // a table that was made anew with the keys of erased rows would be a restored one
        let first = 100 * round;
        let place = format!("{summed} into {into}: {old} and {values:?}");
        bench
            .script(&format!(
                "drop table if exists t; drop table if exists m;
                 create table m (month {{date}} not null primary key, n {{bigint}} not null, s {into} not null, persons {{int}} not null);
                 create table t (id {{int}} primary key, used_on {{date}}, v {summed}, p {{int}});
                 insert into m values ('2020-01-01', 0, {old}, 9)"
            ))
            .await;
        for (id, value) in values.iter().enumerate() {
            bench.script(&format!("insert into t values ({}, '2020-01-31', {value}, {id})", first + id)).await;
        }
        bench
            .script(&format!(
                "insert into t values ({}, '2020-01-30', null, 90), ({}, '2020-01-30', null, 91)",
                first + 90,
                first + 91
            ))
            .await;
        let before = bench.lines("select * from m").await;
        let rows = values.len() as u64 + 2;
        let call = bench.sunset(&["run", "--now", bench.now, "--format", "json"]);
        let left = bench.count("select count(*) from t").await;
        match end {
            End::Total(total) => {
                assert_eq!((call.code, left), (0, 0), "{place}: {call:?}");
                let exact = bench.count(&format!("select count(*) from m where s = {total} and n = {rows}")).await;
                assert_eq!(exact, 1, "{place}: {:?}", bench.lines("select * from m").await);
            }
            End::Unfit | End::Stay => {
                assert_eq!(call.code == 2, end == End::Unfit, "{place}: {call:?}");
                assert_ne!(call.code, 0, "{place}: {call:?}");
                assert_eq!((left, bench.lines("select * from m").await), (rows, before), "{place}: {call:?}");
            }
        }
    }
}

/// Groups tell of nobody: what the rule writes there needs no rule of its own.
async fn coverage_knows_the_target(bench: Bench) {
    bench
        .script(
            "create table members (id {int} primary key, email {text}, postal_code {text}, left_on {date});
             create table leavers (postal_code {text} not null, email {text}, members {int} not null,
               persons {int} not null, unique (postal_code))",
        )
        .await;
    let rule = "
- id: members
  table: core.members
  starting_point: left_on
  retention_period: 1 year
  disposition: erase";
    let gaps = || bench.sunset(&["coverage", "--format", "json"]).expect(1).out;
    bench.rules(rule);
    assert!(gaps().contains("postal_code"), "{}", gaps());
    bench.rules(&format!(
        "{rule}
  aggregate:
    into: core.leavers
    by: {{postal_code: postal_code}}
    totals: {{members: count}}
    smallest_group: {{persons: id, at_least: 10, counted_in: persons}}"
    ));
    // what the rule does not write is still one
    assert!(!gaps().contains("postal_code") && gaps().contains("email"), "{}", gaps());
}
