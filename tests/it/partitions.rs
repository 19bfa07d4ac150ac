//! Whole partitions: which of them go, which stay and why, and that nothing is lost or counted twice whatever happens.

use crate::support::{
    bench::{Bench, Call, Report, mysql, signal},
    random::{Random, variable},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, raw_sql};
use std::{collections::BTreeSet, time::Duration};
use sunset::{catalog::Engine, failpoint::PARTITION_MOMENTS};

/// Makes of each function one test for each engine that has partitions.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use crate::support::bench::Bench;
            use sunset::catalog::Engine;

            #[tokio::test]
            async fn postgres() {
                super::$name(Bench::new(Engine::Postgres).await).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$name(Bench::new(Engine::Mysql).await).await;
            }
        }
    )* };
}

/// A table with a partition for each of 2001 to 2003 and for 2025, and one for all that does not fit.
async fn events(bench: &Bench) {
    bench
        .script_for(
            "create table events (id integer not null, at_day date, email text, primary key (id, at_day))
               partition by range (at_day);
             create table p2001 partition of events for values from ('2001-01-01') to ('2002-01-01');
             create table p2002 partition of events for values from ('2002-01-01') to ('2003-01-01');
             create table p2003 partition of events for values from ('2003-01-01') to ('2004-01-01');
             create table p2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
             create table others partition of events default",
            "create table events (id int not null, at_day date not null, email varchar(190), primary key (id, at_day))
               partition by range columns (at_day) (
                 partition p2001 values less than ('2002-01-01'), partition p2002 values less than ('2003-01-01'),
                 partition p2003 values less than ('2004-01-01'), partition p2025 values less than ('2026-01-01'),
                 partition others values less than (maxvalue))",
            "",
        )
        .await;
}

/// So many rows of a year, with numbers from `first` on.
async fn fill(bench: &Bench, year: u32, first: u64, rows: u64) {
    let values: Vec<_> = (first..first + rows)
        .map(|id| format!("({id}, '{year}-{:02}-{:02}', 'person{id}@example.com')", id % 12 + 1, id % 28 + 1))
        .collect();
    for values in values.chunks(5000) {
        bench.script(&format!("insert into events values {}", values.join(", "))).await;
    }
}

/// 300 rows in each partition but the last.
async fn filled(bench: &Bench) {
    events(bench).await;
    for (number, year) in (0..).zip([2001, 2002, 2003, 2025]) {
        fill(bench, year, number * 1000, 300).await;
    }
    bench.made_anew();
}

const RULE: &str =
    "- {id: events, table: core.events, starting_point: at_day, retention_period: 5 years, disposition: erase,
   partitions: HOW, MORE}";

fn rule(bench: &Bench, how: &str, more: &str) {
    let more = if more.is_empty() { "evidence: rows" } else { more };
    bench.rules(&RULE.replace("HOW", how).replace("MORE", more));
}

/// The names of the table's partitions.
async fn partitions(bench: &Bench) -> String {
    let sql = match bench.engine {
        Engine::Postgres => {
            "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent = 'events'::regclass order by 1"
        }
        _ => {
            "select partition_name from information_schema.partitions
             where table_schema = database() and table_name = 'events' order by 1"
        }
    };
    bench.list(sql).await
}

fn planned(plan: &Json) -> (Vec<String>, Vec<String>) {
    let partitions = &plan["steps"][0]["partitions"];
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let whole = partitions["whole"].as_array().unwrap().iter();
    let whole = whole.map(|partition| format!("{} {}", text(&partition["name"]), partition["rows"]));
    let stay = partitions["by_rows"].as_array().unwrap().iter();
    let stay = stay.map(|partition| format!("{}: {}", text(&partition["name"]), text(&partition["why"])));
    (whole.collect(), stay.collect())
}

/// The partitions that went whole, with their rows.
fn went(report: &Report) -> Vec<String> {
    let partitions = report.rule("events")["partitions"].as_array().cloned().unwrap_or_default();
    partitions.iter().map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["rows"])).collect()
}

async fn whole_partitions_go(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "");
    let plan = bench.plan();
    let (whole, stay) = planned(&plan);
    assert_eq!(whole, ["p2001 300", "p2002 300", "p2003 300"]);
    assert_eq!(stay, [""; 0]);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(went(&report), ["p2001 300", "p2002 300", "p2003 300"]);
    assert_eq!(partitions(&bench).await, "others p2025");
    assert_eq!(bench.count("select count(*) from events").await, 300);
    let evidence = bench.evidence();
    assert_eq!(evidence.committed_rows(), 900);
    let named: Vec<_> = evidence.committed().map(|intent| intent["partition"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    assert_eq!(bench.proven("core.events", &["1007", &format!("2002-{:02}-{:02}", 1007 % 12 + 1, 1007 % 28 + 1)]), 1);
    assert_eq!(bench.proven("core.events", &["3007", &format!("2025-{:02}-{:02}", 3007 % 12 + 1, 3007 % 28 + 1)]), 0);
    nothing_is_left_aside(&bench).await;
}

/// No table of Sunset's is left in the database.
async fn nothing_is_left_aside(bench: &Bench) {
    let here = if bench.engine == Engine::Postgres { "true" } else { "table_schema = database()" };
    let tables = format!("select table_name from information_schema.tables where table_name like 'sunset%' and {here}");
    let tables = bench.list(&tables).await;
    assert!(!tables.contains("sunset_out") && !tables.contains("sunset_back"), "{tables}");
}

async fn they_can_be_emptied_instead(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "truncate", "");
    assert_eq!(planned(&bench.plan()).0.len(), 3);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(went(&report).len(), 3);
    assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
    assert_eq!(bench.count("select count(*) from events").await, 300);
    nothing_is_left_aside(&bench).await;
    // and filled and emptied again
    fill(&bench, 2001, 5000, 20).await;
    assert_eq!(bench.run_to_the_end().line("events"), "done 20");
}

