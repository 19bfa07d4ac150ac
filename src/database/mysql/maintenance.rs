//! MySQL and MariaDB: what is left of rows that went, purge, and `optimize table`.

use super::{
    super::{
        Dialect as _, Row,
        maintenance::{ELSEWHERE, MaintenanceStep, Remains, remains},
    },
    Mysql,
};
use crate::{catalog::TableName, rules::After, sql::Statement};
use std::time::Duration;

/// Purge is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Purge removes rows from their pages when no transaction can see them any more; `optimize table` copies the others into
/// a new file. It is written to the binary log, so that replicas do the same.
pub(super) fn steps(after: After, tables: &[TableName]) -> Vec<MaintenanceStep> {
    let statement = Statement::new("show global status like 'Innodb_history_list_length'");
    let mut steps = vec![MaintenanceStep { patience: PATIENCE, ..MaintenanceStep::judged(statement, unpurged) }];
    if after == After::Rewrite {
        for table in tables {
            let statement = Statement::new(format!("optimize table {}", Mysql { mariadb: true }.table(table)));
            steps.push(MaintenanceStep::judged(statement, refused));
        }
    }
    steps
}

fn unpurged(rows: &[Row]) -> Option<String> {
    match rows.first().and_then(|row| row.get(1)?.as_deref()?.parse::<u64>().ok()) {
        Some(0) => None,
        Some(transactions) => {
            Some(format!("purge has {transactions} transactions to go: an older one may still see rows"))
        }
        None => Some("the server does not tell how far its purge is".to_owned()),
    }
}

/// The server answers with messages.
fn refused(rows: &[Row]) -> Option<String> {
    let is_error = |row: &Row| row.get(2).and_then(|kind| kind.as_deref()) == Some("error");
    rows.iter().any(is_error).then(|| "the server could not write the table anew".to_owned())
}

pub(super) fn unlimited(mariadb: bool) -> Statement {
    Statement::new(match mariadb {
        true => "set session max_statement_time = 0",
        false => "set session max_execution_time = 0",
    })
}

const PAGES: Remains = remains(
    "pages of the table",
    "new rows overwrite the space (innodb_immediate_scrub_data_uncompressed overwrites nearly all of it at once)",
);
const UNDO: Remains = remains("undo log and doublewrite buffer (ibdata1, undo files)", "they are overwritten");
const REDO: Remains = remains("redo log (ib_logfile0)", "it is overwritten, round and round");
const BINARY_LOG: Remains =
    remains("binary log, with all columns of each row", "its files expire (binlog_expire_logs_seconds)");
const REPLICAS: Remains = remains("replicas", "they have replayed the same, with logs of their own");

pub(super) fn left(after: Option<After>) -> Vec<Remains> {
    let own: &[Remains] = match after {
        None => &[remains("pages of the table", "purge removes the rows, and new ones overwrite the space")],
        Some(After::Vacuum) => &[PAGES],
        Some(After::Rewrite) => &[],
    };
    own.iter().copied().chain([UNDO, REDO, BINARY_LOG, REPLICAS, ELSEWHERE]).collect()
}
