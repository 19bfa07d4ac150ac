//! Tables and columns with names that need quoting, that mean something to an engine, or that Sunset uses itself.

use super::fates_come_true;
use crate::support::bench::{Bench, on_every_engine};

/// Parent, child and grandchild with these names for tables and columns, all of them walked both ways.
async fn names(bench: &Bench, tables: [&str; 3], columns: [&str; 4]) {
    let [parent, child, grandchild] = tables;
    let [key, link, point, note] = columns;
    bench
        .script(&format!(
            r#"create table "{parent}" ("{key}" {{int}} primary key, "{point}" {{date}}, "{note}" {{text}}, fate {{text}});
               create table "{child}" ("{key}" {{int}} primary key, "{link}" {{int}}, "{note}" {{text}}, fate {{text}},
                 foreign key ("{link}") references "{parent}" ("{key}"));
               create table "{grandchild}" ("{key}" {{int}} primary key, "{link}" {{int}}, "{point}" {{date}}, fate {{text}},
                 foreign key ("{link}") references "{child}" ("{key}"));
               insert into "{parent}" values (1, '2001-01-01', 'x', 'goes'), (2, '2001-01-01', 'y', 'stays'),
                 (3, '2025-01-01', 'x', 'stays'), (4, '2001-01-01', 'x', 'stays');
               insert into "{child}" values (1, 3, 'x', 'stays'), (2, 1, 'x', 'goes'), (3, 4, 'x', 'stays'), (4, 2, '', 'stays');
               insert into "{grandchild}" values (2, 1, '2025-01-01', 'stays'), (1, 2, '2025-01-01', 'goes'),
                 (3, 3, '2025-01-01', 'stays'), (9, null, '2001-01-01', 'goes')"#
        ))
        .await;
    let quoted = |text: &str| format!("{text:?}");
    let table = |name: &str| quoted(&format!("core.{name}"));
    bench.rules(&format!(
        "
- id: parent
  table: {parent}
  starting_point: {point}
  retention_period: 5 years
  disposition: erase
  where: {{{note}: x}}
  dependents: {{{child}: erase, {grandchild}: {{erase: true, overrides: [grandchild]}}}}
- {{id: grandchild, table: {grandchild}, starting_point: {point}, retention_period: 5 years, disposition: erase}}",
        parent = table(parent),
        child = table(child),
        grandchild = table(grandchild),
        point = quoted(point),
        note = quoted(note)
    ));
    // of the fourth parent only a dependent of a dependent is held
    let held = format!("\"{point}\" = '2025-01-01' and \"{key}\" = 3");
    let held = if bench.engine == sunset::catalog::Engine::Mysql { held.replace('"', "`") } else { held };
    let hold = ["hold", "add", "--matter", "m", "--reason", "r", "--owner", "o", "--review", "2027-01-01"];
    let table = format!("core.{grandchild}");
    bench.sunset(&[&hold[..], &["--table", &table, "--where", &held]].concat()).expect(0);
    let tables = tables.map(|table| match bench.engine {
        sunset::catalog::Engine::Mysql => format!("`{table}`"),
        _ => format!("\"{table}\""),
    });
    let report = fates_come_true(bench, &tables.each_ref().map(String::as_str)).await;
    assert_eq!(report.line("parent"), "explained_rest 1 held=1");
}

async fn names_that_need_quoting(bench: Bench) {
    names(&bench, ["order", "select", "Mixed Case"], ["from", "where", "group by", "Table"]).await;
}

async fn names_in_other_scripts(bench: Bench) {
    names(&bench, ["顧客", "注文 明細", "Ünïcode"], ["番号", "顧客番号", "退会日", "備考 (任意)"]).await;
}

async fn names_with_quotes(bench: Bench) {
    let table = if bench.engine == sunset::catalog::Engine::Mysql { "per cent %s" } else { "per $1 cent %s ?" };
    names(&bench, [table, "semi;colon", "dash--dash"], ["it's", "back\\slash", "a b", "{key}"]).await;
}

async fn names_that_sunset_uses_for_columns(bench: Bench) {
    names(&bench, ["parent", "child", "grandchild"], ["t", "d1", "k0", "value"]).await;
    let bench = Bench::new(bench.engine).await;
    names(&bench, ["parent", "child", "grandchild"], ["rowid", "r", "k1", "oid"]).await;
}

async fn names_that_sunset_uses_for_tables(bench: Bench) {
    names(&bench, ["t", "d1", "k0"], ["id", "t_id", "point", "note"]).await;
    let bench = Bench::new(bench.engine).await;
    names(&bench, ["k0", "k1", "t"], ["id", "t_id", "point", "note"]).await;
    let bench = Bench::new(bench.engine).await;
    names(&bench, ["d1", "r", "d2"], ["id", "t_id", "point", "note"]).await;
}

/// The starting point lies in a table whose name is the one that Sunset would give it, and in one of the same name.
async fn related_tables_with_such_names(bench: Bench) {
    bench
        .script(
            "create table r (id {int} primary key, fate {text});
             create table t (id {int} primary key, r_id {int}, seen_on {date});
             insert into r values (1, 'goes'), (2, 'stays');
             insert into t values (2, 1, '2001-01-01'), (1, 2, '2025-01-01')",
        )
        .await;
    bench.rules(
        "
- id: r
  table: core.r
  starting_point: {latest: core.t.seen_on, through: r_id}
  retention_period: 5 years
  disposition: erase",
    );
    fates_come_true(&bench, &["r"]).await;
}

on_every_engine!(
    names_that_need_quoting,
    names_in_other_scripts,
    names_with_quotes,
    names_that_sunset_uses_for_columns,
    names_that_sunset_uses_for_tables,
    related_tables_with_such_names,
);