async fn counts_are_evidence_enough(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "evidence: counts");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(went(&report).len(), 3);
    let evidence = bench.evidence();
    assert_eq!(evidence.committed_rows(), 900);
    assert_eq!(evidence.intents.len(), 3);
    let exported = bench.sunset(&["ledger", "export"]).expect(0).out;
    assert!(
        !exported.lines().any(|line| line.starts_with("{\"intent\":")),
        "tags of rows that were only to be counted"
    );
}

/// Whoever does not ask for it gets rows.
async fn rows_are_the_default(bench: Bench) {
    filled(&bench).await;
    bench.rules(
        "- {id: events, table: core.events, starting_point: at_day, retention_period: 5 years, disposition: erase}",
    );
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(went(&report), [""; 0]);
    assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
}

async fn a_row_that_stays_keeps_its_partition(bench: Bench) {
    filled(&bench).await;
    bench.script("update events set email = 'keep@example.com' where id = 1007").await;
    rule(&bench, "drop", "where: {email: {not: keep@example.com}}");
    let hold = ["hold", "add", "--table", "core.events", "--where", "id = 2005", "--matter", "m", "--reason", "r"];
    bench.sunset(&[&hold[..], &["--owner", "o", "--review", "2027-01-01"]].concat()).expect(0);
    let (whole, stay) = planned(&bench.plan());
    assert_eq!(whole, ["p2001 300"]);
    assert_eq!(stay, ["p2002: 1 of its rows stay, or wait", "p2003: 1 of its rows stay, or wait"]);
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "explained_rest 898 held=1");
    assert_eq!(went(&report), ["p2001 300"]);
    assert_eq!(bench.list("select id from events where id < 3000 order by id").await, "1007 2005");
    assert_eq!(partitions(&bench).await, "others p2002 p2003 p2025");
}

/// The partition that new rows may be meant for is never removed, however old its rows are.
async fn the_last_partition_stays(bench: Bench) {
    events(&bench).await;
    let others =
        if bench.engine == Engine::Postgres { "drop table others" } else { "alter table events drop partition others" };
    bench.script(others).await;
    bench.script_for("drop table p2025", "alter table events drop partition p2025", "").await;
    for (first, year) in [(0, 2001), (1000, 2002), (2000, 2003)] {
        fill(&bench, year, first, 50).await;
    }
    rule(&bench, "drop", "");
    let (whole, stay) = planned(&bench.plan());
    assert_eq!(whole, ["p2001 50", "p2002 50"]);
    assert!(stay[0].starts_with("p2003: no partition lies higher"), "{stay:?}");
    assert_eq!(bench.run_to_the_end().line("events"), "done 150");
    assert_eq!(partitions(&bench).await, "p2003");
    assert_eq!(bench.count("select count(*) from events").await, 0);
}

/// A partition that the cut-off lies in goes row by row.
async fn the_cut_off_lies_in_a_partition(mut bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "");
    bench.now = "2008-07-01";
    let due = bench.count("select count(*) from events where at_day < '2003-07-01'").await;
    assert_eq!(planned(&bench.plan()).0, ["p2001 300", "p2002 300"]);
    assert_eq!(bench.run_to_the_end().disposed(), due);
    assert_eq!(partitions(&bench).await, "others p2003 p2025");
    // one day before the year is over for its last row, nobody may remove it
    bench.now = "2008-12-31";
    assert_eq!(planned(&bench.plan()), (Vec::new(), Vec::new()));
    bench.now = "2009-01-01";
    let left = bench.count("select count(*) from events where at_day < '2004-01-01'").await;
    assert_eq!(planned(&bench.plan()).0, [format!("p2003 {left}")]);
    bench.run_to_the_end();
    assert_eq!(partitions(&bench).await, "others p2025");
}

