//! What recipients have answered: what is settled is not asked again, what is accepted is polled.
//!
//! Persons are tags; no identifier is kept here.

use super::{Connection, Error, Store, unsigned};
use crate::{
    ledger::tag::Tag,
    recipients::{Answer, Grade, State},
};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

/// What is known about one person at one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub tag: Tag,
    /// `delete`, or another word for what was asked.
    pub operation: String,
    /// As [`State::word`] has it.
    pub state: String,
    pub grade: Option<Grade>,
    pub request_id: Option<String>,
    /// What to poll with.
    pub ticket: Option<String>,
    pub poll_after: Option<Timestamp>,
    /// Seconds are kept.
    pub first_asked_at: Timestamp,
    /// When it came to its end; none while it has not.
    pub settled_at: Option<Timestamp>,
}

impl Remembered {
    /// What an answer that came `at` leaves behind. Whatever is done or cannot be done is settled.
    pub fn new(tag: Tag, operation: &str, answer: &Answer, at: Timestamp) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let poll = if let State::Accepted { poll } = &answer.state { Some(poll) } else { None };
        let settled = matches!(answer.state, State::Confirmed | State::Gone | State::NotPossible { .. });
        let after = |poll: &crate::recipients::Poll| {
            let seconds = i64::try_from(poll.again_after.as_secs()).unwrap_or(i64::MAX);
            Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
        };
        Self {
            tag,
            operation: operation.to_owned(),
            state: answer.state.word().to_owned(),
            grade: answer.grade,
            request_id: answer.request_id.clone(),
            ticket: poll.map(|poll| poll.ticket.clone()),
            poll_after: poll.map(after),
            first_asked_at: at,
            settled_at: settled.then_some(at),
        }
    }
}

/// How long an answer serves further rows of a person after the first has gone, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Accepted work that can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub ticket: String,
    /// The persons that it is about.
    pub tags: Vec<Tag>,
}

/// How many persons of a recipient are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientCount {
    pub recipient: String,
    pub state: String,
    pub persons: u64,
    /// When the first of them was first asked about.
    pub oldest: Timestamp,
}

type Row = (String, String, String, Option<String>, Option<String>, Option<String>, Option<i64>, i64, Option<i64>);

