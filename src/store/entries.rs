//! Ledger entries, the state of intents, row tags and checkpoints, as rows.

use super::{Error, Store, connection::Connection, signed, unsigned};

/// The sorted row tags of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTags {
    /// The number of the intent that announced the batch.
    pub intent: u64,
    /// The id of the key that the tags were made with.
    pub tag_key: String,
    /// 16 bytes each.
    pub tags: Vec<u8>,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many entries it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// The tree's right edge at that size: 32 bytes for each set bit of `size`, largest subtree first.
    pub edge: Vec<u8>,
}

impl Store {
    /// The newest entry's number and line.
    pub async fn last_entry(&mut self) -> Result<Option<(u64, String)>, Error> {
        let row: Option<(i64, String)> =
            self.fetch_one("select seq, line from entries order by seq desc limit 1", vec![]).await?;
        row.map(|(seq, line)| Ok((unsigned(seq)?, line))).transpose()
    }

    /// Up to `limit` entries after number `after`, in order.
    pub async fn entries_after(&mut self, after: u64, limit: u32) -> Result<Vec<(u64, String)>, Error> {
        let sql = "select seq, line from entries where seq > $1 order by seq limit $2";
        let rows: Vec<(i64, String)> = self.fetch(sql, vec![signed(after)?.into(), i64::from(limit).into()]).await?;
        rows.into_iter().map(|(seq, line)| Ok((unsigned(seq)?, line))).collect()
    }

    /// One entry's line.
    pub async fn entry(&mut self, seq: u64) -> Result<Option<String>, Error> {
        let row: Option<(String,)> =
            self.fetch_one("select line from entries where seq = $1", vec![signed(seq)?.into()]).await?;
        Ok(row.map(|(line,)| line))
    }

    pub(crate) async fn add_entry(&mut self, seq: u64, line: &str) -> Result<(), Error> {
        self.execute("insert into entries (seq, line) values ($1, $2)", vec![signed(seq)?.into(), line.into()]).await
    }

    /// A run that belongs to a group, by the number of its first entry.
    pub(crate) async fn add_grouped_run(&mut self, group: &str, run: &str, seq: u64) -> Result<(), Error> {
        let sql = "insert into grouped_runs (run, group_name, seq) values ($1, $2, $3)";
        self.execute(sql, vec![run.into(), group.into(), signed(seq)?.into()]).await
    }

    /// The runs of a group, each with the number of its first entry.
    pub async fn grouped_runs(&mut self, group: &str) -> Result<Vec<(String, u64)>, Error> {
        let sql = "select run, seq from grouped_runs where group_name = $1 order by seq";
        let rows: Vec<(String, i64)> = self.fetch(sql, vec![group.into()]).await?;
        rows.into_iter().map(|(run, seq)| Ok((run, unsigned(seq)?))).collect()
    }

    /// `counted` is the table of a batch whose evidence is the number of its rows alone.
    pub(crate) async fn add_intent(&mut self, seq: u64, counted: Option<String>) -> Result<(), Error> {
        let sql = "insert into intents (seq, counted) values ($1, $2)";
        self.execute(sql, vec![signed(seq)?.into(), counted.into()]).await
    }

    /// Notes how a batch ended; false when there is no such intent or it has ended already.
    pub(crate) async fn settle_intent(&mut self, intent: u64, outcome: u64) -> Result<bool, Error> {
        let sql = "update intents set outcome = $2 where seq = $1 and outcome is null returning seq";
        let row: Option<(i64,)> = self.fetch_one(sql, vec![signed(intent)?.into(), signed(outcome)?.into()]).await?;
        Ok(row.is_some())
    }

    /// Numbers of the intents without outcome, in order.
    pub async fn open_intents(&mut self) -> Result<Vec<u64>, Error> {
        let rows: Vec<(i64,)> =
            self.fetch("select seq from intents where outcome is null order by seq", vec![]).await?;
        rows.into_iter().map(|(seq,)| unsigned(seq)).collect()
    }

    /// Numbers of the intents that had no outcome when the ledger had `size` entries, in order.
    pub async fn open_intents_at(&mut self, size: u64) -> Result<Vec<u64>, Error> {
        let sql = "select seq from intents where seq <= $1 and (outcome is null or outcome > $1) order by seq";
        let rows: Vec<(i64,)> = self.fetch(sql, vec![signed(size)?.into()]).await?;
        rows.into_iter().map(|(seq,)| unsigned(seq)).collect()
    }

