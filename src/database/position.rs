//! Where a database stands: which one it is, and how far its history has come. A run notes it at its end, and the next one
//! compares, so that a database that was put back from a backup is told before anything is done to it.
//!
//! What a server does not tell, or not to this user, is unknown, and says nothing.

use super::{Connection, Error, ErrorKind, mysql::transactions::Transactions};
use crate::sql::Statement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A ledger's entry holds no greater number.
const GREATEST: u64 = 1 << 53;

/// By so many seconds the start of a server that does not tell it itself may seem to move.
const START_TOLERANCE: u64 = 5;

/// Where a database stands, as far as its server says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Position {
    /// PostgreSQL: the cluster, by its system identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// PostgreSQL: the number of the database in its cluster. One that is made anew gets another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// MySQL and MariaDB: the server, whose replicas have logs of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// PostgreSQL: counts promotions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u64>,
    /// How far the log of changes has come: bytes, and on SQLite the changes that the file's header counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<u64>,
    /// MySQL and MariaDB: the transactions that it has, by their global ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactions: Option<String>,
    /// When the server was started, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Digests of the tables that rules govern, which tell them from tables that are made in their place.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tables: BTreeSet<String>,
}

/// What a position says of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The same database, later.
    Onward,
    /// It may be an earlier state: something happened that comes with a restore, and with other things too. The rows can tell.
    Doubtful(String),
    /// It is an earlier state, or another database.
    Back(String),
}

impl Position {
    /// What it says of `before`.
    pub fn since(&self, before: &Self) -> Course {
        if let Some((was, is)) = changed(before.cluster.as_ref(), self.cluster.as_ref()) {
            return Course::Back(format!("it belongs to the cluster with the system identifier {is}, which was {was}"));
        }
        if changed(before.number.as_ref(), self.number.as_ref()).is_some() {
            return Course::Back("it is another database of the cluster, made anew under the same name".to_owned());
        }
        let log = before.log.zip(self.log);
        if let Some((was, is)) = before.timeline.zip(self.timeline).filter(|(was, is)| is < was) {
            return Course::Back(format!("it is on timeline {is}, and was on timeline {was}"));
        }
        let is_promoted = before.timeline.zip(self.timeline).is_some_and(|(was, is)| is > was);
        let is_moved = changed(before.server.as_ref(), self.server.as_ref()).is_some();
        // each server of MySQL has a log of its own
        if let Some((was, is)) = log.filter(|(was, is)| !is_moved && is < was) {
            return Course::Back(match is_promoted {
                true => format!("a standby was promoted that lacks transactions: its log is at {is}, and was at {was}"),
                false => format!("its log of changes is at {is}, and was at {was}"),
            });
        }
        if let Some(lacking) = lacking(before, self) {
            return Course::Back(format!("it lacks transactions of {lacking}, which it had"));
        }
        // one that was made anew alone is somebody's import or rewrite
        let is_made_anew =
            !before.tables.is_empty() && !self.tables.is_empty() && before.tables.is_disjoint(&self.tables);
        let is_restarted = before.started.zip(self.started).is_some_and(|(was, is)| was.abs_diff(is) > START_TOLERANCE);
        if is_moved {
            Course::Doubtful("it is on another server".to_owned())
        } else if is_promoted {
            Course::Doubtful("a standby was promoted".to_owned())
        } else if is_made_anew {
            Course::Doubtful("the tables that rules govern were made anew".to_owned())
        } else if is_restarted {
            Course::Doubtful("its server was started anew".to_owned())
        } else {
            Course::Onward
        }
    }
}

/// Both are known, and they differ.
fn changed<'a, T: PartialEq>(was: Option<&'a T>, is: Option<&'a T>) -> Option<(&'a T, &'a T)> {
    was.zip(is).filter(|(was, is)| was != is)
}

/// The source of transactions that are not there any more.
fn lacking(before: &Position, now: &Position) -> Option<String> {
    let read = |position: &Position| position.transactions.as_deref().and_then(Transactions::read);
    read(now)?.lacks_of(&read(before)?)
}

/// A number that a ledger's entry can hold.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number <= GREATEST)
}

