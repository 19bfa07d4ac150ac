//! Nothing that Sunset writes holds a value of the rows that it disposes of: not the ledger, the store's files, the log,
//! plans, samples, reports, nor errors, whatever a server puts into its messages.

use crate::support::bench::{Bench, on_every_engine};
use std::fs;
use sunset::catalog::Engine;

/// Values that stand nowhere but in rows. The first is a primary key.
const PERSONAL: [&str; 5] =
    ["zzq.hanako@secret.example", "Zzqhanako", "秘密の花子", "+81-90-0000-7777", "Zzqgaoka 7-7"];

/// People whose key is their address, so that even keys are personal; and what references them.
async fn company(bench: &Bench) {
    let [email, name, japanese, phone, street] = PERSONAL;
    bench
        .script(&format!(
            "create table people (email {{text}} primary key, left_on {{date}}, name {{text}}, phone {{text}});
             create table addresses (id {{int}} primary key, email {{text}}, street {{text}}, city {{text}},
               foreign key (email) references people (email));
             create table leads (id {{int}} primary key, left_on {{date}}, email {{text}}, name {{text}}, done {{boolean}},
               constraint not_all check (name not like '*%'));
             create table visits (email {{text}} primary key, left_on {{date}}, name {{text}});
             insert into people values ('{email}', '2001-01-01', '{name}', '{phone}'),
               ('2{email}', '2001-01-01', '{japanese}', '{phone}'), ('3{email}', '2001-01-01', '{name}', null);
             insert into addresses values (1, '{email}', '{street}', '{street}'), (2, '2{email}', '{street}', null);
             insert into leads values (1, '2001-01-01', '{email}', '{name}', null),
               (2, '2001-01-01', '{email}', '{japanese}', null);
             insert into visits values ('{email}', '2001-01-01', '{name}'), ('4{email}', '2001-01-01', '{japanese}')"
        ))
        .await;
}

const RULES: &str = "
- id: people
  table: core.people
  starting_point: left_on
  retention_period: 5 years
  disposition: erase
  dependents: {core.addresses: {anonymize: {email: suppress, street: suppress, city: mask}}}
- id: leads
  table: core.leads
  starting_point: left_on
  retention_period: 5 years
  disposition: pseudonymize
  marker: done
  columns: {email: hash, name: {mask: {keep_first: 1}}}
- {id: visits, table: core.visits, starting_point: left_on, retention_period: 5 years, disposition: erase}";

/// Everything that the program has written so far, beside what its calls print.
fn files(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in [bench.directory().to_owned(), bench.path("state")] {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            files.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
        }
    }
    files
}

/// Calls the program and collects what it prints.
fn call(bench: &Bench, arguments: &[&str], written: &mut Vec<(String, Vec<u8>)>) -> i32 {
    let call = bench.sunset(&[arguments, &["-vv"]].concat());
    written.push((format!("{arguments:?} stdout"), call.out.into_bytes()));
    written.push((format!("{arguments:?} stderr"), call.err.into_bytes()));
    call.code
}

fn holds_nothing_personal(written: &[(String, Vec<u8>)]) {
    assert!(written.iter().any(|(_, bytes)| !bytes.is_empty()));
    for (place, bytes) in written {
        for value in PERSONAL {
            let found = bytes.windows(value.len()).position(|window| window == value.as_bytes());
            let around = |at: usize| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(200)..bytes.len().min(at + 200)]).into_owned()
            };
            assert_eq!(found.map(around), None, "{place} holds {value}");
        }
    }
}

/// All ways to look at a job.
fn look(bench: &Bench, written: &mut Vec<(String, Vec<u8>)>) {
    let plan = bench.path("plan.json");
    let plan = plan.to_str().unwrap();
    for arguments in [
        &["validate"][..],
        &["plan", "--now", bench.now, "--sql", "--sample", "5", "--out", plan],
        &["plan", "--now", bench.now, "--sql", "--sample", "5", "--format", "json"],
        &["plan", "--now", bench.now, "--sql", "--sample", "5", "--format", "markdown"],
        &["status"],
        &["status", "--format", "json"],
    ] {
        assert_eq!(call(bench, arguments, written), 0, "{arguments:?}");
    }
}

async fn a_run_that_goes_well(bench: Bench) {
    company(&bench).await;
    bench.rules(RULES);
    let mut written = Vec::new();
    let hold = ["hold", "add", "--table", "core.visits", "--matter", "m", "--reason", "r", "--owner", "o"];
    let (key, other) = (PERSONAL[0], format!("4{}", PERSONAL[0]));
    let held = bench.sunset(&[&hold[..], &["--review", "2027-01-01", "--key", key]].concat()).expect(0);
    look(&bench, &mut written);
    for format in ["text", "json"] {
        assert_eq!(call(&bench, &["run", "--now", bench.now, "--format", format], &mut written), 0);
    }
    assert_eq!(bench.count("select count(*) from people").await, 0);
    // a hold remembers its row's key for as long as it is in force, and not longer
    let release = ["hold", "release", held.out.trim(), "--reason", "r", "--owner", "o"];
    assert_eq!(call(&bench, &release, &mut written), 0);
    assert_eq!(call(&bench, &["run", "--now", bench.now, "--format", "markdown"], &mut written), 0);
    assert_eq!(bench.count("select count(*) from visits").await, 0);
    look(&bench, &mut written);
    assert_eq!(call(&bench, &["ledger", "export"], &mut written), 0);
    assert_eq!(call(&bench, &["ledger", "verify"], &mut written), 0);
    written.extend(files(&bench));
    if bench.engine == Engine::Sqlite {
        // what is gone is gone from the file, too
        let path = bench.database.url.strip_prefix("sqlite:").unwrap();
        written.push((path.to_owned(), fs::read(path).unwrap()));
    }
    holds_nothing_personal(&written);
    assert_eq!(bench.proven("core.people", &[PERSONAL[0]]), 1);
    assert_eq!(bench.proven("core.visits", &[&other]), 1);
}