    /// Batches that were settled by an entry after this one, in the order of these entries: its number, the intent's, and the
    /// intent's line.
    pub async fn settled_after(&mut self, after: u64, most: u32) -> Result<Vec<(u64, u64, String)>, Error> {
        let sql = "select i.outcome, i.seq, e.line from intents i join entries e on e.seq = i.seq where i.outcome > $1 \
                   order by i.outcome limit $2";
        let rows: Vec<(i64, i64, String)> =
            self.fetch(sql, vec![signed(after)?.into(), i64::from(most).into()]).await?;
        rows.into_iter().map(|(outcome, seq, line)| Ok((unsigned(outcome)?, unsigned(seq)?, line))).collect()
    }

    /// The number of the entry that tells how the batch of this intent ended.
    pub async fn outcome_of(&mut self, intent: u64) -> Result<Option<u64>, Error> {
        let row: Option<(Option<i64>,)> =
            self.fetch_one("select outcome from intents where seq = $1", vec![signed(intent)?.into()]).await?;
        row.and_then(|(outcome,)| outcome).map(unsigned).transpose()
    }

    pub(crate) async fn add_tags(
        &mut self,
        intent: u64,
        table: &str,
        tag_key: &str,
        tags: Vec<u8>,
    ) -> Result<(), Error> {
        let sql = "insert into row_tags (intent, table_path, tag_key, tags) values ($1, $2, $3, $4)";
        self.execute(sql, vec![signed(intent)?.into(), table.into(), tag_key.into(), tags.into()]).await
    }

    /// The row tags of one batch.
    pub async fn tags(&mut self, intent: u64) -> Result<Option<StoredTags>, Error> {
        let row: Option<(String, Vec<u8>)> = self
            .fetch_one("select tag_key, tags from row_tags where intent = $1", vec![signed(intent)?.into()])
            .await?;
        Ok(row.map(|(tag_key, tags)| StoredTags { intent, tag_key, tags }))
    }

    /// The row tags of the next batch on `table` after an intent, and the line that tells how it ended.
    pub async fn tags_after(
        &mut self,
        table: &str,
        intent: u64,
    ) -> Result<Option<(StoredTags, Option<String>)>, Error> {
        let sql = "select row_tags.intent, tag_key, tags, ended.line from row_tags
                   left join intents on intents.seq = row_tags.intent
                   left join entries ended on ended.seq = intents.outcome
                   where table_path = $1 and row_tags.intent > $2 order by row_tags.intent limit 1";
        let row: Option<(i64, String, Vec<u8>, Option<String>)> =
            self.fetch_one(sql, vec![table.into(), signed(intent)?.into()]).await?;
        row.map(|(intent, tag_key, tags, line)| Ok((StoredTags { intent: unsigned(intent)?, tag_key, tags }, line)))
            .transpose()
    }

    /// The row tags of the batch on `table` before an intent.
    pub async fn tags_before(&mut self, table: &str, intent: u64) -> Result<Option<StoredTags>, Error> {
        let sql = "select intent, tag_key, tags from row_tags where table_path = $1 and intent < $2
                   order by intent desc limit 1";
        let row: Option<(i64, String, Vec<u8>)> =
            self.fetch_one(sql, vec![table.into(), signed(intent)?.into()]).await?;
        row.map(|(intent, tag_key, tags)| Ok(StoredTags { intent: unsigned(intent)?, tag_key, tags })).transpose()
    }

    /// Tags that are kept until it is known how their batch ended.
    pub(crate) async fn add_open_tags(&mut self, intent: u64, tag_key: &str, tags: Vec<u8>) -> Result<(), Error> {
        let sql = "insert into open_tags (intent, tag_key, tags) values ($1, $2, $3)";
        self.execute(sql, vec![signed(intent)?.into(), tag_key.into(), tags.into()]).await
    }

    /// The open tags of one batch.
    pub async fn open_tags(&mut self, intent: u64) -> Result<Option<StoredTags>, Error> {
        let sql = "select tag_key, tags from open_tags where intent = $1";
        let row: Option<(String, Vec<u8>)> = self.fetch_one(sql, vec![signed(intent)?.into()]).await?;
        Ok(row.map(|(tag_key, tags)| StoredTags { intent, tag_key, tags }))
    }

