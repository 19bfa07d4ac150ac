//! What rules owe to the rows that they disposed of: the cleaning that they ask for afterwards.

use super::{Error, Store};
use crate::catalog::TableName;
use std::collections::{BTreeMap, BTreeSet};

impl Store {
    /// The tables that rules have still to clean up, by rule.
    pub async fn owed_maintenance(&mut self) -> Result<BTreeMap<String, BTreeSet<TableName>>, Error> {
        let rows: Vec<(String, String)> =
            self.fetch("select rule, tables from owed_maintenance order by rule", vec![]).await?;
        let read = |(rule, tables): (String, String)| {
            let tables = serde_json::from_str(&tables);
            let tables = tables.map_err(|_| Error::Damaged(format!("what rule {rule} owes cannot be read")))?;
            Ok((rule, tables))
        };
        rows.into_iter().map(read).collect()
    }

    /// Notes that a rule is about to dispose of rows of these tables.
    pub(crate) async fn owe_maintenance(&mut self, rule: &str, tables: &BTreeSet<TableName>) -> Result<(), Error> {
        self.begin().await?;
        let mut all = self.owed_maintenance().await?.remove(rule).unwrap_or_default();
        all.extend(tables.iter().cloned());
        let text = serde_json::to_string(&all).map_err(|_| Error::Failed("tables cannot be written".to_owned()))?;
        let sql = "insert into owed_maintenance (rule, tables) values ($1, $2)
                   on conflict (rule) do update set tables = excluded.tables";
        self.execute(sql, vec![rule.into(), text.into()]).await?;
        self.commit().await
    }

    /// The rule owes nothing more.
    pub(crate) async fn maintenance_done(&mut self, rule: &str) -> Result<(), Error> {
        self.execute("delete from owed_maintenance where rule = $1", vec![rule.into()]).await
    }
}
