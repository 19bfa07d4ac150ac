//! Holds: rows whose deletion is suspended.

use super::{Error, Store, signed, unsigned};
use crate::catalog::{Binding, PersonLink};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which rows of a table a hold is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldTarget {
    /// One row: its primary key as texts, in key order.
    Key(Vec<String>),
    /// All rows that meet this SQL condition.
    Condition(String),
    /// Whatever is about one person: the subject of `sunset.yaml`, the primary key of the home row, and the links of the
    /// subject, and the tables that were not theirs. Nothing by which anybody else knows the person.
    Person {
        subject: String,
        key: Vec<String>,
        links: Vec<PersonLink>,
        /// Older holds do not have them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_theirs: Option<Vec<String>>,
    },
}

/// Keys and conditions may be personal, so neither is shown.
impl fmt::Debug for HoldTarget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Condition(_) => "Condition(…)",
            Self::Person { .. } => "Person(…)",
        })
    }
}

/// What a person has to say about a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// `database.schema.table`.
    pub table: String,
    pub target: HoldTarget,
    /// The case, for example a file number.
    pub matter: String,
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The day on which somebody looks at it again.
    pub review: Date,
    /// What belongs to its rows is not held with them.
    pub only_row: bool,
    /// What its table is found again by.
    pub binding: Option<Binding>,
}

/// A hold, in force or released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub id: u64,
    /// `database.schema.table`.
    pub table: String,
    /// `None` once it is released: the row's key is not kept longer than the hold needs it.
    pub target: Option<HoldTarget>,
    pub matter: String,
    pub reason: String,
    pub owner: String,
    pub review: Date,
    pub added_at: Timestamp,
    pub release: Option<Release>,
    /// What belongs to its rows is not held with them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub only_row: bool,
    /// What its table is found again by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

impl Store {
    /// The holds in force, oldest first.
    pub async fn holds(&mut self) -> Result<Vec<Hold>, Error> {
        let rows = self.fetch("select id, hold from holds where released_at is null order by id", vec![]).await?;
        rows.into_iter().map(read).collect()
    }

    /// How many holds are in force, and the sum of their ids: together they tell whether any was added or released.
    pub async fn holds_mark(&mut self) -> Result<(u64, u64), Error> {
        let sql = "select count(*), cast(coalesce(sum(id), 0) as bigint) from holds where released_at is null";
        let (count, sum): (i64, i64) = self.fetch_one(sql, vec![]).await?.unwrap_or_default();
        Ok((unsigned(count)?, unsigned(sum)?))
    }

    /// All holds, released ones too, oldest first.
    pub async fn all_holds(&mut self) -> Result<Vec<Hold>, Error> {
        self.fetch("select id, hold from holds order by id", vec![]).await?.into_iter().map(read).collect()
    }

    /// Adds a hold. The ledger calls this together with its entry.
    pub(crate) async fn add_hold(&mut self, new: NewHold, at: Timestamp) -> Result<Hold, Error> {
        let highest: Option<(Option<i64>,)> = self.fetch_one("select max(id) from holds", vec![]).await?;
        let id = highest.and_then(|(id,)| id).unwrap_or(0) + 1;
        let NewHold { table, target, matter, reason, owner, review, only_row, binding } = new;
        let hold = Hold {
            id: unsigned(id)?,
            table,
            target: Some(target),
            matter,
            reason,
            owner,
            review,
            added_at: at,
            release: None,
            only_row,
            binding,
        };
        self.execute("insert into holds (id, hold) values ($1, $2)", vec![id.into(), write(&hold)?.into()]).await?;
        Ok(hold)
    }

    /// Ends a hold and forgets its key; `None` when no such hold is in force.
    pub(crate) async fn release_hold(&mut self, id: u64, release: Release) -> Result<Option<Hold>, Error> {
        let sql = "select id, hold from holds where id = $1 and released_at is null";
        let Some(row) = self.fetch_one(sql, vec![signed(id)?.into()]).await? else { return Ok(None) };
        let at = release.at.to_string();
        let hold = Hold { target: None, binding: None, release: Some(release), ..read(row)? };
        let sql = "update holds set hold = $2, released_at = $3 where id = $1";
        self.execute(sql, vec![signed(id)?.into(), write(&hold)?.into(), at.into()]).await?;
        Ok(Some(hold))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn write(hold: &Hold) -> Result<String, Error> {
    serde_json::to_string(hold).map_err(|_| Error::Failed(format!("hold {} cannot be written", hold.id)))
}

/// The parser's own words would quote the hold.
fn read((id, text): (i64, String)) -> Result<Hold, Error> {
    serde_json::from_str(&text).map_err(|_| Error::Damaged(format!("hold {id} cannot be read")))
}