impl Store {
    /// What is known of these persons, as far as it still counts: of those whose row has gone since only when that was
    /// less than a day before `now`, for other rows of the same person. Those that nobody asked about are not there.
    pub async fn remembered(
        &mut self,
        recipient: &str,
        tags: &[Tag],
        now: Timestamp,
    ) -> Result<BTreeMap<Tag, Remembered>, Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "select tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at
                 from recipient_answers where recipient = $1 and tag in (select value from json_each($2)) and coalesce(used_at, $3) >= $3"
            }
            Connection::Postgres(_) => {
                "select tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at
                 from recipient_answers where recipient = $1
                 and tag in (select value from json_array_elements_text(cast($2 as json)))
                 and coalesce(used_at, $3) >= $3"
            }
        };
        let list = json!(tags.iter().map(hex::encode).collect::<Vec<_>>()).to_string();
        let rows: Vec<Row> =
            self.fetch(sql, vec![recipient.into(), list.into(), (now.as_second() - DAY).into()]).await?;
        rows.into_iter().map(|row| read(row).map(|known| (known.tag, known))).collect()
    }

    /// The same, those alone that came to their end.
    pub async fn settled(
        &mut self,
        recipient: &str,
        tags: &[Tag],
        now: Timestamp,
    ) -> Result<BTreeMap<Tag, Remembered>, Error> {
        let mut known = self.remembered(recipient, tags, now).await?;
        known.retain(|_, known| known.settled_at.is_some());
        Ok(known)
    }

    /// Keeps what was answered, in one statement: all of it or nothing. When a person was first asked about stays; what is
    /// settled stays settled.
    pub async fn remember(&mut self, recipient: &str, batch: &[Remembered]) -> Result<(), Error> {
        // One statement cannot change a row twice.
        let once: BTreeMap<_, _> = batch.iter().map(|known| (known.tag, known)).collect();
        let rows = once.values().map(|known| {
            json!({
                "tag": hex::encode(known.tag),
                "operation": known.operation,
                "state": known.state,
                "grade": known.grade,
                "request_id": known.request_id,
                "ticket": known.ticket,
                "poll_after": known.poll_after.map(Timestamp::as_second),
                "first_asked_at": known.first_asked_at.as_second(),
                "settled_at": known.settled_at.map(Timestamp::as_second),
            })
        });
        let rows = serde_json::Value::from_iter(rows).to_string();
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "insert into recipient_answers (recipient, tag, operation, state, grade, request_id, ticket, poll_after,
                     first_asked_at, settled_at)
                 select $1, value ->> 'tag', value ->> 'operation', value ->> 'state', value ->> 'grade',
                     value ->> 'request_id', value ->> 'ticket', value ->> 'poll_after', value ->> 'first_asked_at',
                     value ->> 'settled_at'
                 from json_each($2) where true
                 on conflict (recipient, tag) do update set operation = excluded.operation, state = excluded.state,
                     grade = excluded.grade, request_id = excluded.request_id, ticket = excluded.ticket,
                     poll_after = excluded.poll_after, settled_at = excluded.settled_at,
                     first_asked_at = case when recipient_answers.used_at is null
                         then recipient_answers.first_asked_at else excluded.first_asked_at end,
                     used_at = null
                 where recipient_answers.settled_at is null or recipient_answers.used_at is not null"
            }
            Connection::Postgres(_) => {
                "insert into recipient_answers (recipient, tag, operation, state, grade, request_id, ticket, poll_after,
                     first_asked_at, settled_at)
                 select $1, tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at
                 from json_to_recordset(cast($2 as json)) as answers (tag text, operation text, state text, grade text,
                     request_id text, ticket text, poll_after bigint, first_asked_at bigint, settled_at bigint)
                 on conflict (recipient, tag) do update set operation = excluded.operation, state = excluded.state,
                     grade = excluded.grade, request_id = excluded.request_id, ticket = excluded.ticket,
                     poll_after = excluded.poll_after, settled_at = excluded.settled_at,
                     first_asked_at = case when recipient_answers.used_at is null
                         then recipient_answers.first_asked_at else excluded.first_asked_at end,
                     used_at = null
                 where recipient_answers.settled_at is null or recipient_answers.used_at is not null"
            }
        };
        self.execute(sql, vec![recipient.into(), rows.into()]).await
    }

    /// The rows that these persons were asked about have gone.
    pub async fn use_up(&mut self, recipient: &str, tags: &[Tag], now: Timestamp) -> Result<(), Error> {
        let sql = match self.connection {
            Connection::Sqlite(_) => {
                "update recipient_answers set used_at = $3
                 where recipient = $1 and tag in (select value from json_each($2))"
            }
            Connection::Postgres(_) => {
                "update recipient_answers set used_at = $3
                 where recipient = $1 and tag in (select value from json_array_elements_text(cast($2 as json)))"
            }
        };
        let list = json!(tags.iter().map(hex::encode).collect::<Vec<_>>()).to_string();
        self.execute(sql, vec![recipient.into(), list.into(), now.as_second().into()]).await
    }

    /// Accepted work whose time to be asked about has come, by ticket.
    pub async fn pending(&mut self, recipient: &str, now: Timestamp) -> Result<Vec<Pending>, Error> {
        let sql = "select ticket, tag from recipient_answers
                   where recipient = $1 and ticket is not null and poll_after <= $2 order by ticket, tag";
        let rows: Vec<(String, String)> = self.fetch(sql, vec![recipient.into(), now.as_second().into()]).await?;
        let mut pending: Vec<Pending> = Vec::new();
        for (ticket, tag) in rows {
            let tag = tag_of(&tag)?;
            match pending.last_mut() {
                Some(last) if last.ticket == ticket => last.tags.push(tag),
                _ => pending.push(Pending { ticket, tags: vec![tag] }),
            }
        }
        Ok(pending)
    }

    /// How many persons of each recipient are in each state.
    pub async fn recipient_counts(&mut self) -> Result<Vec<RecipientCount>, Error> {
        let sql = "select recipient, state, count(*), min(first_asked_at) from recipient_answers
                   group by recipient, state order by recipient, state";
        let rows: Vec<(String, String, i64, i64)> = self.fetch(sql, vec![]).await?;
        let count = |(recipient, state, persons, oldest): (String, String, i64, i64)| {
            Ok(RecipientCount { recipient, state, persons: unsigned(persons)?, oldest: time(oldest)? })
        };
        rows.into_iter().map(count).collect()
    }
}

fn read(row: Row) -> Result<Remembered, Error> {
    let (tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at) = row;
    let grade = grade.map(|grade| serde_json::from_value(grade.as_str().into()).map_err(|_| damaged())).transpose()?;
    Ok(Remembered {
        tag: tag_of(&tag)?,
        operation,
        state,
        grade,
        request_id,
        ticket,
        poll_after: poll_after.map(time).transpose()?,
        first_asked_at: time(first_asked_at)?,
        settled_at: settled_at.map(time).transpose()?,
    })
}

fn tag_of(text: &str) -> Result<Tag, Error> {
    let mut tag = Tag::default();
    hex::decode_to_slice(text, &mut tag).map_err(|_| damaged())?;
    Ok(tag)
}

fn time(second: i64) -> Result<Timestamp, Error> {
    Timestamp::from_second(second).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::Damaged("a recipient's answer cannot be read".to_owned())
}
