//! What recipients have answered: what is settled is not asked again, what is accepted is polled.
//!
//! Persons are tags; no identifier is kept here.

use super::{Argument, Connection, Error, Store, unsigned};
use crate::{
    evidence::{Grade, tag::Tag},
    recipients::{Answer, State, asking::Asking},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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
    /// The deletion notice that named the person.
    pub notice: Option<String>,
    /// When it was to be confirmed.
    pub due_at: Option<Timestamp>,
    /// When the recipient was last reminded of it.
    pub reminded_at: Option<Timestamp>,
    /// Why it is not done, or what it waits for.
    pub reason: Option<String>,
}

impl Remembered {
    /// A run would ask about the person again: the recipient neither is through nor works on it.
    pub fn is_open(&self) -> bool {
        self.settled_at.is_none() && self.ticket.is_none()
    }

    /// The recipient says that the person is gone, and too many are for that to be believed: to be asked again.
    #[must_use]
    pub fn doubted(self) -> Self {
        Self { state: "doubted".to_owned(), grade: None, settled_at: None, ..self }
    }

    /// What an answer that came `at` leaves behind. Whatever is done or cannot be done is settled.
    pub fn new(tag: Tag, operation: &str, answer: &Answer, at: Timestamp) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let poll = if let State::Accepted { poll } = &answer.state { Some(poll) } else { None };
        let settled = matches!(answer.state, State::Confirmed | State::Gone | State::NotPossible { .. });
        let after = |poll: &crate::recipients::Poll| {
            let seconds = i64::try_from(poll.again_after.as_secs()).unwrap_or(i64::MAX);
            Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
        };
        let notice = poll.and_then(|poll| poll.notice.as_ref());
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
            notice: notice.map(|notice| notice.id.clone()),
            due_at: notice.map(|notice| Timestamp::from_second(notice.due.as_second()).unwrap_or(notice.due)),
            reminded_at: notice.filter(|notice| notice.reminded).map(|_| at),
            reason: answer.state.reason().map(str::to_owned),
        }
    }
}

/// How long after a row has gone its person is kept out of a list that is made anew, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Which answers still count: an answer ends with the row that it was for, and some time after it was given.
#[derive(Clone, Copy, Debug)]
pub struct Validity<'a> {
    /// Whoever was settled before is asked about anew.
    pub since: Timestamp,
    /// What this run has used for one row serves further rows of the person in it.
    pub run: Option<&'a str>,
}

impl Validity<'static> {
    /// As long as nothing has gone that the answers were for.
    pub const ALWAYS: Self = Self { since: Timestamp::MIN, run: None };
}

/// Accepted work that can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub ticket: String,
    /// The persons that it is about.
    pub tags: Vec<Tag>,
    /// An earlier look found that the recipient has refused it, or that it has failed there.
    pub is_refused: bool,
    /// Where their identifiers were read, as [`Store::begin_asking`] was told. `None`: before that was noted.
    pub sources: BTreeSet<Option<String>>,
}

/// How many persons of a recipient are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientCount {
    pub recipient: String,
    pub state: String,
    pub persons: u64,
    /// When the first of them was first asked about.
    pub oldest: Timestamp,
    /// What was said about one of them.
    pub reason: Option<String>,
}

/// What a recipient still has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    pub recipient: String,
    /// Persons whose deletion it has accepted and not finished.
    pub pending: u64,
    /// Persons that it refused or could not be reached about; they are asked about again.
    pub open: u64,
    /// When the first of all these was first asked about.
    pub oldest: Option<Timestamp>,
}

/// A deletion notice that people confirm, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredNotice {
    pub recipient: String,
    pub id: String,
    /// The persons that it names.
    pub persons: u64,
    /// Those among them that nobody has confirmed yet.
    pub open: u64,
    pub sent_at: Timestamp,
    pub due_at: Timestamp,
    pub reminded_at: Option<Timestamp>,
    /// When the last confirmation came; none where none has.
    pub confirmed_at: Option<Timestamp>,
}