/// What sees rows go one by one keeps partitions from going whole; the rows go all the same.
async fn some_things_stand_against_it(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "");
    let obstacle = |plan: &Json| plan["steps"][0]["partitions"]["obstacles"][0].as_str().unwrap_or_default().to_owned();
    bench
        .script_for(
            "create function note() returns trigger language plpgsql as 'begin return old; end';
             create trigger note after delete on events for each row execute function note()",
            "create table gone (id int); create trigger note after delete on events for each row insert into gone values (old.id)",
            "",
        )
        .await;
    assert!(obstacle(&bench.plan()).starts_with("trigger note fires"), "{}", bench.plan()["steps"][0]["partitions"]);
    let shown = bench.sunset(&["plan", "--now", bench.now]).expect(0).out;
    assert!(shown.contains("none goes whole: trigger note fires"), "{shown}");
    bench.script_for("drop trigger note on events", "drop trigger note", "").await;
    if bench.engine == Engine::Postgres {
        // a wal level is not asked for to make one
        bench.script("create publication news for table events").await;
        assert!(obstacle(&bench.plan()).starts_with("publication news"), "{}", bench.plan()["steps"][0]["partitions"]);
        rule(&bench, "truncate", "");
        assert_eq!(planned(&bench.plan()).0.len(), 3, "a truncation is published");
        bench.script("alter publication news set (publish = 'delete')").await;
        assert!(obstacle(&bench.plan()).starts_with("publication news"));
        bench.script("alter publication news set (publish = 'insert')").await;
        rule(&bench, "drop", "");
        assert_eq!(planned(&bench.plan()).0.len(), 3, "nobody hears of deletions anyway");
        bench.script("drop publication news").await;

        bench.script("create view seen as select * from p2002").await;
        let (whole, stay) = planned(&bench.plan());
        assert_eq!(whole, ["p2001 300", "p2003 300"]);
        assert!(stay[0].starts_with("p2002: another object depends on it"), "{stay:?}");
        bench.script("create table letters (id int primary key, event int, at_day date, foreign key (event, at_day) references events (id, at_day))").await;
        rule(&bench, "drop", "dependents: {core.letters: keep}");
        assert!(obstacle(&bench.plan()).starts_with("foreign key letters_event_at_day_fkey"));
        bench.script("insert into letters select 1, id, at_day from events where id = 7").await;
        let report = bench.run_to_the_end();
        assert_eq!(report.line("events"), "explained_rest 899 needed_by_kept_dependents=1");
        assert_eq!(went(&report), [""; 0]);
        return;
    }
    assert_eq!(bench.run_to_the_end().line("events"), "done 900");
}

/// Partitions by something else than the starting point cannot tell what is past.
async fn other_partitions_go_row_by_row(bench: Bench) {
    let create = "create table events (id int not null, at_day date not null, kind int not null, primary key (id, at_day, kind))";
    bench
        .script_for(
            &format!(
                "{create} partition by list (kind); create table a partition of events for values in (1);
                 create table b partition of events for values in (2)"
            ),
            &format!("{create} partition by list (kind) (partition a values in (1), partition b values in (2))"),
            "",
        )
        .await;
    bench.script("insert into events values (1, '2001-01-01', 1), (2, '2001-01-01', 2), (3, '2025-01-01', 2)").await;
    rule(&bench, "drop", "");
    let plan = bench.plan();
    assert_eq!(plan["steps"][0]["partitions"]["obstacles"][0], "it is not partitioned by ranges of at_day");
    assert_eq!(bench.run_to_the_end().line("events"), "done 2");

    bench.script("drop table events").await;
    bench.script(create).await;
    bench.script("insert into events values (1, '2001-01-01', 1)").await;
    assert_eq!(bench.plan()["steps"][0]["partitions"]["obstacles"][0], "the table has no partitions");
    assert_eq!(bench.run_to_the_end().line("events"), "done 1");
}

async fn a_reviewed_plan_removes_no_more(bench: Bench) {
    filled(&bench).await;
    bench.script("delete from events where id >= 2000 and id < 3000").await;
    rule(&bench, "drop", "");
    let path = bench.path("plan.json").to_str().unwrap().to_owned();
    bench.sunset(&["plan", "--now", bench.now, "--out", &path]).expect(0);
    // one row fewer in another partition, and one in p2003: no more rows, but a partition more
    bench.script("delete from events where id in (7, 8)").await;
    fill(&bench, 2003, 2000, 1).await;
    let refused = bench.sunset(&["run", "--plan", &path]).expect(3);
    assert!(refused.err.contains("would remove partition p2003 as a whole"), "{refused:?}");
    assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
    bench.script("delete from events where id = 2000").await;
    let call = bench.sunset(&["run", "--plan", &path, "--format", "json"]).expect(0);
    assert_eq!(serde_json::from_str::<Json>(&call.out).unwrap()["disposed"], 598);
    assert_eq!(partitions(&bench).await, "others p2003 p2025");
    // once more is not wrong, only idle
    let call = bench.sunset(&["run", "--plan", &path, "--format", "json"]).expect(0);
    assert_eq!(serde_json::from_str::<Json>(&call.out).unwrap()["disposed"], 0);
}

/// The plan's words, with the statements.
#[tokio::test]
async fn plans_to_read() {
    for engine in [Engine::Postgres, Engine::Mysql] {
        let bench = Bench::new(engine).await;
        filled(&bench).await;
        rule(&bench, "drop", "where: {email: {not: person1007@example.com}}");
        let call = bench.sunset(&["plan", "--now", bench.now, "--sql", "--quiet"]).expect(0);
        let lines: Vec<_> = call.out.lines().skip_while(|line| !line.contains("partitions")).collect();
        let end = lines.iter().position(|line| line.contains("-- count what is due")).unwrap();
        assert!(lines[end..].iter().any(|line| line.contains("-- change a batch")), "some rows go one by one");
        let schema = bench.database.url.rsplit('/').next().unwrap();
        let text = lines[..end].join("\n").replace(schema, "shop");
        let text = text.lines().filter(|line| !line.contains("explain")).collect::<Vec<_>>().join("\n");
        // the name of the table that stands aside depends on that of the database
        let text = match text.split_once("sunset_out_") {
            Some((_, rest)) => text.replace(&rest[..12], "(digest)"),
            None => text,
        };
        insta::assert_snapshot!(format!("partitions_{}", format!("{engine:?}").to_lowercase()), text);
    }
}

