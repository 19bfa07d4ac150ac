//! Rows that processes of one group have changed, for limits that they share.

use super::{Error, Store, unsigned};

impl Store {
    /// Adds rows to what a group has taken under a name, or gives some back, and delivers how many there are then.
    pub(crate) async fn take_rows(&mut self, group: &str, name: &str, rows: i64) -> Result<u64, Error> {
        self.begin().await?;
        let sql = "insert into taken_rows (group_name, name, taken) values ($1, $2, $3)
                   on conflict (group_name, name) do update set taken = taken_rows.taken + excluded.taken
                   returning taken";
        let taken: Option<(i64,)> = self.fetch_one(sql, vec![group.into(), name.into(), rows.into()]).await?;
        self.commit().await?;
        unsigned(taken.map_or(0, |(taken,)| taken).max(0))
    }
}