/// Tag, operation, state, grade, request id, ticket; poll after, first asked at, settled at; notice, due at, reminded at;
/// reason.
type Row = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
);

/// Recipient, notice, persons, open ones, sent, due, reminded, confirmed.
type NoticeRow = (String, String, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

/// A statement's text, with what the two engines call the elements of a JSON list in the middle: `texts`, or `objects`.
macro_rules! sql {
    ($store:expr, $before:literal texts($list:literal) $after:literal) => {
        sql!($store, $before, "json_array_elements_text", $list, $after)
    };
    ($store:expr, $before:literal objects($list:literal) $after:literal) => {
        sql!($store, $before, "json_array_elements", $list, $after)
    };
    ($store:expr, $before:literal, $elements:literal, $list:literal, $after:literal) => {
        match $store.connection {
            Connection::Sqlite(_) => concat!($before, " json_each(", $list, ") as list ", $after),
            Connection::Postgres(_) => {
                concat!($before, " ", $elements, "(cast(", $list, " as json)) as list (value) ", $after)
            }
        }
    };
}

/// A list of tags as JSON.
fn list(tags: &[Tag]) -> Argument {
    json!(tags.iter().map(hex::encode).collect::<Vec<_>>()).to_string().into()
}

impl Store {
    /// What is known of these persons, as far as it still counts. Those that nobody asked about are not there.
    pub async fn remembered(
        &mut self,
        recipient: &str,
        tags: &[Tag],
        validity: Validity<'_>,
    ) -> Result<BTreeMap<Tag, Remembered>, Error> {
        let sql = sql!(
            self,
            "select tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at, notice,
                 due_at, reminded_at, reason
             from recipient_answers where recipient = $1 and tag in (select value from" texts("$2") ")
             and (used_at is null or used_by = $3) and (settled_at is null or settled_at >= $4)"
        );
        let arguments =
            vec![recipient.into(), list(tags), validity.run.unwrap_or("").into(), validity.since.as_second().into()];
        let rows: Vec<Row> = self.fetch(sql, arguments).await?;
        rows.into_iter().map(|row| read(row).map(|known| (known.tag, known))).collect()
    }

    /// What is remembered of all persons; `None` where there are more than `most`.
    pub async fn all_remembered(
        &mut self,
        recipient: &str,
        since: Timestamp,
        most: u32,
    ) -> Result<Option<Vec<Remembered>>, Error> {
        let sql = "select tag, operation, state, grade, request_id, ticket, poll_after, first_asked_at, settled_at,
                       notice, due_at, reminded_at, reason
                   from recipient_answers where recipient = $1 and used_at is null
                       and (settled_at is null or settled_at >= $2) limit $3";
        let limit = i64::from(most) + 1;
        let rows: Vec<Row> = self.fetch(sql, vec![recipient.into(), since.as_second().into(), limit.into()]).await?;
        match rows.len() > most as usize {
            true => Ok(None),
            false => rows.into_iter().map(read).collect::<Result<_, _>>().map(Some),
        }
    }

    /// What is remembered of persons whose asking came to its end.
    pub async fn settled(
        &mut self,
        recipient: &str,
        tags: &[Tag],
        validity: Validity<'_>,
    ) -> Result<BTreeMap<Tag, Remembered>, Error> {
        let mut known = self.remembered(recipient, tags, validity).await?;
        known.retain(|_, known| known.settled_at.is_some());
        Ok(known)
    }

    /// Writes down, before the first call, that these persons are asked about: whoever was asked about before and is not
    /// settled still is, in the same asking; whose answers have ended is asked about in a new one.
    pub async fn begin_asking(
        &mut self,
        recipient: &str,
        (tags, source): (&[Tag], &str),
        now: Timestamp,
        validity: Validity<'_>,
    ) -> Result<BTreeMap<Tag, Asking>, Error> {
        let sql = sql!(
            self,
            "select tag, state from recipient_answers where recipient = $1 and tag in (select value from" texts("$2") ")"
        );
        let before: Vec<(String, String)> = self.fetch(sql, vec![recipient.into(), list(tags)]).await?;
        let mut before: BTreeMap<_, _> = before.into_iter().collect();
        let sql = sql!(
            self,
            "insert into recipient_answers (recipient, tag, operation, state, first_asked_at, read_from)
             select $1, value ->> 'tag', 'delete', 'asked', $3, $6 from" objects("$2") "where true
             on conflict (recipient, tag) do update set state = 'asked', grade = null, request_id = null, ticket = null,
                 poll_after = null, first_asked_at = excluded.first_asked_at, settled_at = null, used_at = null,
                 used_by = null, notice = null, due_at = null, reminded_at = null, reason = null,
                 read_from = excluded.read_from, asking = recipient_answers.asking + 1
             where recipient_answers.used_at is not null and recipient_answers.used_by is distinct from $4
                 or recipient_answers.settled_at < $5"
        );
        let objects: Vec<_> = tags.iter().map(|tag| json!({"tag": hex::encode(tag)})).collect();
        let arguments = vec![
            recipient.into(),
            json!(objects).to_string().into(),
            now.as_second().into(),
            validity.run.unwrap_or("").into(),
            validity.since.as_second().into(),
            source.into(),
        ];
        self.execute(sql, arguments).await?;
        let sql = sql!(
            self,
            "select tag, first_asked_at, asking from recipient_answers
             where recipient = $1 and tag in (select value from" texts("$2") ")"
        );
        let rows: Vec<(String, i64, i64)> = self.fetch(sql, vec![recipient.into(), list(tags)]).await?;
        let asking = |(tag, since, number): (String, i64, i64)| {
            let before = before.remove(&tag);
            Ok((tag_of(&tag)?, Asking { since: time(since)?, number: unsigned(number)?, before }))
        };
        rows.into_iter().map(asking).collect()
    }

    /// Accepted work that has not come to its end, and whose end a look did not show: the ticket stays. Work that was
    /// refused stays so until a person says that it is to be asked for anew.
    pub async fn keep_waiting(
        &mut self,
        recipient: &str,
        ticket: &str,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<(), Error> {
        let again = if let State::Unreachable { again_after: Some(after), .. } = &answer.state {
            *after
        } else {
            Duration::ZERO
        };
        let again = now.as_second().saturating_add(i64::try_from(again.as_secs()).unwrap_or(i64::MAX));
        let sql = "update recipient_answers set poll_after = $4,
                       state = case when state = 'refused' then state else $3 end,
                       grade = case when $3 = 'refused' then null else grade end,
                       reason = case when state = 'refused' and $3 <> 'refused' then reason else $5 end
                   where recipient = $1 and ticket = $2 and settled_at is null";
        let arguments = vec![
            recipient.into(),
            ticket.into(),
            answer.state.word().into(),
            again.into(),
            answer.state.reason().map(str::to_owned).into(),
        ];
        self.execute(sql, arguments).await
    }

    /// What the recipient says of accepted work is not believed: it is looked at again.
    pub async fn doubt_pending(&mut self, recipient: &str, ticket: &str, reason: &str) -> Result<(), Error> {
        let sql = "update recipient_answers set state = 'doubted', grade = null, reason = $3
                   where recipient = $1 and ticket = $2 and settled_at is null";
        self.execute(sql, vec![recipient.into(), ticket.into(), reason.into()]).await
    }

    /// Gives up accepted work that was refused, since a person said so: whose rows are still there are asked about anew.
    /// How many persons it was about.
    pub(crate) async fn give_up_refused(&mut self, recipient: &str) -> Result<u64, Error> {
        let sql = "select count(*) from recipient_answers
                   where recipient = $1 and state = 'refused' and ticket is not null and settled_at is null";
        let persons: Option<(i64,)> = self.fetch_one(sql, vec![recipient.into()]).await?;
        // a new asking: the recipient must not take the new request for the old one
        let sql = "update recipient_answers set ticket = null, poll_after = null, asking = asking + 1
                   where recipient = $1 and state = 'refused' and ticket is not null and settled_at is null";
        self.execute(sql, vec![recipient.into()]).await?;
        persons.map_or(Ok(0), |(persons,)| unsigned(persons))
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
                "notice": known.notice,
                "due_at": known.due_at.map(Timestamp::as_second),
                "reminded_at": known.reminded_at.map(Timestamp::as_second),
                "reason": known.reason,
            })
        });
        let rows = serde_json::Value::from_iter(rows).to_string();
        let sql = sql!(
            self,
            "insert into recipient_answers (recipient, tag, operation, state, grade, request_id, ticket, poll_after,
                 first_asked_at, settled_at, notice, due_at, reminded_at, reason)
             select $1, value ->> 'tag', value ->> 'operation', value ->> 'state', value ->> 'grade',
                 value ->> 'request_id', value ->> 'ticket', cast(value ->> 'poll_after' as bigint),
                 cast(value ->> 'first_asked_at' as bigint), cast(value ->> 'settled_at' as bigint),
                 value ->> 'notice', cast(value ->> 'due_at' as bigint), cast(value ->> 'reminded_at' as bigint),
                 value ->> 'reason'
             from" objects("$2") "where true
             on conflict (recipient, tag) do update set operation = excluded.operation, state = excluded.state,
                 grade = excluded.grade, request_id = excluded.request_id, ticket = excluded.ticket,
                 poll_after = excluded.poll_after, settled_at = excluded.settled_at, reason = excluded.reason,
                 -- a letter is a request from the day on which it went out
                 first_asked_at = case when recipient_answers.notice is null and excluded.notice is not null
                     then excluded.first_asked_at else recipient_answers.first_asked_at end,
                 notice = coalesce(excluded.notice, recipient_answers.notice),
                 due_at = coalesce(excluded.due_at, recipient_answers.due_at),
                 reminded_at = case when excluded.notice <> recipient_answers.notice then excluded.reminded_at
                     else coalesce(excluded.reminded_at, recipient_answers.reminded_at) end
             where recipient_answers.settled_at is null"
        );
        self.execute(sql, vec![recipient.into(), rows.into()]).await
    }

    /// The rows that these persons were asked about have gone, in this run.
    pub async fn use_up(&mut self, recipient: &str, tags: &[Tag], run: &str, now: Timestamp) -> Result<(), Error> {
        let sql = sql!(
            self,
            "update recipient_answers set used_at = $3, used_by = $4
             where recipient = $1 and tag in (select value from" texts("$2") ")"
        );
        self.execute(sql, vec![recipient.into(), list(tags), now.as_second().into(), run.into()]).await
    }

    /// Takes away what an earlier restore of a database has brought back.
    pub(crate) async fn forget_returned(&mut self, database: &str) -> Result<(), Error> {
        let sql = "delete from returned_rows where substr(table_path, 1, length($1)) = $1";
        self.execute(sql, vec![format!("{database}.").into()]).await
    }

    /// Rows of a table that a restore has brought back.
    pub(crate) async fn add_returned(&mut self, table: &str, tags: &[Tag]) -> Result<(), Error> {
        let sql = sql!(
            self,
            "insert into returned_rows (table_path, tag) select $1, value from" texts("$2") "where true
             on conflict (table_path, tag) do nothing"
        );
        self.execute(sql, vec![table.into(), list(tags)]).await
    }

    /// The rows of a table that a restore has brought back, and whose persons recipients were not to be asked about again yet.
    pub async fn returned(&mut self, table: &str) -> Result<BTreeSet<Tag>, Error> {
        let sql = "select tag from returned_rows where table_path = $1";
        let rows: Vec<(String,)> = self.fetch(sql, vec![table.into()]).await?;
        rows.iter().map(|(tag,)| tag_of(tag)).collect()
    }

    /// Rows that a restore has brought back are due again. What recipients have confirmed of their persons counts once more,
    /// until the rows have gone again; of whoever comes back after that, nothing counts.
    pub async fn count_again(
        &mut self,
        table: &str,
        rows: &[Tag],
        persons: &BTreeMap<String, Vec<Tag>>,
    ) -> Result<(), Error> {
        self.begin_lightly().await?;
        for (recipient, tags) in persons {
            let sql = sql!(
                self,
                "update recipient_answers set used_at = null, used_by = null
                 where recipient = $1 and used_at is not null and state in ('confirmed', 'gone')
                 and tag in (select value from" texts("$2") ")"
            );
            self.execute(sql, vec![recipient.as_str().into(), list(tags)]).await?;
        }
        let sql = sql!(
            self,
            "delete from returned_rows where table_path = $1 and tag in (select value from" texts("$2") ")"
        );
        self.execute(sql, vec![table.into(), list(rows)]).await?;
        self.commit().await
    }

    /// Until when a recipient has asked not to be called.
    pub async fn rest(&mut self, recipient: &str) -> Result<Option<Timestamp>, Error> {
        let sql = "select until from recipient_rests where recipient = $1";
        let rest: Option<(i64,)> = self.fetch_one(sql, vec![recipient.into()]).await?;
        rest.map(|(until,)| time(until)).transpose()
    }

    /// A recipient has asked not to be called until then.
    pub async fn keep_rest(&mut self, recipient: &str, until: Timestamp) -> Result<(), Error> {
        let sql = "insert into recipient_rests (recipient, until) values ($1, $2)
                   on conflict (recipient) do update set until = excluded.until";
        self.execute(sql, vec![recipient.into(), until.as_second().into()]).await
    }

    /// Persons whom the recipient has been asked about and who are not to come back to it: it works on them, or is through
    /// with them, and that still counts (see [`Store::remembered`]). Each with where their identifiers were read.
    pub async fn leaving(&mut self, recipient: &str, now: Timestamp) -> Result<Vec<(Tag, Option<String>)>, Error> {
        let sql = "select tag, read_from from recipient_answers where recipient = $1 and coalesce(used_at, $2) >= $2
                   and (settled_at is not null or ticket is not null)";
        let rows: Vec<(String, Option<String>)> =
            self.fetch(sql, vec![recipient.into(), (now.as_second() - DAY).into()]).await?;
        rows.into_iter().map(|(tag, source)| Ok((tag_of(&tag)?, source))).collect()
    }

    /// Accepted work whose time to be asked about has come, by ticket.
    pub async fn pending(&mut self, recipient: &str, now: Timestamp) -> Result<Vec<Pending>, Error> {
        let sql = "select ticket, tag, state, read_from from recipient_answers
                   where recipient = $1 and ticket is not null and poll_after <= $2 order by ticket, tag";
        let rows: Vec<(String, String, String, Option<String>)> =
            self.fetch(sql, vec![recipient.into(), now.as_second().into()]).await?;
        let mut pending: Vec<Pending> = Vec::new();
        for (ticket, tag, state, source) in rows {
            let (tag, is_refused) = (tag_of(&tag)?, state == "refused");
            match pending.last_mut() {
                Some(last) if last.ticket == ticket => {
                    last.tags.push(tag);
                    last.is_refused |= is_refused;
                    last.sources.insert(source);
                }
                _ => pending.push(Pending { ticket, tags: vec![tag], is_refused, sources: [source].into() }),
            }
        }
        Ok(pending)
    }

    /// How many persons of each recipient are in each state.
    pub async fn recipient_counts(&mut self) -> Result<Vec<RecipientCount>, Error> {
        let sql = "select recipient, state, count(*), min(first_asked_at), max(reason) from recipient_answers
                   group by recipient, state order by recipient, state";
        let rows: Vec<(String, String, i64, i64, Option<String>)> = self.fetch(sql, vec![]).await?;
        let count = |(recipient, state, persons, oldest, reason)| {
            Ok(RecipientCount { recipient, state, persons: unsigned(persons)?, oldest: time(oldest)?, reason })
        };
        rows.into_iter().map(count).collect()
    }

    /// What each recipient that was ever asked still has to do.
    pub async fn backlogs(&mut self) -> Result<Vec<Backlog>, Error> {
        let sql = "select recipient, count(case when settled_at is null and ticket is not null then 1 end),
                       count(case when settled_at is null and ticket is null and used_at is null then 1 end),
                       min(case when settled_at is null and (ticket is not null or used_at is null)
                           then first_asked_at end)
                   from recipient_answers group by recipient order by recipient";
        let rows: Vec<(String, i64, i64, Option<i64>)> = self.fetch(sql, vec![]).await?;
        let backlog = |(recipient, pending, open, oldest): (String, i64, i64, Option<i64>)| {
            let oldest = oldest.map(time).transpose()?;
            Ok(Backlog { recipient, pending: unsigned(pending)?, open: unsigned(open)?, oldest })
        };
        rows.into_iter().map(backlog).collect()
    }

    /// All deletion notices, oldest first.
    pub async fn notices(&mut self) -> Result<Vec<StoredNotice>, Error> {
        let sql = "select recipient, notice, count(*), count(case when settled_at is null then 1 end),
                       min(first_asked_at), max(due_at), max(reminded_at), max(settled_at)
                   from recipient_answers where notice is not null
                   group by recipient, notice order by 5, recipient, notice";
        let rows: Vec<NoticeRow> = self.fetch(sql, vec![]).await?;
        let notice = |(recipient, id, persons, open, sent, due, reminded, confirmed): NoticeRow| {
            Ok(StoredNotice {
                recipient,
                id,
                persons: unsigned(persons)?,
                open: unsigned(open)?,
                sent_at: time(sent)?,
                due_at: time(due.ok_or_else(damaged)?)?,
                reminded_at: reminded.map(time).transpose()?,
                confirmed_at: confirmed.map(time).transpose()?,
            })
        };
        rows.into_iter().map(notice).collect()
    }

    /// The persons that a notice names, and whether each is settled.
    pub async fn persons_of_notice(&mut self, recipient: &str, notice: &str) -> Result<BTreeMap<Tag, bool>, Error> {
        let sql = "select tag, settled_at from recipient_answers where recipient = $1 and notice = $2";
        let rows: Vec<(String, Option<i64>)> = self.fetch(sql, vec![recipient.into(), notice.into()]).await?;
        rows.into_iter().map(|(tag, settled)| Ok((tag_of(&tag)?, settled.is_some()))).collect()
    }

    /// Settles persons of a notice: somebody has confirmed in writing, which is evidence of grade E3.
    pub(crate) async fn settle_notice(
        &mut self,
        recipient: &str,
        notice: &str,
        tags: &[Tag],
        at: Timestamp,
    ) -> Result<(), Error> {
        let sql = sql!(
            self,
            "update recipient_answers set state = 'confirmed', grade = 'E3', ticket = null, poll_after = null,
                 settled_at = $4, reason = null
             where recipient = $1 and notice = $2 and settled_at is null and tag in (select value from" texts("$3") ")"
        );
        self.execute(sql, vec![recipient.into(), notice.into(), list(tags), at.as_second().into()]).await
    }
}

fn read(row: Row) -> Result<Remembered, Error> {
    let (
        tag,
        operation,
        state,
        grade,
        request_id,
        ticket,
        poll_after,
        first_asked_at,
        settled_at,
        notice,
        due_at,
        reminded_at,
        reason,
    ) = row;
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
        notice,
        due_at: due_at.map(time).transpose()?,
        reminded_at: reminded_at.map(time).transpose()?,
        reason,
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
