//! What plans rely on in SQLite's schema, in one statement: kind, schema, table, name and definition of each fact.

use super::super::FactScope;
use crate::sql::{Statement, Value};

/// Names of tables are compared without regard to case, and foreign keys spell the table that they refer to as they like.
/// `ours` holds the tables that are asked about.
const FACTS: &str = "select 'table', 'main', t.name, '', t.type || ' ' || t.wr || ' ' || t.strict
    from temp.pragma_table_list t where t.schema = 'main' and lower(t.name) in ours
    union all
    select 'trigger', 'main', coalesce(t.name, s.tbl_name), s.name, s.sql
    from sqlite_schema s left join temp.pragma_table_list t on t.schema = 'main' and lower(t.name) = lower(s.tbl_name)
    where s.type = 'trigger' and lower(s.tbl_name) in ours
    union all
    select 'foreign key', 'main', t.name, k.id || ' ' || k.seq,
        k.\"from\" || ' ' || lower(k.\"table\") || ' ' || coalesce(k.\"to\", '') || ' ' || k.on_delete || ' ' || k.on_update
    from temp.pragma_table_list t join temp.pragma_foreign_key_list(t.name, 'main') k
    where t.schema = 'main' and t.type = 'table' and (lower(t.name) in ours or lower(k.\"table\") in ours)";

const COLUMNS: &str = "
    union all
    select 'column', 'main', t.name, c.name, c.type || ' ' || c.\"notnull\" || ' ' || c.hidden || ' ' || c.pk
    from temp.pragma_table_list t join temp.pragma_table_xinfo(t.name, 'main') c
    where t.schema = 'main' and lower(t.name) in ours";

pub(super) fn facts(scope: &FactScope<'_>) -> Statement {
    let (FactScope::Tables(tables) | FactScope::Harmful { tables, .. }) = scope else {
        let ours = "ours as (select lower(name) from temp.pragma_table_list where schema = 'main')";
        return Statement::new(format!("with {ours} {FACTS}"));
    };
    let names = vec!["(lower(?))"; tables.len()].join(", ");
    Statement {
        sql: format!("with ours as (values {names}) {FACTS}{COLUMNS}"),
        args: tables.iter().map(|table| Value::Text(table.name.clone())).collect(),
    }
}

/// One number, which another one follows whenever anything in the schema changes.
pub(super) fn schema_version() -> Statement {
    Statement::new("select cast(schema_version as text) from temp.pragma_schema_version")
}
