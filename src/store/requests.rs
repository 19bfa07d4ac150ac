//! Requests of persons: what somebody asked for, until when it has to be answered, and what was done.

use super::{Error, Store, signed, unsigned};
use crate::rules::RequestKind;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a request when it is opened.
#[derive(Clone)]
pub struct NewRequest {
    pub kind: RequestKind,
    /// The subject's name in `sunset.yaml`.
    pub subject: String,
    /// The table of the home row: `database.schema.table`.
    pub home: String,
    /// The home row's primary key.
    pub key: Vec<String>,
    /// What tells the person from somebody else who gets that key; kept as a tag alone.
    pub identity: Vec<String>,
    pub received: Date,
    /// The last day on which it is answered in time.
    pub due: Date,
    /// The company's number for it.
    pub reference: String,
    pub identified: Identified,
}

/// Who has seen to it that the person is who they say they are, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    pub by: String,
    pub how: String,
}

/// A request, open or closed. Nothing in it names the person to whoever does not have the tag key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRequest {
    pub id: u64,
    pub kind: RequestKind,
    pub subject: String,
    pub home: String,
    /// The home row's key, sealed with the tag key, in hexadecimal; `None` once the request is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// What told the person when it was opened, as a tag in hexadecimal.
    pub identity: String,
    /// The person's tag, in hexadecimal, and the key that made it.
    pub tag: String,
    pub tag_key: String,
    pub received: Date,
    pub due: Date,
    pub reference: String,
    pub identified: Identified,
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What the person had when it was approved, or closed, and what stays of it, by table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<Staying>,
    /// When that was looked at, if it was not when the request was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays_at: Option<Timestamp>,
    /// What runs have done for it, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub served: BTreeMap<String, Served>,
    /// The entry of its first approval: batches that are settled later can have been for it.
    #[serde(default)]
    pub approved_in: u64,
    /// Since when nothing is left that goes before its day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Closing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub at: Timestamp,
    pub by: String,
}

/// Rows of a person that stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staying {
    /// `database.schema.table`.
    pub table: String,
    pub rows: u64,
    /// The rule that keeps them until then; `None` where no rule governs them.
    pub rule: Option<String>,
    pub until: Option<Date>,
    /// Holds that keep some of them, by matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// Links, by their columns, of which nobody can tell whose rows they find there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unclear: BTreeSet<String>,
}

/// What a rule has done for a request so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Rows that went, or were changed.
    pub rows: u64,
    /// Rows that could go and have not yet.
    pub left: u64,
    /// Rows that wait for dependents that stay.
    #[serde(default)]
    pub waiting: u64,
    /// The last run that did something, and when.
    pub run: String,
    pub at: Option<Timestamp>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    pub at: Timestamp,
    pub by: String,
    pub outcome: RequestOutcome,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// It was done as far as the rules let it be.
    Done,
    /// It is not done, for the reason that is given.
    Refused,
    /// The person does not ask any more.
    Withdrawn,
}

impl RequestOutcome {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl PersonRequest {
    /// Nobody has closed it.
    pub fn is_open(&self) -> bool {
        self.closing.is_none()
    }

    /// The home row went for it, and with it what tells where the person stands.
    pub fn is_gone(&self) -> bool {
        self.closing.is_some() || self.complete_at.is_some() && self.served.values().all(|served| served.waiting == 0)
    }

    /// What was seen to stay, without the home row, which has gone, and what went along with it.
    pub fn stays_without_home(&self) -> Vec<Staying> {
        let home = self.stays.iter().find(|staying| staying.table == self.home);
        let rule = home.and_then(|home| home.rule.as_ref());
        let is_home =
            |staying: &&Staying| staying.table == self.home || rule.is_some() && staying.rule.as_ref() == rule;
        self.stays.iter().filter(|staying| !is_home(staying)).cloned().collect()
    }

    /// Rows of a rule that could not go since what depends on them stays; after a run, that are all of the rule's that are there.
    pub fn waits(&self, rule: &str) -> u64 {
        self.served.get(rule).filter(|served| served.left == 0).map_or(0, |served| served.waiting)
    }

    /// Runs take it along.
    pub fn is_to_be_served(&self) -> bool {
        self.is_open() && self.approval.is_some()
    }
}

impl Store {
    /// The open requests, oldest first.
    pub async fn open_requests(&mut self) -> Result<Vec<PersonRequest>, Error> {
        let rows =
            self.fetch("select id, request from person_requests where closed_at is null order by id", vec![]).await?;
        rows.into_iter().map(read).collect()
    }

    /// All requests, oldest first.
    pub async fn all_requests(&mut self) -> Result<Vec<PersonRequest>, Error> {
        self.fetch("select id, request from person_requests order by id", vec![]).await?.into_iter().map(read).collect()
    }

    /// The request with this number.
    pub async fn request(&mut self, id: u64) -> Result<Option<PersonRequest>, Error> {
        let row =
            self.fetch_one("select id, request from person_requests where id = $1", vec![signed(id)?.into()]).await?;
        row.map(read).transpose()
    }

    /// How many requests up to this one are open.
    pub async fn requests_open_up_to(&mut self, last: u64) -> Result<u64, Error> {
        let sql = "select count(*) from person_requests where closed_at is null and id <= $1";
        let count: Option<(i64,)> = self.fetch_one(sql, vec![signed(last)?.into()]).await?;
        unsigned(count.map_or(0, |(count,)| count))
    }

    /// The number of the next request.
    pub(crate) async fn next_request(&mut self) -> Result<u64, Error> {
        let highest: Option<(Option<i64>,)> = self.fetch_one("select max(id) from person_requests", vec![]).await?;
        unsigned(highest.and_then(|(id,)| id).unwrap_or(0) + 1)
    }

    /// Keeps a request in place of what was known of it. The ledger calls this together with its entry.
    pub(crate) async fn keep_request(&mut self, request: &PersonRequest) -> Result<(), Error> {
        let text = serde_json::to_string(request)
            .map_err(|_| Error::Failed(format!("request {} cannot be written", request.id)))?;
        self.execute("delete from person_requests where id = $1", vec![signed(request.id)?.into()]).await?;
        let closed = request.closing.as_ref().map(|closing| closing.at.to_string());
        let sql = "insert into person_requests (id, request, closed_at) values ($1, $2, $3)";
        self.execute(sql, vec![signed(request.id)?.into(), text.into(), closed.into()]).await
    }
}

/// The parser's own words would quote the request.
fn read((id, text): (i64, String)) -> Result<PersonRequest, Error> {
    serde_json::from_str(&text).map_err(|_| Error::Damaged(format!("request {id} cannot be read")))
}