/// Somebody writes old rows all the while: none is lost, none is counted twice.
async fn late_rows(bench: Bench) {
    events(&bench).await;
    for (number, year) in (0..).zip([2001, 2002, 2003]) {
        fill(&bench, year, number * 100_000, 20_000).await;
    }
    fill(&bench, 2025, 900_000, 10).await;
    rule(&bench, "drop", "");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn(write(bench.engine, bench.database.url.clone(), stopped));
    let mut calls = Vec::new();
    for _ in 0..2 {
        let call = tokio::task::block_in_place(|| bench.sunset(&["run", "--now", bench.now, "--format", "json"]));
        assert!([0, 75].contains(&call.code), "{call:?}");
        calls.push(call);
    }
    stop.send(true).unwrap();
    let written = writer.await.unwrap();
    assert!(written > 20, "nothing was written while the runs went: {written}");
    let left = bench.count("select count(*) from events where at_day < '2021-01-01'").await;
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows() + left, 60_000 + written, "{calls:?}");
    assert_eq!(bench.count("select count(*) from events where at_day > '2021-01-01'").await, 10);
    bench.run(0);
    assert_eq!(bench.evidence().committed_rows(), 60_000 + written);
    nothing_is_left_aside(&bench).await;
}

/// Writes rows of old days until it is told to stop; gives the number of those that the database took.
async fn write(engine: Engine, url: String, stop: tokio::sync::watch::Receiver<bool>) -> u64 {
    let mut written = 0;
    let mut id = 1_000_000;
    let mut postgres = None;
    let mut mariadb = None;
    match engine {
        Engine::Postgres => postgres = Some(PgConnection::connect(&url).await.unwrap()),
        _ => mariadb = Some(mysql(&url).await),
    }
    while !*stop.borrow() {
        id += 1;
        let sql = format!("insert into events values ({id}, '200{}-06-01', 'late')", id % 3 + 1);
        let sql = raw_sql(AssertSqlSafe(sql));
        let taken = match (&mut postgres, &mut mariadb) {
            (Some(connection), _) => connection.execute(sql).await.is_ok(),
            (_, Some(connection)) => connection.execute(sql).await.is_ok(),
            _ => false,
        };
        written += u64::from(taken);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    written
}

async fn dies_at_every_moment(bench: Bench) {
    let (mut died, mut rounds) = (BTreeSet::new(), 0);
    for how in ["drop", "truncate"] {
        rule(&bench, how, "");
        for moment in PARTITION_MOMENTS.iter().filter(|moment| !moment.starts_with("partition_return")) {
            for visit in [1, 2] {
                bench.script("drop table if exists events").await;
                filled(&bench).await;
                rounds += 1;
                if *moment == "before_partition_recovery" {
                    let variables = [("SUNSET_FAILPOINT", "partition_removed:1")];
                    assert_eq!(bench.sunset_with(&["run", "--now", bench.now], &variables).code, -1);
                }
                let failpoint = format!("{moment}:{visit}");
                let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", &failpoint)]);
                assert!([-1, 0].contains(&call.code), "{failpoint}: {call:?}");
                if call.code == -1 {
                    died.insert(*moment);
                }
                bench.finish();
                assert_eq!(bench.count("select count(*) from events").await, 300, "{how} {failpoint}");
                let evidence = bench.evidence();
                assert!(evidence.is_settled(), "{how} {failpoint}");
                assert_eq!(evidence.committed_rows(), rounds * 900, "{how} {failpoint}");
                nothing_is_left_aside(&bench).await;
            }
        }
    }
    let never = if bench.engine == Engine::Postgres { vec!["partition_exchanged"] } else { vec![] };
    let came =
        PARTITION_MOMENTS.iter().filter(|moment| !moment.starts_with("partition_return") && !never.contains(*moment));
    assert_eq!(died.iter().collect::<Vec<_>>().len(), came.count(), "{died:?}");
}

on_both_engines!(
    whole_partitions_go,
    they_can_be_emptied_instead,
    counts_are_evidence_enough,
    rows_are_the_default,
    a_row_that_stays_keeps_its_partition,
    the_last_partition_stays,
    the_cut_off_lies_in_a_partition,
    some_things_stand_against_it,
    other_partitions_go_row_by_row,
    a_reviewed_plan_removes_no_more,
    dies_at_every_moment,
);

mod late_rows_are_counted {
    use crate::support::bench::Bench;
    use sunset::catalog::Engine;

    #[tokio::test(flavor = "multi_thread")]
    async fn postgres() {
        super::late_rows(Bench::new(Engine::Postgres).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn mariadb() {
        super::late_rows(Bench::new(Engine::Mysql).await).await;
    }
}

/// Partitions of partitions: what lies wholly before the cut-off goes with all that is below it, and where something below
/// it stays, the others below it go alone.
#[tokio::test]
async fn partitions_of_partitions() {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(
            r#"create schema "old years";
             create table events (id bigint not null, at_day timestamptz, region text not null, email text,
               primary key (id, at_day, region)) partition by range (at_day);
             create table p2001 partition of events for values from ('2001-01-01 00:00+09') to ('2002-01-01 00:00+09')
               partition by list (region);
             create table p2001_eu partition of p2001 for values in ('eu');
             create table p2001_rest partition of p2001 default;
             create table "old years"."p.2002" partition of events
               for values from ('2002-01-01 00:00+09') to ('2003-01-01 00:00+09') partition by range (at_day, region);
             create table "old years"."Spring '02" partition of "old years"."p.2002"
               for values from ('2002-01-01 00:00+09', minvalue) to ('2002-06-01 00:00+09', minvalue);
             create table autumn02 partition of "old years"."p.2002"
               for values from ('2002-06-01 00:00+09', minvalue) to ('2002-12-01 00:00+09', 'x');
             create table winter02 partition of "old years"."p.2002"
               for values from ('2002-12-01 00:00+09', 'x') to ('2003-01-01 00:00+09', minvalue);
             create table p2025 partition of events for values from ('2025-01-01 00:00+09') to (maxvalue);
             create table others partition of events default;
             insert into events select i, timestamptz '2001-01-01 12:00+09' + i * interval '1 day',
               case i % 3 when 0 then 'eu' when 1 then 'us' else 'jp' end, 'x' || i from generate_series(0, 364) i;
             insert into events select 1000 + i, timestamptz '2002-01-01 12:00+09' + i * interval '1 day', 'eu', 'x' || i
               from generate_series(0, 364) i;
             insert into events values (5000, '2025-06-01', 'eu', 'new'), (5001, '1999-06-01', 'eu', 'elsewhere')"#,
        )
        .await;
    rule(&bench, "drop", "where: {email: {not: x200}}");
    bench.script("update events set email = 'y' where id = 200").await;
    let (whole, stay) = planned(&bench.plan());
    // the highest of its parent stays for new rows
    assert_eq!(whole, ["p2001 365", "Spring '02 151"]);
    assert_eq!(
        stay,
        [
            "p.2002: 1 of its rows stay, or wait",
            "autumn02: 1 of its rows stay, or wait",
            "winter02: no partition lies higher, so new rows may be meant for it"
        ]
    );
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 730");
    assert_eq!(went(&report), ["p2001 365", "Spring '02 151"]);
    assert_eq!(bench.list("select id from events order by id").await, "1200 5000");
    let left =
        "select c.relname::text from pg_partition_tree('events') t join pg_class c on c.oid = t.relid order by 1";
    assert_eq!(bench.lines(left).await, ["autumn02", "events", "others", "p.2002", "p2025", "winter02"]);
    assert_eq!(bench.count("select count(*) from pg_class where relname like 'p2001%'").await, 0);
    assert_eq!(bench.evidence().committed_rows(), 730);

    // and once nothing stands against it, all of the year goes
    rule(&bench, "drop", "");
    assert_eq!(planned(&bench.plan()).0, ["p.2002 1"]);
    assert_eq!(bench.run_to_the_end().line("events"), "done 1");
    assert_eq!(bench.lines(left).await, ["events", "others", "p2025"]);
}

/// The forms in which ranges of time are written, on both engines.
async fn forms_of_ranges(bench: Bench) {
    let new = "1735689600"; // 2025-01-01
    let forms: &[(&str, &str, &str, [&str; 2], &str)] = match bench.engine {
        // the column's type, how partitions are made, the rule's words, values of an old and a new row
        Engine::Postgres => &[
            ("date", "", "at", ["'2001-05-05'", "'2025-05-05'"], "'2002-01-01'"),
            ("timestamp", "", "at", ["'2001-05-05 23:59'", "'2025-05-05 00:00'"], "'2002-01-01 00:00'"),
            ("timestamptz", "", "at", ["'2001-05-05 23:59Z'", "'2025-05-05 00:00Z'"], "'2002-01-01 00:00Z'"),
            ("bigint", "", "{column: at, as: epoch_seconds}", ["990000000", new], "1009843200"),
            (
                "numeric",
                "",
                "{column: at, as: epoch_milliseconds}",
                ["990000000000.5", "1735689600000"],
                "1009843200000",
            ),
        ],
        _ => &[
            ("date", "range columns (at)", "at", ["'2001-05-05'", "'2025-05-05'"], "'2002-01-01'"),
            ("datetime", "range columns (at)", "at", ["'2001-05-05 23:59'", "'2025-05-05 00:00'"], "'2002-01-01'"),
            ("date", "range (to_days(at))", "at", ["'2001-05-05'", "'2025-05-05'"], "to_days('2002-01-01')"),
            ("datetime", "range (year(at))", "at", ["'2001-05-05 12:00'", "'2025-05-05 12:00'"], "2002"),
            (
                "datetime",
                "range (to_seconds(at))",
                "at",
                ["'2001-05-05 12:00'", "'2025-05-05 12:00'"],
                "to_seconds('2002-01-01')",
            ),
            (
                "timestamp",
                "range (unix_timestamp(at))",
                "at",
                ["'2001-05-05 12:00'", "'2025-05-05 12:00'"],
                "unix_timestamp('2002-01-01')",
            ),
            ("bigint", "range (at)", "{column: at, as: epoch_seconds}", ["990000000", new], "1009843200"),
            ("bigint", "range columns (at)", "{column: at, as: epoch_seconds}", ["990000000", new], "1009843200"),
        ],
    };
    for (number, (kind, by, point, [old, new], bound)) in forms.iter().enumerate() {
        bench.script("drop table if exists events").await;
        let create = format!("create table events (id int not null, at {kind} not null, primary key (id, at))");
        bench
            .script_for(
                &format!(
                    "{create} partition by range (at); create table p2001 partition of events for values from (minvalue)
                     to ({bound}); create table rest partition of events for values from ({bound}) to (maxvalue)"
                ),
                &format!(
                    "set time_zone = '+00:00'; {create} partition by {by} (partition p2001 values less than ({bound}),
                     partition rest values less than (maxvalue))"
                ),
                "",
            )
            .await;
        bench.script(&format!("insert into events values (1, {old}), (2, {old}), (3, {new})")).await;
        bench.made_anew();
        bench.rules(&RULE.replace("at_day", point).replace("HOW", "drop").replace("MORE", "evidence: rows"));
        let (whole, stay) = planned(&bench.plan());
        assert_eq!((whole, stay), (vec!["p2001 2".to_owned()], Vec::new()), "form {number}: {kind} {by}");
        assert_eq!(bench.run_to_the_end().line("events"), "done 2", "form {number}");
        assert_eq!(partitions(&bench).await, "rest");
        assert_eq!(bench.list("select id from events").await, "3");
    }
}

/// In the middle of the due years some must be kept longer: what is past has a beginning, too.
async fn years_between(bench: Bench) {
    filled(&bench).await;
    bench.settings("time_zone: Asia/Tokyo\nparameters: {losses: [2002-12-31]}");
    bench.rules(
        "- {id: events, table: core.events, starting_point: at_day, disposition: erase, partitions: drop,
   retention_period: {default: 5 years, when: [{if: {fiscal_year_ending_in: losses}, use: 50 years}]}}",
    );
    assert_eq!(planned(&bench.plan()).0, ["p2001 300", "p2003 300"]);
    bench.run_to_the_end();
    assert_eq!(partitions(&bench).await, "others p2002 p2025");
    assert_eq!(bench.count("select count(*) from events where at_day < '2004-01-01'").await, 300);

    // a partition that reaches back for ever reaches into the year whose rows are to stay, too
    bench.script("drop table events").await;
    bench
        .script_for(
            "create table events (id integer not null, at_day date, email text, primary key (id, at_day))
               partition by range (at_day);
             create table lowest partition of events for values from (minvalue) to ('2004-01-01');
             create table others partition of events for values from ('2004-01-01') to (maxvalue)",
            "create table events (id int not null, at_day date not null, email varchar(190), primary key (id, at_day))
               partition by range columns (at_day) (
                 partition lowest values less than ('2004-01-01'), partition others values less than (maxvalue))",
            "",
        )
        .await;
    fill(&bench, 2003, 0, 10).await;
    assert_eq!(planned(&bench.plan()), (Vec::new(), Vec::new()));
    assert_eq!(bench.run_to_the_end().line("events"), "done 10");
    assert_eq!(partitions(&bench).await, "lowest others");
}

/// Somebody holds on to the table, or to the partition: the rows go one by one, and the report says why.
async fn somebody_is_in_the_way(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "");
    let others = match bench.engine {
        Engine::Postgres => ["select count(*) from p2002", "select count(*) from events"],
        _ => ["select count(*) from events partition (p2025)", "select count(*) from events"],
    };
    let mut reports = Vec::new();
    for other in others {
        let report = beside(&bench, other).await;
        reports.push(report);
        fill(&bench, 2002, 10_000, 10).await;
    }
    let stayed = |report: &Report| report.rule("events")["partitions_by_rows"].clone();
    let expected: [&[&str]; 2] = match bench.engine {
        // a reader of one partition concerns that one, a reader of the table all that are to go
        Engine::Postgres => [&["p2002"], &["p2002"]],
        _ => [&["p2001", "p2002", "p2003"], &["p2002"]],
    };
    for (report, expected) in reports.iter().zip(expected) {
        let stayed = stayed(report);
        let names: Vec<_> = stayed.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, expected, "{stayed}");
        assert!(stayed[expected[0]].as_str().unwrap().contains("lock"), "{stayed}");
        assert_eq!(report.rule("events")["result"], "done", "{report:?}");
    }
    assert_eq!(bench.run_to_the_end().rule("events")["result"], "done");
    assert_eq!(bench.count("select count(*) from events").await, 300);
    nothing_is_left_aside(&bench).await;
}

