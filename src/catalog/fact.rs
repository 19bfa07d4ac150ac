//! What a plan relies on in a schema, as facts that can be compared: a run reads them again to see whether the schema is
//! still the one that was planned.

use super::TableName;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};

/// What sort of thing a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    Table,
    PrimaryKey,
    Column,
    ForeignKey,
    Trigger,
    /// PostgreSQL: a rule of the rewrite system.
    RewriteRule,
    /// A partition, or a table that inherits.
    Partition,
    /// It hides rows of the table from the connected user.
    RowSecurity,
}

impl FactKind {
    const ALL: [Self; 8] = [
        Self::Table,
        Self::PrimaryKey,
        Self::Column,
        Self::ForeignKey,
        Self::Trigger,
        Self::RewriteRule,
        Self::Partition,
        Self::RowSecurity,
    ];

    /// The kind that the engines' statements call so.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == word)
    }
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::PrimaryKey => "primary key",
            Self::Column => "column",
            Self::ForeignKey => "foreign key",
            Self::Trigger => "trigger",
            Self::RewriteRule => "rewrite rule",
            Self::Partition => "partition",
            Self::RowSecurity => "row security",
        })
    }
}

/// One thing that a schema has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub kind: FactKind,
    pub table: TableName,
    /// Its name within the table; for a partition that is a table, what it is a partition of.
    pub name: String,
    /// Its definition. It may quote literals of a trigger, and is shown to nobody.
    pub definition: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.kind, self.name.as_str()) {
            (FactKind::Partition, above) if !self.definition.is_empty() => {
                write!(f, "partition `{}` of `{above}`", self.table)
            }
            (kind, "") => write!(f, "{kind} of `{}`", self.table),
            (kind, name) => write!(f, "{kind} `{name}` of `{}`", self.table),
        }
    }
}

/// The facts about some tables at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub BTreeSet<Fact>);

impl Facts {
    /// What is there and was not before, in words. A new column changes nothing for rules that do not name it.
    pub fn added_since(&self, before: &Self) -> BTreeSet<String> {
        let added = self.0.difference(&before.0).filter_map(|fact| match (before.has_another(fact), fact.kind) {
            (true, _) => Some(format!("{fact} is another one")),
            (false, FactKind::Column) => None,
            (false, _) => Some(format!("{fact} is new")),
        });
        added.collect()
    }

    /// How these facts differ from what a plan relied on, in words.
    pub fn differences_from(&self, planned: &Self) -> BTreeSet<String> {
        let lost = planned.0.difference(&self.0).filter(|fact| !self.went_with_its_rows(fact, planned));
        let lost = lost.map(|fact| match self.has_another(fact) {
            true => format!("{fact} is another one"),
            false => format!("{fact} is gone"),
        });
        self.added_since(planned).into_iter().chain(lost).collect()
    }

    /// The fact is about a partition that is there no more: that takes nothing away from the rest.
    fn went_with_its_rows(&self, fact: &Fact, planned: &Self) -> bool {
        // MySQL's partitions are no tables
        if fact.kind == FactKind::Partition && fact.definition.is_empty() {
            return true;
        }
        let is_there = self.0.iter().any(|other| other.kind == FactKind::Table && other.table == fact.table);
        let is_part = |other: &Fact| other.kind == FactKind::Partition && other.table == fact.table;
        !is_there && planned.0.iter().any(is_part)
    }

    /// There is something of this kind and name, with whatever definition.
    fn has_another(&self, fact: &Fact) -> bool {
        self.0.iter().any(|other| (other.kind, &other.table, &other.name) == (fact.kind, &fact.table, &fact.name))
    }

    /// Names the facts that must not differ between a review and a run. Partitions come and go, and statements name the
    /// columns that they need.
    pub fn digest(&self) -> String {
        let parts: BTreeSet<_> =
            self.0.iter().filter(|fact| fact.kind == FactKind::Partition).map(|fact| &fact.table).collect();
        let stays = |fact: &&Fact| match fact.kind {
            FactKind::Column | FactKind::Partition => false,
            FactKind::Table | FactKind::PrimaryKey => !parts.contains(&fact.table),
            FactKind::ForeignKey | FactKind::Trigger | FactKind::RewriteRule | FactKind::RowSecurity => true,
        };
        let mut digest = Sha256::new();
        for fact in self.0.iter().filter(stays) {
            for part in [&fact.kind.to_string(), &fact.table.to_string(), &fact.name, &fact.definition] {
                digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                digest.update(part);
            }
        }
        hex::encode(digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: FactKind, table: &str, name: &str, definition: &str) -> Fact {
        let table = TableName { schema: "s".to_owned(), name: table.to_owned() };
        Fact { kind, table, name: name.to_owned(), definition: definition.to_owned() }
    }

    fn facts(facts: &[(FactKind, &str, &str, &str)]) -> Facts {
        Facts(facts.iter().map(|(kind, table, name, definition)| fact(*kind, table, name, definition)).collect())
    }

    #[test]
    fn what_matters_is_told_by_name() {
        use FactKind::*;
        let planned = [(Table, "t", "", ""), (Column, "t", "id", "int"), (Trigger, "t", "old", "x")];
        let differences = |now: &[(FactKind, &str, &str, &str)]| {
            Vec::from_iter(facts(now).differences_from(&facts(&planned))).join("; ")
        };
        assert_eq!(differences(&planned), "");
        assert_eq!(differences(&[planned[0], planned[1], planned[2], (Column, "t", "new", "int")]), "");
        assert_eq!(differences(&[planned[0], planned[1]]), "trigger `old` of `s.t` is gone");
        assert_eq!(
            differences(&[planned[0], planned[1], (Trigger, "t", "old", "y")]),
            "trigger `old` of `s.t` is another one"
        );
        assert_eq!(
            differences(&[planned[0], (Column, "t", "id", "text"), planned[2]]),
            "column `id` of `s.t` is another one"
        );
        assert_eq!(
            differences(&[planned[0], planned[1], planned[2], (RowSecurity, "t", "", "")]),
            "row security of `s.t` is new"
        );
    }

    #[test]
    fn a_partition_may_go_with_its_rows_and_not_without_them() {
        use FactKind::*;
        let (table, part) = ((Table, "t", "", ""), (Table, "p", "", ""));
        let (inherits, trigger) = ((Partition, "p", "s.t", "for values"), (Trigger, "p", "x", ""));
        let planned = facts(&[table, part, inherits, trigger]);
        assert!(facts(&[table]).differences_from(&planned).is_empty());
        let detached = facts(&[table, part, trigger]).differences_from(&planned);
        assert_eq!(Vec::from_iter(detached), ["partition `s.p` of `s.t` is gone"]);
        let another = (Partition, "q", "s.t", "for values");
        let added = facts(&[table, part, inherits, trigger, another]).differences_from(&planned);
        assert_eq!(Vec::from_iter(added), ["partition `s.q` of `s.t` is new"]);
    }

    #[test]
    fn a_review_is_not_undone_by_partitions_and_columns() {
        use FactKind::*;
        let part = [(Table, "p", "", ""), (PrimaryKey, "p", "", "1"), (Partition, "p", "s.t", "for values")];
        let one = facts(&[&[(Table, "t", "", ""), (Column, "t", "a", "")], &part[..]].concat());
        let other = facts(&[(Table, "t", "", "")]);
        assert_eq!(one.digest(), other.digest());
        assert_ne!(one.digest(), facts(&[(Table, "t", "", ""), (Trigger, "t", "a", "")]).digest());
    }
}