/// Each rule fails, and the server's message quotes a value.
async fn runs_that_fail(bench: Bench) {
    company(&bench).await;
    let [email, ..] = PERSONAL;
    bench
        .script_for(
            "create function object() returns trigger language plpgsql as
               'begin raise notice ''notice %'', old; raise exception ''no: %'', old.email; end';
             create trigger object before delete on visits for each row execute function object();
             alter table addresses add constraint c check (street is not null)",
            "create trigger object before delete on visits for each row begin
               declare message text default concat('no: ', old.email);
               signal sqlstate '45000' set message_text = message; end;
             alter table addresses add constraint c check (street is not null)",
            &format!(
                "create trigger object before delete on visits begin select raise(abort, 'no: {email}'); end;
                 create trigger c before update on addresses begin select raise(fail, '{email}'); end"
            ),
        )
        .await;
    // which the check constraint refuses, and PostgreSQL quotes the whole row
    bench.rules(&RULES.replace("{email: hash, name: {mask: {keep_first: 1}}}", "{email: hash, name: mask}"));
    let mut written = Vec::new();
    for format in ["text", "json", "markdown"] {
        assert_eq!(call(&bench, &["run", "--now", bench.now, "--format", format], &mut written), 4);
    }
    let report = bench.run(4);
    for (rule, rows) in [("people", 3), ("leads", 2), ("visits", 2)] {
        assert_eq!(report.line(rule), format!("failed 0 left_by_failure={rows}"));
    }
    assert_eq!(bench.count("select count(*) from people").await, 3);
    look(&bench, &mut written);
    assert_eq!(call(&bench, &["ledger", "export"], &mut written), 0);
    written.extend(files(&bench));
    holds_nothing_personal(&written);
}

/// Triggers may write what they like into the places of an error where names stand.
async fn names_that_triggers_make_up(bench: Bench) {
    company(&bench).await;
    bench
        .script_for(
            "create function object() returns trigger language plpgsql as
               'begin raise exception using errcode = ''23505'', constraint = old.email, table = old.name, column = old.email,
                 schema = old.email, datatype = old.email, message = old.email, detail = old.name, hint = old.email; end';
             create trigger object before delete on visits for each row execute function object();
             create function column_() returns trigger language plpgsql as
               'begin raise exception using errcode = ''42703'', column = old.email, table = old.name; end';
             create trigger object before update on leads for each row execute function column_();
             create domain nobody as text check (value is null);
             create function cast_it() returns trigger language plpgsql as
               'begin perform old.email::nobody; return old; end';
             create trigger object before delete on people for each row execute function cast_it()",
            "create trigger object before delete on visits for each row begin
               declare message text default concat('Duplicate entry ''x'' for key ''', old.email, '''');
               signal sqlstate '23000' set mysql_errno = 1062, message_text = message; end;
             create trigger column_ before update on leads for each row begin
               declare message text default concat('Unknown column ''', old.email, ''' in ''x''');
               signal sqlstate '42S22' set mysql_errno = 1054, message_text = message; end;
             create trigger key_ before delete on people for each row begin
               declare message text default concat('x CONSTRAINT `', old.email, '` FOREIGN KEY x');
               signal sqlstate '23000' set mysql_errno = 1451, message_text = message; end",
            &format!(
                "create trigger object before delete on visits begin select raise(abort, 'x failed: {email}'); end;
                 create trigger column_ before update on leads begin select raise(fail, 'no such column: {email}'); end;
                 create trigger key_ before delete on people begin select raise(rollback, 'integer overflow {email}'); end",
                email = PERSONAL[0]
            ),
        )
        .await;
    bench.rules(RULES);
    let mut written = Vec::new();
    for format in ["text", "json"] {
        assert_eq!(call(&bench, &["run", "--now", bench.now, "--format", format], &mut written), 4);
    }
    assert_eq!(bench.count("select count(*) from people").await, 3);
    look(&bench, &mut written);
    assert_eq!(call(&bench, &["ledger", "export"], &mut written), 0);
    written.extend(files(&bench));
    holds_nothing_personal(&written);
}

/// Conditions and settings that a server quotes back when it cannot make sense of a row.
async fn values_that_cannot_be_cast(bench: Bench) {
    company(&bench).await;
    bench.rules(
        "
- {id: leads, table: core.leads, starting_point: left_on, retention_period: 5 years, disposition: erase,
   where: cast(name as decimal) > 1}",
    );
    let mut written = Vec::new();
    for arguments in [&["plan", "--sample", "2"][..], &["run"]] {
        // MariaDB and SQLite take such a text for 0
        let code = if bench.engine == Engine::Postgres { 4 } else { 0 };
        assert_eq!(call(&bench, &[arguments, &["--now", bench.now]].concat(), &mut written), code);
    }
    assert_eq!(bench.count("select count(*) from leads").await, 2);
    written.extend(files(&bench));
    holds_nothing_personal(&written);
}

on_every_engine!(a_run_that_goes_well, runs_that_fail, names_that_triggers_make_up, values_that_cannot_be_cast);