/// Runs while another session has an open transaction with this statement, which comes to nothing.
async fn beside(bench: &Bench, statement: &'static str) -> Report {
    match bench.engine {
        Engine::Postgres => {
            let mut other = PgConnection::connect(&bench.database.url).await.unwrap();
            other.execute(raw_sql("begin")).await.unwrap();
            other.execute(raw_sql(statement)).await.unwrap();
            let report = bench.run(0);
            other.execute(raw_sql("rollback")).await.unwrap();
            report
        }
        _ => {
            let mut other = mysql(&bench.database.url).await;
            other.execute(raw_sql("start transaction")).await.unwrap();
            other.execute(raw_sql(statement)).await.unwrap();
            let report = bench.run(0);
            other.execute(raw_sql("rollback")).await.unwrap();
            report
        }
    }
}

/// Two runs at once: one of them removes the partitions, the other waits for it.
async fn two_runs_at_once(bench: Bench) {
    filled(&bench).await;
    for (number, year) in (0..).zip([2001, 2002, 2003]) {
        fill(&bench, year, 100_000 * (number + 1), 5000).await;
    }
    rule(&bench, "drop", "");
    let runs: Vec<_> = (0..3).map(|_| bench.start(&["run", "--now", bench.now])).collect();
    for call in runs.into_iter().map(Call::of) {
        assert!([0, 75].contains(&call.code), "{call:?}");
    }
    bench.run(0);
    assert_eq!(bench.count("select count(*) from events").await, 300);
    let evidence = bench.evidence();
    assert!(evidence.is_settled());
    assert_eq!(evidence.committed_rows(), 15_900);
    assert_eq!(partitions(&bench).await, "others p2025");
}