    /// Removes the tags of batches whose end is known.
    pub(crate) async fn forget_settled_tags(&mut self) -> Result<(), Error> {
        // asked for each row that is kept, of which there are few: the intents are many
        let sql = "delete from open_tags where (select outcome from intents where seq = intent) is not null";
        self.execute(sql, vec![]).await
    }

    /// Tags that should have been forgotten: the number of batches that have an outcome and still have some.
    pub async fn stale_tags(&mut self) -> Result<u64, Error> {
        let sql = "select count(*) from open_tags join intents on seq = intent where outcome is not null";
        let (count,): (i64,) = self.fetch_one(sql, vec![]).await?.unwrap_or_default();
        unsigned(count)
    }

    /// Batches on `table` whose evidence is the number of rows alone, in order: the intents after number `after`, and
    /// the outcomes, as lines.
    pub async fn counted_batches(
        &mut self,
        table: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, String, Option<String>)>, Error> {
        let sql = "select intents.seq, announced.line, ended.line from intents
                   join entries announced on announced.seq = intents.seq
                   left join entries ended on ended.seq = intents.outcome
                   where counted = $1 and intents.seq > $2 order by intents.seq limit $3";
        let arguments = vec![table.into(), signed(after)?.into(), i64::from(limit).into()];
        let rows: Vec<(i64, String, Option<String>)> = self.fetch(sql, arguments).await?;
        rows.into_iter().map(|(seq, intent, outcome)| Ok((unsigned(seq)?, intent, outcome))).collect()
    }

    /// The tables that batches were about, as far as row tags or the words that there are none tell, as
    /// `database.schema.table`.
    pub async fn tagged_tables(&mut self) -> Result<Vec<String>, Error> {
        let sql =
            "select table_path from row_tags union select counted from intents where counted is not null order by 1";
        let rows: Vec<(String,)> = self.fetch(sql, vec![]).await?;
        Ok(rows.into_iter().map(|(table,)| table).collect())
    }

    /// Intents of batches on `table` whose tags hold these bytes, in order. Searched by the server, batch by batch. The
    /// bytes may be found across two tags: the caller looks again.
    pub async fn batches_with(&mut self, table: &str, tag_key: &str, tag: &[u8]) -> Result<Vec<u64>, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "select intent from row_tags where table_path = $1 and tag_key = $2 and instr(tags, $3) > 0
                 order by intent"
            }
            Connection::Postgres(_) => {
                "select intent from row_tags where table_path = $1 and tag_key = $2 and position($3 in tags) > 0
                 order by intent"
            }
        };
        let rows: Vec<(i64,)> = self.fetch(sql, vec![table.into(), tag_key.into(), tag.to_vec().into()]).await?;
        rows.into_iter().map(|(seq,)| unsigned(seq)).collect()
    }

    /// The newest checkpoint.
    pub async fn last_checkpoint(&mut self) -> Result<Option<StoredCheckpoint>, Error> {
        let sql = "select size, note, edge from checkpoints order by size desc limit 1";
        let row: Option<(i64, String, Vec<u8>)> = self.fetch_one(sql, vec![]).await?;
        row.map(|(size, note, edge)| Ok(StoredCheckpoint { size: unsigned(size)?, note, edge })).transpose()
    }

    /// The oldest checkpoint that covers more than `size` entries: its size and note.
    pub async fn checkpoint_after(&mut self, size: u64) -> Result<Option<(u64, String)>, Error> {
        let sql = "select size, note from checkpoints where size > $1 order by size limit 1";
        let row: Option<(i64, String)> = self.fetch_one(sql, vec![signed(size)?.into()]).await?;
        row.map(|(size, note)| Ok((unsigned(size)?, note))).transpose()
    }

    pub(crate) async fn add_checkpoint(&mut self, checkpoint: &StoredCheckpoint) -> Result<(), Error> {
        let sql = "insert into checkpoints (size, note, edge) values ($1, $2, $3)";
        let StoredCheckpoint { size, note, edge } = checkpoint;
        self.execute(sql, vec![signed(*size)?.into(), note.as_str().into(), edge.clone().into()]).await
    }
}
