//! Where a PostgreSQL database stands. `pg_control_system` may be revoked; what is left then is unknown.

use super::dialect::database_identity;
use crate::{
    database::{
        Connection, Error,
        position::{self, Position},
    },
    sql::Statement,
};

const NUMBER: &str = "select oid::text from pg_database where datname = current_database()";

/// The timeline stands in the name of the log's file. What is on disk cannot be lost when the server crashes. A standby has
/// no log of its own.
const LOG: &str = "select ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint::text, \
     (pg_current_wal_flush_lsn() - '0/0')::text where not pg_is_in_recovery()";

const STARTED: &str = "select extract(epoch from pg_postmaster_start_time())::bigint::text";

pub(super) async fn read(connection: &mut dyn Connection) -> Result<Position, Error> {
    let mut first = [None, None];
    for (found, sql) in first.iter_mut().zip([NUMBER, STARTED]) {
        *found = position::told(connection, &Statement::new(sql)).await?.into_iter().next().flatten();
    }
    let [number, started] = first;
    let identity = position::told(connection, &database_identity()).await?.into_iter().next().flatten();
    let cluster = identity.and_then(|identity| Some(identity.split_once('/')?.0.to_owned()));
    let mut log = position::told(connection, &Statement::new(LOG))
        .await?
        .into_iter()
        .map(|text| text.and_then(|text| position::number(&text)));
    Ok(Position {
        cluster,
        number,
        timeline: log.next().flatten(),
        log: log.next().flatten(),
        started: started.and_then(|text| position::number(&text)),
        ..Position::default()
    })
}
