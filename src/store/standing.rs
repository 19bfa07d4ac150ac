//! How the job stands, as one document: see [`crate::standing`], which knows what it says.

use super::{Error, Store};

impl Store {
    /// The document; `None` before the first plan or run.
    pub(crate) async fn standing(&mut self) -> Result<Option<String>, Error> {
        let row: Option<(String,)> = self.fetch_one("select document from standing where id = 1", vec![]).await?;
        Ok(row.map(|(document,)| document))
    }

    /// Puts a new one in its place, within the open transaction.
    pub(crate) async fn keep_standing(&mut self, document: String) -> Result<(), Error> {
        let sql = "insert into standing (id, document) values (1, $1)
                   on conflict (id) do update set document = excluded.document";
        self.execute(sql, vec![document.into()]).await
    }
}