/// The first row of a statement whose answer this server, or this user, may not get.
pub(super) async fn told(connection: &mut dyn Connection, statement: &Statement) -> Result<Vec<Option<String>>, Error> {
    match connection.fetch(statement).await {
        Ok(rows) => Ok(rows.into_iter().next().unwrap_or_default()),
        Err(error) if is_silence(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The server does not know what it is asked, or does not tell this user.
pub(super) fn is_silence(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Other | ErrorKind::Privilege)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_back(before: &Position, now: &Position) -> bool {
        matches!(now.since(before), Course::Back(_))
    }

    fn tables<const N: usize>(digests: [&str; N]) -> BTreeSet<String> {
        digests.map(str::to_owned).into()
    }

    fn postgres(timeline: u64, log: u64) -> Position {
        Position {
            cluster: Some("7714".into()),
            number: Some("16384".into()),
            timeline: Some(timeline),
            log: Some(log),
            started: Some(1000),
            tables: tables(["a", "b"]),
            ..Position::default()
        }
    }

    #[test]
    fn a_log_goes_on_and_never_back() {
        assert_eq!(postgres(1, 100).since(&postgres(1, 100)), Course::Onward);
        assert_eq!(postgres(1, 101).since(&postgres(1, 100)), Course::Onward);
        assert!(is_back(&postgres(1, 100), &postgres(1, 99)));
    }

    #[test]
    fn a_promotion_is_no_restore_unless_it_lost_transactions() {
        assert!(matches!(postgres(2, 100).since(&postgres(1, 100)), Course::Doubtful(_)));
        assert!(is_back(&postgres(1, 100), &postgres(2, 99)));
        assert!(is_back(&postgres(2, 100), &postgres(1, 200)));
    }

    #[test]
    fn another_cluster_or_database_is_not_the_same() {
        let other = Position { cluster: Some("7715".into()), ..postgres(1, 200) };
        assert!(is_back(&postgres(1, 100), &other));
        let anew = Position { number: Some("16385".into()), ..postgres(1, 200) };
        assert!(is_back(&postgres(1, 100), &anew));
    }

    #[test]
    fn what_comes_with_a_restore_and_with_other_things_is_a_doubt() {
        let rewritten = Position { tables: tables(["c", "d"]), ..postgres(1, 200) };
        let restarted = Position { started: Some(2000), ..postgres(1, 200) };
        for now in [rewritten, restarted] {
            assert!(matches!(now.since(&postgres(1, 100)), Course::Doubtful(_)), "{now:?}");
        }
        let jitter = Position { started: Some(1001), ..postgres(1, 200) };
        assert_eq!(jitter.since(&postgres(1, 100)), Course::Onward);
    }

    #[test]
    fn one_table_that_was_made_anew_is_no_restore() {
        let one = Position { tables: tables(["a", "c"]), ..postgres(1, 200) };
        assert_eq!(one.since(&postgres(1, 100)), Course::Onward);
    }

    #[test]
    fn what_is_unknown_says_nothing() {
        assert_eq!(Position::default().since(&postgres(2, 100)), Course::Onward);
        assert_eq!(postgres(1, 1).since(&Position::default()), Course::Onward);
    }

    fn mysql(server: &str, log: u64, transactions: &str) -> Position {
        let transactions = (!transactions.is_empty()).then(|| transactions.to_owned());
        Position { server: Some(server.into()), log: Some(log), transactions, ..Position::default() }
    }

    #[test]
    fn a_replica_that_has_all_transactions_may_take_over() {
        let before = mysql("a", 1000, "0-1-100");
        assert!(matches!(mysql("b", 10, "0-1-100").since(&before), Course::Doubtful(_)));
        assert!(is_back(&before, &mysql("b", 5000, "0-1-99")));
        assert!(is_back(&before, &mysql("a", 999, "0-1-100")));
        assert_eq!(mysql("a", 1000, "0-1-100").since(&before), Course::Onward);
        // without ids of transactions nobody can tell
        assert!(matches!(mysql("b", 10, "").since(&before), Course::Doubtful(_)));
    }

    #[test]
    fn numbers_that_no_entry_holds_are_unknown() {
        assert_eq!(number("9007199254740992"), Some(1 << 53));
        assert_eq!(number("9007199254740993"), None);
        assert_eq!(number("x"), None);
    }
}
