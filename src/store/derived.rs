//! Rows that follow from the ledger's entries: read to be compared with these, and written anew from them.

use super::{Error, Store, signed, unsigned};

/// What the store has noted of one intent, beside its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedIntent {
    pub seq: u64,
    /// The entry that tells how its batch ended.
    pub outcome: Option<u64>,
    /// The table of a batch whose evidence is the number of rows alone.
    pub counted: Option<String>,
    /// The table and the tag key under which its row tags are found.
    pub tags: Option<(String, String)>,
}

/// Number, outcome, table of counts, table and key of the row tags.
type IntentRow = (i64, Option<i64>, Option<String>, Option<String>, Option<String>);

impl Store {
    /// Up to `limit` of the intents after a number, in order.
    pub(crate) async fn intents_after(&mut self, after: u64, limit: u32) -> Result<Vec<NotedIntent>, Error> {
        let sql = "select seq, outcome, counted, table_path, tag_key from intents
                   left join row_tags on intent = seq where seq > $1 order by seq limit $2";
        let rows: Vec<IntentRow> = self.fetch(sql, vec![signed(after)?.into(), i64::from(limit).into()]).await?;
        let read = |(seq, outcome, counted, table, tag_key): IntentRow| {
            let (seq, outcome) = (unsigned(seq)?, outcome.map(unsigned).transpose()?);
            Ok(NotedIntent { seq, outcome, counted, tags: table.zip(tag_key) })
        };
        rows.into_iter().map(read).collect()
    }

    /// Numbers under which there are row tags and no intent.
    pub(crate) async fn tags_of_no_intent(&mut self) -> Result<Vec<u64>, Error> {
        let sql = "select intent from row_tags left join intents on seq = intent where seq is null order by intent";
        let rows: Vec<(i64,)> = self.fetch(sql, vec![]).await?;
        rows.into_iter().map(|(seq,)| unsigned(seq)).collect()
    }

    /// The right edge that is kept with the checkpoint of this size; `None` when there is none.
    pub(crate) async fn edge_at(&mut self, size: u64) -> Result<Option<Vec<u8>>, Error> {
        let row: Option<(Vec<u8>,)> =
            self.fetch_one("select edge from checkpoints where size = $1", vec![signed(size)?.into()]).await?;
        Ok(row.map(|(edge,)| edge))
    }

    /// Takes the intents away, to be written anew.
    pub(crate) async fn forget_intents(&mut self) -> Result<(), Error> {
        self.execute("delete from intents", vec![]).await
    }

    pub(crate) async fn write_tags_place(&mut self, intent: u64, table: &str, tag_key: &str) -> Result<(), Error> {
        let sql = "update row_tags set table_path = $2, tag_key = $3 where intent = $1";
        self.execute(sql, vec![signed(intent)?.into(), table.into(), tag_key.into()]).await
    }

    pub(crate) async fn write_edge(&mut self, size: u64, edge: Vec<u8>) -> Result<(), Error> {
        let sql = "update checkpoints set edge = $2 where size = $1";
        self.execute(sql, vec![signed(size)?.into(), edge.into()]).await
    }

    /// Takes the keys away, to be written anew.
    pub(crate) async fn forget_keys(&mut self) -> Result<(), Error> {
        self.execute("delete from known_keys", vec![]).await
    }
}
