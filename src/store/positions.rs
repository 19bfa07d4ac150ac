//! Where databases stood last.

use super::{Error, Store, signed, unsigned};

/// The entries that tell of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedPosition {
    /// Its name in the settings.
    pub database: String,
    /// Where it stood last.
    pub entry: u64,
    /// The last one in which a person let runs go on after a restore.
    pub restored: Option<u64>,
}

impl Store {
    /// Of each database whose position was noted, in the order of their names.
    pub async fn positions(&mut self) -> Result<Vec<NotedPosition>, Error> {
        let sql = "select database_name, entry, restored from positions order by database_name";
        let rows: Vec<(String, i64, Option<i64>)> = self.fetch(sql, vec![]).await?;
        let read = |(database, entry, restored): (String, i64, Option<i64>)| {
            Ok(NotedPosition { database, entry: unsigned(entry)?, restored: restored.map(unsigned).transpose()? })
        };
        rows.into_iter().map(read).collect()
    }

    /// An entry tells where the database stands; a person has written it, where it is about a restore.
    pub(crate) async fn keep_position(&mut self, database: &str, entry: u64, is_restore: bool) -> Result<(), Error> {
        let sql = match is_restore {
            true => {
                "insert into positions (database_name, entry, restored) values ($1, $2, $2)
                 on conflict (database_name) do update set entry = excluded.entry, restored = excluded.restored"
            }
            false => {
                "insert into positions (database_name, entry) values ($1, $2)
                 on conflict (database_name) do update set entry = excluded.entry"
            }
        };
        self.execute(sql, vec![database.into(), signed(entry)?.into()]).await
    }

    /// Takes the positions away, to be written anew.
    pub(crate) async fn forget_positions(&mut self) -> Result<(), Error> {
        self.execute("delete from positions", vec![]).await
    }
}
