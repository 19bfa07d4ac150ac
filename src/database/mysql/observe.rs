//! What a MariaDB or MySQL server says of itself as a replica, and of backups.
//!
//! Sources: MariaDB's pages on `SHOW ALL REPLICAS STATUS`, `BACKUP STAGE` and `METADATA_LOCK_INFO`; MySQL's on `SHOW
//! REPLICA STATUS`, `LOCK INSTANCE FOR BACKUP` and `performance_schema.metadata_locks`.

use crate::{
    catalog::TableName,
    database::{
        Connection, Error, ErrorKind, NamedRow, observe,
        observe::{Observer, Replication, column},
    },
    settings::Activity,
};
use async_trait::async_trait;
use std::{collections::BTreeSet, time::Duration};

pub(super) struct MysqlObserver {
    pub connection: Box<dyn Connection>,
    pub mariadb: bool,
}

/// A server may have several primaries; MySQL's newer word is tried before its older one.
const REPLICATION_OF_MARIADB: &str = "show all slaves status";
const REPLICATION_OF_MYSQL: [&str; 2] = ["show replica status", "show slave status"];

/// `mysqldump` and `mariadb-dump` mark their reading like this.
const DUMPS: &str = "select count(*) from information_schema.processlist \
     where id <> connection_id() and info like 'SELECT /*!40001 SQL\\_NO\\_CACHE */%'";

/// Statements that write may take locks of this sort, so only those count that a backup takes. MariaDB shows its first
/// stage as `BACKUP_BLOCK_DDL`.
const BACKUP_LOCKS: &str = "select count(*) from performance_schema.metadata_locks where lock_status = 'GRANTED' \
     and (object_type = 'BACKUP' and lock_type in ('BACKUP_START', 'BACKUP_BLOCK_DDL', 'BACKUP_FLUSH', \
     'BACKUP_WAIT_FLUSH', 'BACKUP_WAIT_DDL', 'BACKUP_WAIT_COMMIT', 'BACKUP_FTWRL1', 'BACKUP_FTWRL2') \
     or object_type = 'BACKUP LOCK' and lock_type = 'SHARED')";

const BACKUP_LOCKS_OF_THE_PLUGIN: &str = "select count(*) from information_schema.metadata_lock_info \
     where lock_mode in ('MDL_BACKUP_START', 'MDL_BACKUP_FLUSH', 'MDL_BACKUP_WAIT_FLUSH', 'MDL_BACKUP_WAIT_DDL', \
     'MDL_BACKUP_WAIT_COMMIT', 'MDL_BACKUP_FTWRL1', 'MDL_BACKUP_FTWRL2')";

const SEES_LOCKS: &str = "select count(*) from performance_schema.setup_instruments \
     where name = 'wait/lock/metadata/sql/mdl' and enabled = 'YES'";
const HAS_PLUGIN: &str = "select count(*) from information_schema.plugins \
     where plugin_name = 'METADATA_LOCK_INFO' and plugin_status = 'ACTIVE'";

/// Of this user alone: everybody sees their own privileges.
const SEES_OTHERS: &str = "select count(*) from information_schema.user_privileges where privilege_type = 'PROCESS'";

impl MysqlObserver {
    async fn status(&mut self) -> Result<Vec<NamedRow>, Error> {
        if self.mariadb {
            return self.connection.named(REPLICATION_OF_MARIADB).await;
        }
        let [newer, older] = REPLICATION_OF_MYSQL;
        match self.connection.named(newer).await {
            // only a server that does not know the word gets to hear the other
            Err(error) if error.message.starts_with("syntax error") => self.connection.named(older).await,
            status => status,
        }
    }

    async fn count(&mut self, sql: &str) -> Result<f64, Error> {
        observe::number(self.connection.as_mut(), sql).await
    }