/// Two rules share a table: what one of them left open is settled by whichever comes first.
async fn two_rules_of_a_table(bench: Bench) {
    let both = |how: &str| {
        let one = |id: &str, condition: &str| {
            let rule = RULE.replace("id: events", &format!("id: {id}")).replace("HOW", how);
            rule.replace("MORE", &format!("where: {{email: {condition}}}"))
        };
        format!("{}\n{}", one("a", "{not: b}"), one("b", "b"))
    };
    bench.rules(&both("drop"));
    for (round, (rule, failpoint)) in (1..).zip([("a", "partition_announced:1"), ("b", "partition_removed:1")]) {
        bench.script("drop table if exists events").await;
        filled(&bench).await;
        bench.script("update events set email = 'b' where id between 1000 and 1999").await;
        let call = bench.sunset_with(&["run", "--now", bench.now, "--rule", rule], &[("SUNSET_FAILPOINT", failpoint)]);
        assert_eq!(call.code, -1, "{call:?}");
        // the other rule comes first now
        let other = if rule == "a" { "b" } else { "a" };
        for rule in [other, rule] {
            let call = bench.sunset(&["run", "--now", bench.now, "--rule", rule]);
            assert!([0, 75].contains(&call.code), "{call:?}");
        }
        bench.finish();
        assert_eq!(bench.count("select count(*) from events").await, 300);
        let evidence = bench.evidence();
        assert!(evidence.is_settled());
        assert_eq!(evidence.committed_rows(), round * 900, "{rule} {failpoint}");
        nothing_is_left_aside(&bench).await;
    }
}

