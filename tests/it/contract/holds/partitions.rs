//! PostgreSQL's partitions and tables that inherit from others: a row is one row, by whatever table it is named.

use super::hold;
use crate::support::bench::Bench;
use sunset::catalog::Engine;

async fn partitioned() -> Bench {
    let bench = Bench::new(Engine::Postgres).await;
    bench
        .script(
            "create table ev (id int, ended date, kind text, primary key (id, ended)) partition by range (ended);
             create table ev_2000 partition of ev for values from ('2000-01-01') to ('2001-01-01');
             create table ev_old partition of ev for values from ('1990-01-01') to ('2000-01-01') partition by range (ended);
             create table ev_1999 partition of ev_old for values from ('1999-01-01') to ('2000-01-01');
             create table ev_rest partition of ev default;
             create table part (id int primary key, ev int, ended date, at date, foreign key (ev, ended) references ev);
             insert into ev values (1, '2000-02-02', 'a'), (2, '2000-02-02', 'b'), (3, '1999-02-02', 'c'),
               (4, '1999-02-02', 'd');
             insert into part values (10, 1, '2000-02-02', '2000-01-01'), (20, 2, '2000-02-02', '2000-01-01'),
               (30, 3, '1999-02-02', '2000-01-01')",
        )
        .await;
    bench.rules("- {id: parts, table: core.part, starting_point: at, retention_period: 1 year, disposition: erase}");
    bench
}

fn rule(table: &str, more: &str) -> String {
    format!(
        "- {{id: events, table: core.{table}, starting_point: ended, retention_period: 1 year, disposition: erase{more}}}"
    )
}

#[tokio::test]
async fn a_hold_on_a_partitions_row_holds_under_the_whole_tables_rule() {
    let bench = partitioned().await;
    hold(&bench, "core.ev_2000", &["--key", "1", "--key", "2000-02-02"]);
    hold(&bench, "core.ev_1999", &["--key", "3", "--key", "1999-02-02"]);
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from part order by id").await, "10 30");
    bench.script("delete from part").await;
    bench.rules(&rule("ev", ", dependents: {core.part: erase}"));
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from ev order by id").await, "1 3");
}

#[tokio::test]
async fn a_hold_on_the_whole_table_holds_under_a_partitions_rule() {
    let bench = partitioned().await;
    bench.script("drop table part").await;
    hold(&bench, "core.ev", &["--key", "1", "--key", "2000-02-02"]);
    hold(&bench, "core.ev_2000", &["--where", "kind = 'c'"]);
    for table in ["ev_2000", "ev_1999"] {
        bench.rules(&rule(table, ""));
        let run = bench.sunset(&["run", "--now", bench.now]);
        assert!([0, 2, 3].contains(&run.code), "{run:?}");
        if run.code == 0 {
            assert_eq!(bench.count(&format!("select count(*) from {table}")).await, 1);
        }
    }
    assert_eq!(bench.list("select id from ev where id in (1, 3) order by id").await, "1 3");
}

#[tokio::test]
async fn rows_that_move_to_another_partition_stay_held() {
    let bench = partitioned().await;
    bench.script("drop table part").await;
    hold(&bench, "core.ev_2000", &["--where", "kind = 'a'"]);
    bench.script("update ev set ended = '1999-03-03' where id = 1").await;
    bench.rules(&rule("ev", ""));
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from ev").await, "1");
}

#[tokio::test]
async fn a_partition_that_left_its_table_is_noticed() {
    let bench = partitioned().await;
    bench.script("drop table part").await;
    hold(&bench, "core.ev", &["--key", "1", "--key", "2000-02-02"]);
    bench.script("alter table ev detach partition ev_2000").await;
    bench.rules(&rule("ev_2000", ""));
    bench.sunset(&["run", "--now", bench.now]).expect(3);
    bench.sunset(&["hold", "move", "1", "--table", "core.ev_2000", "--owner", "legal"]).expect(0);
    bench.run_to_the_end();
    assert_eq!(bench.list("select id from ev_2000").await, "1");
}

#[tokio::test]
async fn rows_of_tables_that_inherit_are_held_by_either_name() {
    let setup = "create table person (id int primary key);
        create table doc (id int primary key, ended date, person int references person);
        create table letter (recipient int references person, primary key (id)) inherits (doc);
        insert into person values (1), (2), (3);
        insert into doc values (10, '2000-01-01', null), (11, '2000-01-01', 1), (12, '2000-01-01', 2);
        insert into letter values (20, '2000-01-01', null, null), (21, '2000-01-01', null, 1), (22, '2000-01-01', 1, null),
          (23, '2000-01-01', 2, 2)";
    for (table, key, left) in [
        ("core.letter", "20", ["10 11 12 20", "20"]),
        ("core.doc", "20", ["10 11 12 20", "20"]),
        ("core.doc", "10", ["10 11 12", "10"]),
        ("core.person", "1", ["10 11 12 21 22", "11 21 22"]),
    ] {
        let bench = Bench::new(Engine::Postgres).await;
        bench.script(setup).await;
        bench.rules(&rule("doc", ""));
        hold(&bench, table, &["--key", key]);
        for (of, left) in ["letter", "doc"].into_iter().zip(left) {
            bench.rules(&rule(of, ""));
            let run = bench.sunset(&["run", "--now", bench.now]);
            let there = bench.list("select id from doc order by id").await;
            match run.code {
                0 => assert_eq!(there, left, "hold on {table} {key}, rule on {of}"),
                2 | 3 => {}
                code => panic!("{code}: {run:?}"),
            }
        }
    }
}
