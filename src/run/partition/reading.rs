//! Reads all rows of a partition, page by page, and announces them: their tags where these are evidence.

use super::{Desk, Failure, recover};
use crate::{
    catalog::TableName,
    database::{
        Error, ErrorKind,
        partition::{self, Page, PageStatement},
        transactional,
    },
    evidence::tag::{BatchEvidence, BatchTags},
    failpoint,
    ledger::{Event, Intent},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Rows that stand in one place.
pub(super) struct Source {
    /// As it stands after `from`.
    pub text: String,
    /// PostgreSQL: its length in heap blocks.
    pub blocks: Option<u64>,
}

/// What became of the reading.
pub(super) enum Read {
    /// So many rows are announced: all that there are.
    All(u64),
    /// So many rows of some page are not disposable.
    Kept(u64),
}

/// How far a source is read.
enum Place {
    Blocks { next: u64, end: u64, size: u64, most: u64 },
    Keys { after: Option<Vec<String>>, over: bool, size: u64 },
}

/// A page that was read, whose tags may still be in the making.
struct PageRead {
    rows: u64,
    tags: Option<tokio::task::JoinHandle<Result<BatchTags, serde_json::Error>>>,
}

impl Desk<'_> {
    /// Reads the sources, and announces what stands in them as rows of the partition: each page while the next one is
    /// read, so that memory stays flat. The numbers of the intents go to `intents`, also when this fails. Somebody who
    /// waits for one of the `watched` tables has the right of way.
    pub(super) async fn announce(
        &mut self,
        name: &str,
        expected: u64,
        sources: &[Source],
        watched: &[TableName],
        transaction: Option<String>,
        intents: &mut Vec<u64>,
    ) -> Result<Read, Failure> {
        let blocks: u64 = sources.iter().filter_map(|source| source.blocks).sum();
        let template = self.intent(name, transaction);
        let mut rows = 0;
        let mut before: Option<PageRead> = None;
        for source in sources {
            let mut place = self.beginning(source, expected, blocks);
            while let Some(page) = self.next_page(source, &mut place).await? {
                let began = Instant::now();
                let (read, kept) = self.read(source, &page).await?;
                place.took(began.elapsed(), self.around.job.settings.pace.batch_target);
                if kept > 0 {
                    return Ok(Read::Kept(kept));
                }
                rows += read.rows;
                if let Some(before) = before.replace(read) {
                    self.write(&template, before, intents).await?;
                }
                self.check_stop()?;
                self.keep_awake().await?;
                self.let_through(watched).await?;
            }
        }
        if let Some(last) = before {
            self.write(&template, last, intents).await?;
        }
        if !self.work.evidence.is_rows() && rows > 0 {
            let intent = Intent { rows, ..template };
            self.write_intent(intent, &[], intents).await?;
        }
        failpoint::reach("partition_announced");
        Ok(Read::All(rows))
    }

    /// Whoever waits for one of these tables goes first.
    ///
    /// # Errors
    /// Somebody does: what was begun here is to be undone.
    pub(super) async fn let_through(&mut self, tables: &[TableName]) -> Result<(), Failure> {
        if !tables.is_empty() && !self.connection.fetch(&transactional::awaited(tables)).await?.is_empty() {
            return Err(Error::new(ErrorKind::Transient, "others wait for it").into());
        }
        Ok(())
    }

    fn beginning(&self, source: &Source, rows: u64, blocks: u64) -> Place {
        const FIRST: u64 = 64;
        let most = u64::from(self.around.job.settings.pace.batch_rows);
        match source.blocks {
            Some(end) => {
                // tags of a page are held in memory; counts are not
                let most = match self.work.evidence.is_rows() {
                    true => most / (rows.div_ceil(blocks.max(1)) + 1),
                    false => u64::MAX,
                };
                Place::Blocks { next: 0, end, size: FIRST.min(most.max(1)), most: most.max(1) }
            }
            None => Place::Keys { after: None, over: false, size: most },
        }
    }

    async fn next_page(&mut self, source: &Source, place: &mut Place) -> Result<Option<Page>, Failure> {
        Ok(match place {
            Place::Blocks { next, end, size, .. } => {
                let from = *next;
                *next = from.saturating_add(*size).min(*end);
                (from < *end).then_some(Page::Blocks { from, to: *next })
            }
            Place::Keys { over: true, .. } => None,
            Place::Keys { after, over, size } => {
                let boundary = partition::boundary(self.dialect, self.work, &source.text, after.as_deref(), *size);
                let row = self.connection.fetch(&boundary).await?.into_iter().next();
                let through = row.map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>());
                *over = through.is_none();
                let before = std::mem::replace(after, through.clone());
                Some(Page::Keys { after: before, through })
            }
        })
    }

    /// Reads a page: its rows, and how many of them are not disposable.
    async fn read(&mut self, source: &Source, page: &Page) -> Result<(PageRead, u64), Failure> {
        let table = self.step.full_table();
        let key = self.around.tag_key.clone();
        let mut evidence = BatchEvidence::new(table.as_str(), &key);
        match partition::page(self.dialect, self.work, &source.text, page) {
            PageStatement::Counts(statement) => {
                let row = self.connection.fetch(&statement).await?.into_iter().next().unwrap_or_default();
                let (all, disposable) = (number(row.first())?, number(row.get(1))?);
                Ok((PageRead { rows: all, tags: None }, all.saturating_sub(disposable)))
            }
            PageStatement::Packed(statement) => {
                let row = self.connection.fetch(&statement).await?.into_iter().next().unwrap_or_default();
                let all = number(row.get(1))?;
                let packed = row.into_iter().next().flatten().unwrap_or_else(|| "[]".to_owned());
                let keys: Vec<Vec<String>> = serde_json::from_str(&packed).map_err(|_| unreadable())?;
                let disposable = keys.len() as u64;
                let tags = tokio::task::spawn_blocking(move || {
                    keys.iter().for_each(|row| evidence.push(key.tag(&table, row)));
                    Ok(evidence.finish())
                });
                Ok((PageRead { rows: all, tags: Some(tags) }, all.saturating_sub(disposable)))
            }
            PageStatement::Keys(statement) => {
                let (mut all, mut kept) = (0, 0);
                let each = &mut |mut row: Vec<Option<String>>| {
                    let disposable = row.pop().flatten();
                    all += 1;
                    kept += u64::from(disposable.as_deref() != Some("1"));
                    let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
                    evidence.push(key.tag(&table, &row));
                };
                self.connection.stream(&statement, each).await?;
                let tags = tokio::task::spawn_blocking(move || Ok(evidence.finish()));
                Ok((PageRead { rows: all, tags: Some(tags) }, kept))
            }
        }
    }

    /// Announces a page.
    async fn write(&mut self, template: &Intent, page: PageRead, intents: &mut Vec<u64>) -> Result<(), Failure> {
        let Some(tags) = page.tags else { return Ok(()) };
        let tags = tags.await.ok().and_then(Result::ok).ok_or_else(unreadable)?;
        if tags.count == 0 {
            return Ok(());
        }
        let intent = Intent { rows: tags.count, root: hex::encode(tags.root), ..template.clone() };
        self.write_intent(intent, &[tags], intents).await
    }

    async fn write_intent(
        &mut self,
        intent: Intent,
        tags: &[BatchTags],
        intents: &mut Vec<u64>,
    ) -> Result<(), Failure> {
        // the last moment at which a new hold, or a trigger that wants to see each row go, can still keep the rows
        self.check_holds().await?;
        self.schema.look_at_all(self.connection).await?;
        self.partitions.batches += 1;
        let intent = Intent { batch: self.partitions.batches, ..intent };
        intents.extend(self.ledger.append(vec![Event::Intent(intent)], tags).await?);
        Ok(())
    }

    fn intent(&self, name: &str, transaction: Option<String>) -> Intent {
        Intent {
            rule: self.step.rule.clone(),
            table: self.step.full_table(),
            disposition: self.step.disposition.to_string(),
            batch: 0,
            rows: 0,
            dependents: BTreeMap::new(),
            along_with: None,
            partition: Some(name.to_owned()),
            k_anonymity: None,
            evidence: self.work.evidence,
            root: hex::encode(crate::evidence::merkle::Tree::default().root()),
            tag_key: self.around.tag_key.id().to_owned(),
            cluster: transaction.as_ref().and_then(|_| self.cluster.clone()),
            transaction,
            mark: None,
            terms: Some(recover::terms(
                &self.around.tag_key,
                &self.step.full_table(),
                &self.work.key,
                &self.work.change,
                self.work.undone.as_ref(),
            )),
            worker: 0,
        }
    }
}

impl Place {
    /// Grows and shrinks the next page towards the time that a statement should take.
    fn took(&mut self, elapsed: Duration, target: Duration) {
        if let Self::Blocks { size, most, .. } = self {
            if elapsed < target / 2 {
                *size = size.saturating_mul(2).min(*most);
            } else if elapsed > target * 2 {
                *size = (*size / 2).max(1);
            }
        }
    }
}

fn number(text: Option<&Option<String>>) -> Result<u64, Failure> {
    let number = text.and_then(|text| text.as_deref()?.parse().ok());
    number.ok_or_else(|| Failure::from(unreadable()))
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Other, "the server's list of keys cannot be read")
}