/// A partition is a batch like others: none begins outside the hours.
async fn outside_the_hours_none_goes(bench: Bench) {
    filled(&bench).await;
    rule(&bench, "drop", "");
    let hour = |hours: i64| {
        let then = Timestamp::now() + SignedDuration::from_hours(hours);
        then.in_tz("Asia/Tokyo").unwrap().strftime("%H:%M").to_string()
    };
    bench.settings(&format!("time_zone: Asia/Tokyo\npace: {{window: \"{}-{}\"}}", hour(3), hour(5)));
    let report = bench.run(0);
    assert_eq!(report.line("events"), "backlog 0 backlog=900");
    assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
    bench.settings(&format!("time_zone: Asia/Tokyo\npace: {{window: \"{}-{}\"}}", hour(-2), hour(2)));
    assert_eq!(bench.run_to_the_end().line("events"), "done 900");
    assert_eq!(partitions(&bench).await, "others p2025");
}

/// One of two runs at once, or both, are killed at random moments; a third one finishes. `SUNSET_TEST_KILLS` asks for more.
async fn killed_at_random(bench: Bench) {
    let mut random = Random::new(4);
    rule(&bench, "drop", "");
    for round in 1..=variable("SUNSET_TEST_KILLS", 6) {
        bench.script("drop table if exists events").await;
        events(&bench).await;
        for (number, year) in (0..).zip([2001, 2002, 2003, 2025]) {
            fill(&bench, year, number * 10_000, 2000).await;
        }
        bench.made_anew();
        let runs = [(); 2].map(|()| bench.start(&["run", "--now", bench.now]));
        for run in &runs {
            std::thread::sleep(Duration::from_millis(random.below(700)));
            if random.below(4) > 0 {
                signal("KILL", run.id());
            }
        }
        for call in runs.map(Call::of) {
            assert!([-1, 0, 75].contains(&call.code), "{call:?}");
        }
        bench.finish();
        assert_eq!(bench.count("select count(*) from events").await, 2000, "round {round}");
        let evidence = bench.evidence();
        assert!(evidence.is_settled(), "round {round}");
        assert_eq!(evidence.committed_rows(), round * 6000, "round {round}");
        assert_eq!(partitions(&bench).await, "others p2025", "round {round}");
        nothing_is_left_aside(&bench).await;
    }
}

/// The rows of whole partitions count for the guard rails.
async fn limits_count_their_rows(bench: Bench) {
    filled(&bench).await;
    for limit in ["max_rows: 899", "max_share: 74%"] {
        rule(&bench, "drop", &format!("limits: {{{limit}}}"));
        assert_eq!(bench.run(3).rule("events")["result"], "refused", "{limit}");
        assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
    }
    rule(&bench, "drop", "limits: {max_rows: 900, max_share: 75%}");
    assert_eq!(bench.run_to_the_end().line("events"), "done 900");
}

