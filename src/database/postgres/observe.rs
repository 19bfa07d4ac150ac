//! What a PostgreSQL server says of replicas, vacuums and backups.
//!
//! Sources: the manual's chapters on monitoring (`pg_stat_replication`, `pg_stat_progress_vacuum`,
//! `pg_stat_progress_basebackup`) and on recovery control functions.

use crate::{
    catalog::TableName,
    database::{
        Connection, Error, ErrorKind, Row,
        observe::{self, Observer, Replication},
    },
    settings::Activity,
    sql::{Statement, Value},
};
use async_trait::async_trait;
use std::{collections::BTreeSet, time::Duration};

pub(super) struct PostgresObserver(pub Box<dyn Connection>);

const POSITION: &str = "select (pg_current_wal_lsn() - '0/0')::text";

/// The functions fail on a server that is no replica, so each is asked there alone.
const REPLICATION: &str = "select case when pg_is_in_recovery() \
     then coalesce((pg_last_wal_replay_lsn() - '0/0')::text, '0') end, \
     (extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint::text, \
     case when pg_is_in_recovery() then pg_is_wal_replay_paused()::text end";

const STANDBY: &str = "select (replay_lsn - '0/0')::text, (extract(epoch from replay_lag) * 1000)::bigint::text \
     from pg_stat_replication where application_name = $1 order by replay_lsn";

/// A vacuum of a table's overflow storage is one of the table.
const VACUUMS: &str = "select distinct quote_ident(wanted.schema) || '.' || quote_ident(wanted.name), vacuum.phase \
     from pg_stat_progress_vacuum vacuum \
     join pg_class class on vacuum.relid in (class.oid, class.reltoastrelid) \
     join pg_namespace namespace on namespace.oid = class.relnamespace \
     join unnest($1::text[], $2::text[]) wanted (schema, name) \
     on wanted.schema = namespace.nspname and wanted.name = class.relname \
     where vacuum.datname = current_database() order by 1";

const BACKUPS: &str = "select coalesce(phase, 'under way') from pg_stat_progress_basebackup order by pid";

const SEES_ALL: &str = "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')::text";

fn milliseconds(text: &str) -> Option<Duration> {
    // a clock that runs ahead makes it negative
    text.parse::<i64>().ok().map(|milliseconds| Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)))
}

fn cell(row: &Row, index: usize) -> Option<&str> {
    row.get(index)?.as_deref()
}

#[async_trait]
impl Observer for PostgresObserver {
    async fn number(&mut self, query: &str) -> Result<f64, Error> {
        observe::number(self.0.as_mut(), query).await
    }

    async fn position(&mut self) -> Result<Option<u64>, Error> {
        let rows = self.0.fetch(&Statement::new(POSITION)).await?;
        Ok(rows.first().and_then(|row| cell(row, 0)?.parse().ok()))
    }

    async fn replication(&mut self) -> Result<Option<Replication>, Error> {
        let rows = self.0.fetch(&Statement::new(REPLICATION)).await?;
        Ok(rows.first().and_then(|row| {
            Some(Replication {
                position: Some(cell(row, 0)?.parse().ok()?),
                behind: cell(row, 1).and_then(milliseconds),
                stopped: (cell(row, 2) == Some("true")).then(|| "its replay is paused".to_owned()),
            })
        }))
    }

    async fn standby(&mut self, name: &str) -> Result<Option<Replication>, Error> {
        let rows =
            self.0.fetch(&Statement { sql: STANDBY.to_owned(), args: vec![Value::Text(name.to_owned())] }).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(position) = cell(row, 0).and_then(|position| position.parse().ok()) else {
            let message = "pg_stat_replication shows nothing of the standby: grant the user pg_read_all_stats";
            return Err(Error::new(ErrorKind::Privilege, message));
        };
        let behind = cell(row, 1).and_then(milliseconds);
        Ok(Some(Replication { position: Some(position), behind, stopped: None }))
    }

    async fn vacuums(&mut self, tables: &[TableName]) -> Result<Vec<String>, Error> {
        let column = |part: fn(&TableName) -> &String| {
            Value::Texts(tables.iter().map(|table| Some(part(table).clone())).collect())
        };
        let args = vec![column(|table| &table.schema), column(|table| &table.name)];
        let rows = self.0.fetch(&Statement { sql: VACUUMS.to_owned(), args }).await?;
        let words = |row: &Row| Some(format!("a vacuum of {} is under way ({})", cell(row, 0)?, cell(row, 1)?));
        Ok(rows.iter().filter_map(words).collect())
    }

    async fn backups(&mut self) -> Result<Vec<String>, Error> {
        let rows = self.0.fetch(&Statement::new(BACKUPS)).await?;
        Ok(rows.iter().filter_map(|row| Some(format!("a base backup is running ({})", cell(row, 0)?))).collect())
    }

    async fn blind_spots(&mut self, activities: &BTreeSet<Activity>) -> Result<Vec<String>, Error> {
        if !activities.contains(&Activity::Vacuum) {
            return Ok(Vec::new());
        }
        let rows = self.0.fetch(&Statement::new(SEES_ALL)).await?;
        Ok(match rows.first().and_then(|row| cell(row, 0)) {
            Some("true") => Vec::new(),
            _ => vec!["the user cannot see vacuums: grant it pg_read_all_stats".to_owned()],
        })
    }
}