    /// Whether somebody holds a backup's lock; `None` where this user cannot see it.
    async fn locked(&mut self) -> Result<Option<bool>, Error> {
        for (is_there, locks) in [(SEES_LOCKS, BACKUP_LOCKS), (HAS_PLUGIN, BACKUP_LOCKS_OF_THE_PLUGIN)] {
            let locked = match self.count(is_there).await {
                Ok(number) if number > 0.0 => self.count(locks).await.map(|locks| Some(locks > 0.0)),
                other => other.map(|_| None),
            };
            match locked {
                Ok(Some(locked)) => return Ok(Some(locked)),
                Ok(None) => {}
                Err(error) if error.kind == ErrorKind::Privilege => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// A replica that does not receive, or does not apply, is behind without bound, whatever it says of seconds.
fn replication(rows: &[NamedRow]) -> Option<Replication> {
    let mut all = Replication { behind: Some(Duration::ZERO), ..Replication::default() };
    for row in rows {
        let thread = |names: &[&str], words: &str, error: &[&str]| {
            let running = column(row, names).unwrap_or("No");
            // the number alone: the server's own words may quote rows
            let error = column(row, error).filter(|number| *number != "0");
            let error = error.map(|number| format!(", error {number}")).unwrap_or_default();
            (running != "Yes").then(|| format!("its {words} thread is not running{error}"))
        };
        let stopped = thread(&["Slave_SQL_Running", "Replica_SQL_Running"], "SQL", &["Last_SQL_Errno"])
            .or_else(|| thread(&["Slave_IO_Running", "Replica_IO_Running"], "I/O", &["Last_IO_Errno"]));
        let seconds =
            column(row, &["Seconds_Behind_Master", "Seconds_Behind_Source"]).and_then(|text| text.parse().ok());
        all.stopped = all.stopped.or(stopped);
        all.behind = all.behind.zip(seconds.map(Duration::from_secs)).map(|(a, b)| a.max(b));
    }
    (!rows.is_empty()).then_some(all)
}

#[async_trait]
impl Observer for MysqlObserver {
    async fn number(&mut self, query: &str) -> Result<f64, Error> {
        self.count(query).await
    }

    async fn position(&mut self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    async fn replication(&mut self) -> Result<Option<Replication>, Error> {
        Ok(replication(&self.status().await?))
    }

    async fn standby(&mut self, _: &str) -> Result<Option<Replication>, Error> {
        Ok(None)
    }

    async fn vacuums(&mut self, _: &[TableName]) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    async fn backups(&mut self) -> Result<Vec<String>, Error> {
        let mut backups = Vec::new();
        if self.count(DUMPS).await? > 0.0 {
            backups.push("a dump is running".to_owned());
        }
        if self.locked().await? == Some(true) {
            backups.push("a backup holds its lock".to_owned());
        }
        Ok(backups)
    }

    async fn blind_spots(&mut self, activities: &BTreeSet<Activity>) -> Result<Vec<String>, Error> {
        let mut spots = Vec::new();
        if activities.contains(&Activity::Backup) {
            if self.count(SEES_OTHERS).await? == 0.0 {
                spots.push("the user cannot see dumps: grant it PROCESS".to_owned());
            }
            if self.locked().await?.is_none() {
                let plugin = if self.mariadb { "install the plugin metadata_lock_info, or " } else { "" };
                spots.push(format!(
                    "the server does not show this user the locks of backups: {plugin}enable the instrument \
                     wait/lock/metadata/sql/mdl of performance_schema and grant SELECT there"
                ));
            }
        }
        Ok(spots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(io: &str, sql: &str, seconds: Option<&str>) -> NamedRow {
        let cell = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        vec![
            cell("Slave_IO_Running", Some(io)),
            cell("Slave_SQL_Running", Some(sql)),
            cell("Last_SQL_Errno", Some(if sql == "Yes" { "0" } else { "1062" })),
            cell("Seconds_Behind_Master", seconds),
        ]
    }

    #[test]
    fn a_stopped_thread_goes_over_the_seconds() {
        let lag = |rows: &[NamedRow]| replication(rows).map(|all| (all.behind.map(|b| b.as_secs()), all.stopped));
        assert_eq!(lag(&[]), None);
        assert_eq!(lag(&[row("Yes", "Yes", Some("7"))]), Some((Some(7), None)));
        assert_eq!(
            lag(&[row("Yes", "No", None)]),
            Some((None, Some("its SQL thread is not running, error 1062".to_owned())))
        );
        // MySQL goes on showing 0 there when nothing is left of what it received
        assert_eq!(
            lag(&[row("Connecting", "Yes", Some("0"))]),
            Some((Some(0), Some("its I/O thread is not running".to_owned())))
        );
        // of several primaries, the worst
        assert_eq!(lag(&[row("Yes", "Yes", Some("7")), row("Yes", "Yes", Some("70"))]), Some((Some(70), None)));
        assert_eq!(lag(&[row("Yes", "Yes", Some("7")), row("Yes", "Yes", None)]), Some((None, None)));
    }
}
