//! Where a MySQL or MariaDB database stands: read from variables and status, which everybody may see.
//!
//! Sources: MariaDB's pages on `server_uid`, `gtid_current_pos` and `Innodb_lsn_flushed`; MySQL's on `server_uuid`,
//! `gtid_executed` and `Innodb_redo_log_flushed_to_disk_lsn` (8.0.30).

use crate::database::{
    Connection, Error, NamedRow,
    position::{self, Position},
};

const VARIABLES: &str = "show global variables where variable_name in \
     ('server_uuid', 'server_uid', 'gtid_executed', 'gtid_current_pos', 'wsrep_on')";

/// What is on disk cannot be lost when the server crashes.
const STATUS: &str = "show global status where variable_name in \
     ('Innodb_lsn_flushed', 'Innodb_redo_log_flushed_to_disk_lsn')";

const STARTED: &str = "show global status where variable_name = 'Uptime'";
const PRESENT: &str = "select unix_timestamp()";

/// A longer list of transactions, with many gaps, is left out.
const LONGEST: usize = 2000;

pub(super) async fn read(connection: &mut dyn Connection) -> Result<Position, Error> {
    let variables = told(connection, VARIABLES).await?;
    let status = told(connection, STATUS).await?;
    // the nodes of a Galera cluster may each count in their own way
    let is_galera = value(&variables, &["wsrep_on"]).is_some_and(|value| value.eq_ignore_ascii_case("on"));
    let transactions = value(&variables, &["gtid_executed", "gtid_current_pos"]).filter(|_| !is_galera);
    let log = value(&status, &["innodb_lsn_flushed", "innodb_redo_log_flushed_to_disk_lsn"]);
    let uptime = value(&told(connection, STARTED).await?, &["uptime"]);
    let present = told(connection, PRESENT).await?.into_iter().flatten().find_map(|(_, value)| value);
    let seconds = |text: Option<String>| text.and_then(|text| position::number(&text));
    Ok(Position {
        server: value(&variables, &["server_uuid", "server_uid"]),
        log: log.and_then(|log| position::number(&log)),
        transactions: transactions.filter(|text| text.len() <= LONGEST),
        started: seconds(present).zip(seconds(uptime)).and_then(|(present, uptime)| present.checked_sub(uptime)),
        ..Position::default()
    })
}

async fn told(connection: &mut dyn Connection, sql: &str) -> Result<Vec<NamedRow>, Error> {
    match connection.named(sql).await {
        Err(error) if position::is_silence(&error) => Ok(Vec::new()),
        told => told,
    }
}

/// The value of one of these variables, where it is not empty.
fn value(rows: &[NamedRow], names: &[&str]) -> Option<String> {
    rows.iter().find_map(|row| match row.as_slice() {
        [(_, Some(name)), (_, Some(value))] if names.contains(&name.to_lowercase().as_str()) && !value.is_empty() => {
            Some(value.clone())
        }
        _ => None,
    })
}
