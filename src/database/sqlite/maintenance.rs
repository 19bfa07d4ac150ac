//! SQLite: what is left of rows that went, and the write-ahead log.

use super::super::{
    Row,
    maintenance::{ELSEWHERE, MaintenanceStep, Remains, remains},
};
use crate::{rules::After, sql::Statement};
use std::time::Duration;

/// Others are waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is erased is overwritten in the file (`secure_delete`), but only where the write-ahead log has been brought into it;
/// and what the log held is gone when it is cut to nothing. Copies that writers without `secure_delete` left behind when
/// rows moved between pages are overwritten by nothing but `vacuum`.
pub(super) fn steps(after: After) -> Vec<MaintenanceStep> {
    let first = if after == After::Rewrite { "vacuum" } else { "pragma incremental_vacuum" };
    let statement = Statement::new("pragma wal_checkpoint(truncate)");
    vec![
        MaintenanceStep::new(first),
        MaintenanceStep { patience: PATIENCE, ..MaintenanceStep::judged(statement, busy) },
    ]
}

/// The first number tells that somebody kept it from coming to its end.
fn busy(rows: &[Row]) -> Option<String> {
    let busy = rows.first()?.first()?.as_deref() == Some("1");
    busy.then(|| "another connection is at work, and keeps the write-ahead log".to_owned())
}

pub(super) fn left(after: Option<After>) -> Vec<Remains> {
    const COPIES: Remains = remains(
        "free space of pages, where the application does not set secure_delete",
        "a vacuum writes the file anew",
    );
    let own: &[Remains] = match after {
        None => &[
            remains("write-ahead log (….db-wal), and the file until it is brought there", "a checkpoint truncates it"),
            COPIES,
        ],
        Some(After::Vacuum) => &[COPIES],
        Some(After::Rewrite) => &[],
    };
    let statistics = remains("statistics (sqlite_stat4), where there are any", "the next analyze");
    own.iter().copied().chain([statistics, ELSEWHERE]).collect()
}
