//! PostgreSQL: what is left of rows that went, and `vacuum`.

use super::{
    super::{
        Dialect as _, PLACEHOLDER, Row, Sql, Statement, Value,
        maintenance::{ELSEWHERE, MaintenanceStep, Remains, remains},
    },
    dialect::Postgres,
};
use crate::{catalog::TableName, rules::After};

/// `tables` hold rows; `root` is the partitioned table that they belong to, which has statistics of its own.
pub(super) fn steps(after: After, tables: &[TableName], root: Option<&TableName>) -> Vec<MaintenanceStep> {
    let mut steps = Vec::new();
    for table in tables {
        let how = if after == After::Rewrite { "(full, analyze)" } else { "(analyze)" };
        steps.push(MaintenanceStep::new(format!("vacuum {how} {}", Postgres.table(table))));
        let sql =
            format!("select n_dead_tup::text from pg_stat_all_tables where relid = to_regclass({PLACEHOLDER}::text)");
        let statement = Postgres.finish(Sql::bound(sql, Value::Text(Postgres.table(table))));
        steps.push(MaintenanceStep { statement, judge: dead_rows, repeated: false });
    }
    steps.extend(root.map(|root| MaintenanceStep::new(format!("analyze {}", Postgres.table(root)))));
    steps
}

fn dead_rows(rows: &[Row]) -> Option<String> {
    let dead: u64 = rows.first()?.first()?.as_deref()?.parse().ok()?;
    (dead > 0).then(|| format!("{dead} dead rows are left, which an older transaction may still see"))
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
