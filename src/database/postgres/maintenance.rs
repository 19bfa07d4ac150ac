//! PostgreSQL: what is left of rows that went, and `vacuum`.

use super::{
    super::{
        Dialect as _, Row,
        maintenance::{ELSEWHERE, MaintenanceStep, Remains, remains},
    },
    Postgres,
};
use crate::{
    catalog::TableName,
    rules::After,
    sql::{PLACEHOLDER, Sql, Statement, Value},
};
use std::time::Duration;

/// Every row went in a transaction before this one.
const BEGINNING: &str = "select set_config('sunset.gone', pg_current_xact_id()::xid::text, false)";

/// What keeps rows from being removed that went before then: transactions (those of a standby that sends feedback have no
/// database; a vacuum's own keep nothing), replication slots, and transactions that were prepared and forgotten.
const OLDER: &str = "with older (xmin) as (
        select backend_xmin from pg_stat_activity a
        where coalesce(datname = current_database(), true) and pid <> pg_backend_pid()
            and not exists (select from pg_stat_progress_vacuum v where v.pid = a.pid)
        union all select xmin from pg_replication_slots
        union all select transaction from pg_prepared_xacts where database = current_database())
    select count(*)::text from older where age(older.xmin) > age(current_setting('sunset.gone')::xid)";

/// Short ones are waited for: statistics being taken, say.
const PATIENCE: Duration = Duration::from_secs(5);

/// `tables` hold rows; `root` is the partitioned table that they belong to, which has statistics of its own.
pub(super) fn steps(after: After, tables: &[TableName], root: Option<&TableName>) -> Vec<MaintenanceStep> {
    let older = MaintenanceStep::judged(Statement::new(OLDER), seen);
    let older = MaintenanceStep { patience: PATIENCE, required: true, ..older };
    let mut steps = vec![MaintenanceStep::new(BEGINNING), older];
    for table in tables {
        let how = if after == After::Rewrite { "(full, analyze)" } else { "(analyze)" };
        steps.push(MaintenanceStep::new(format!("vacuum {how} {}", Postgres.table(table))));
    }
    steps.extend(root.map(|root| MaintenanceStep::new(format!("analyze {}", Postgres.table(root)))));
    steps
}

fn seen(rows: &[Row]) -> Option<String> {
    match rows.first().and_then(|row| row.first()?.as_deref()?.parse::<u64>().ok()) {
        Some(0) => None,
        Some(_) => Some("an older transaction or a replication slot may still see the rows".to_owned()),
        None => Some("the server does not tell whether older transactions still see the rows".to_owned()),
    }
}

/// Maintenance may take as long as it takes; waits for locks stay short.
pub(super) fn unlimited() -> Statement {
    Statement::new("select set_config('statement_timeout', '0', false)")
}

/// Those of the tables that this user may not vacuum: the server would pass them over with a warning.
pub(super) fn not_allowed(tables: &[TableName]) -> Statement {
    let names = tables.iter().map(|table| Some(Postgres.table(table))).collect();
    let sql = format!(
        "select c.oid::regclass::text from pg_class c, pg_database d
         where c.oid = any({PLACEHOLDER}::text[]::regclass[]) and d.datname = current_database()
           and not pg_has_role(c.relowner, 'USAGE') and not pg_has_role(d.datdba, 'USAGE')
           and not case when current_setting('server_version_num')::int >= 170000
                   then has_table_privilege(c.oid, 'MAINTAIN') else false end"
    );
    Postgres.finish(Sql::bound(sql, Value::Texts(names)))
}

/// The partitions that hold rows of a condition: schema and name.
pub(super) fn holding(table: &TableName, condition: &Sql) -> Statement {
    let mut sql = Sql::new(format!(
        "select distinct n.nspname::text, c.relname::text from {} join pg_class c on c.oid = t.tableoid
         join pg_namespace n on n.oid = c.relnamespace where ",
        Postgres.target(table)
    ));
    sql.append(condition);
    Postgres.finish(sql)
}

const LOG: Remains = remains("write-ahead log", "its segments are overwritten or removed, after later checkpoints");
const ARCHIVE: Remains = remains("archived log, base backups", "they expire");
const REPLICAS: Remains = remains("replicas", "they have replayed the same, with a log of their own");

pub(super) fn left(after: Option<After>) -> Vec<Remains> {
    let own: &[Remains] = match after {
        None => &[
            remains("table, TOAST and indexes", "a vacuum frees the space, and new rows overwrite it"),
            remains("statistics (pg_statistic)", "the next analyze"),
        ],
        Some(After::Vacuum) => {
            &[remains("table, TOAST and indexes", "new rows overwrite the space, which is free now")]
        }
        Some(After::Rewrite) => &[],
    };
    own.iter().copied().chain([LOG, ARCHIVE, REPLICAS, ELSEWHERE]).collect()
}