on_both_engines!(
    forms_of_ranges,
    years_between,
    somebody_is_in_the_way,
    two_runs_at_once,
    two_rules_of_a_table,
    outside_the_hours_none_goes,
    limits_count_their_rows,
    killed_at_random,
);

/// What another job has set aside is not this one's to judge: its ledger does not know what was announced.
#[tokio::test]
async fn another_jobs_rows_are_left_alone() {
    let bench = Bench::new(Engine::Mysql).await;
    let (out, _) = set_aside(&bench).await;
    let other = bench.beside("another");
    rule(&other, "drop", "");
    let report = other.run(3);
    assert_eq!(report.rule("events")["result"], "refused", "{report:?}");
    assert!(report.rule("events")["message"].as_str().unwrap().contains("of this job"), "{report:?}");
    assert_eq!(bench.count(&format!("select count(*) from {out}")).await, 300);
    assert_eq!(bench.run_to_the_end().line("events"), "done 900");
    assert_eq!(other.run(0).rule("events")["result"], "nothing_due");
}

/// What an earlier run has set aside on MariaDB, made by hand as a crash would leave it.
async fn set_aside(bench: &Bench) -> (String, String) {
    filled(bench).await;
    rule(bench, "drop", "");
    let plan = bench.plan();
    let statements = plan["steps"][0]["partitions"]["before"].as_array().unwrap().iter();
    let statements: Vec<_> = statements
        .chain(plan["steps"][0]["partitions"]["whole"][1]["statements"].as_array().unwrap().iter().take(2))
        .map(|sql| sql.as_str().unwrap().to_owned())
        .collect();
    for sql in &statements {
        assert!(bench.try_script(sql).await, "{sql}");
    }
    assert_eq!(bench.count("select count(*) from events").await, 900);
    let out = bench.list("select table_name from information_schema.tables where table_schema = database() and table_name like 'sunset%'").await;
    (out.clone(), out.replace("_out_", "_back_"))
}

/// Rows that a killed run has set aside are found, and go if they may.
#[tokio::test]
async fn what_was_set_aside_is_brought_to_an_end() {
    let bench = Bench::new(Engine::Mysql).await;
    set_aside(&bench).await;
    let shown = bench.sunset(&["plan", "--now", bench.now]).expect(0).out;
    assert!(shown.contains("an earlier run left 300 rows in"), "{shown}");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(partitions(&bench).await, "others p2025");
    assert_eq!(bench.evidence().committed_rows(), 900);
    nothing_is_left_aside(&bench).await;
}

/// They come back if one of them stays, with those that came meanwhile; whatever moment the run dies at.
#[tokio::test]
async fn what_was_set_aside_comes_back() {
    let bench = Bench::new(Engine::Mysql).await;
    for (round, moment) in (1..).zip(["", "partition_returns", "partition_returned", "before_partition_outcome"]) {
        bench.script("drop table if exists events").await;
        let (out, _) = set_aside(&bench).await;
        // one of them is held by now, and others were written meanwhile
        bench.script(&format!("update {out} set email = 'held' where id = 1100")).await;
        fill(&bench, 2002, 1900, 7).await;
        rule(&bench, "drop", "where: {email: {not: held}}");
        if !moment.is_empty() {
            let failpoint = format!("{moment}:1");
            let call = bench.sunset_with(&["run", "--now", bench.now], &[("SUNSET_FAILPOINT", &failpoint)]);
            assert_eq!(call.code, -1, "{moment}: {call:?}");
        }
        bench.finish();
        assert_eq!(bench.list("select id from events where id < 3000").await, "1100", "{moment}");
        assert_eq!(bench.count("select count(*) from events").await, 301);
        let evidence = bench.evidence();
        assert!(evidence.is_settled(), "{moment}");
        assert_eq!(evidence.committed_rows(), round * 906, "{moment}");
        assert!(!evidence.events("partition_returned").is_empty());
        nothing_is_left_aside(&bench).await;
    }
}

/// A rule that no longer asks for whole partitions brings back what was set aside, and takes the rows one by one.
#[tokio::test]
async fn a_rule_that_changed_its_mind() {
    let bench = Bench::new(Engine::Mysql).await;
    let (out, _) = set_aside(&bench).await;
    rule(&bench, "rows", "");
    let report = bench.run_to_the_end();
    assert_eq!(report.line("events"), "done 900");
    assert_eq!(went(&report), [""; 0]);
    assert_eq!(partitions(&bench).await, "others p2001 p2002 p2003 p2025");
    assert_eq!(bench.evidence().events("partition_returned").len(), 1);
    nothing_is_left_aside(&bench).await;

    // a table of that name that is not Sunset's is left alone
    bench.script(&format!("create table {out} (id int); insert into {out} values (1)")).await;
    fill(&bench, 2001, 10, 10).await;
    rule(&bench, "drop", "");
    assert_eq!(bench.run(3).rule("events")["result"], "refused");
    assert_eq!(bench.count(&format!("select count(*) from {out}")).await, 1);
}
