//! Personal data that no rule governs: the live schemas held against all rules. Catalogs only, never a row.
//!
//! What looks personal is a guess by names, types and comments. What is found is a question to a person, whose answer is
//! a rule or an accepted gap.

use super::find::find_table;
use crate::{
    anonymize::{Certainty, names_people, personal, points_at_people},
    catalog::{Catalog, Column, ColumnKind, ForeignKey, Table, TableKind, TableName, TablePath},
    database::marks,
    diagnostic::{Code, Diagnostic, Place},
    job::{Job, SETTINGS_FILE},
    rules::{Dependent, Disposition},
    settings::{AcceptedGap, Gap},
};
use jiff::civil::Date;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    pub job: String,
    /// The day for which acceptances were judged.
    pub today: Date,
    /// How many tables each database has, partitions and views left out.
    pub databases: BTreeMap<String, usize>,
    /// What nobody answers for.
    pub gaps: Vec<Finding>,
    pub accepted: Vec<Accepted>,
    /// Entries of `accepted_gaps` that accept nothing.
    pub stale: Vec<Stale>,
    /// Tables that look personal and that no subject reaches, where the settings declare subjects: no gap of the rules, but
    /// holds and requests of persons do not find their rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<String>,
}

/// Something that no rule governs.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    Table(TableGap),
    /// No rule asks it to delete its copies.
    Recipient {
        recipient: String,
    },
    /// The database's user does not see all of its tables, so there may be more.
    Unseen {
        database: String,
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct TableGap {
    /// As rules call it.
    pub table: String,
    /// Rules that change other columns of it; none: no rule governs the table.
    pub rules: Vec<String>,
    /// The columns that look personal.
    pub columns: Vec<PersonalColumn>,
    /// Tables with people's data that its rows reference.
    pub references: Vec<Reference>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PersonalColumn {
    pub column: String,
    /// A key of the fideslang taxonomy.
    pub data_category: String,
    /// What tells: its name, its type or its comment.
    pub because: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Reference {
    pub columns: Vec<String>,
    /// As rules call it.
    pub table: String,
}

/// A gap that somebody answers for.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// A table, a column with its table, or a recipient.
    pub what: String,
    pub reason: String,
    pub owner: String,
    pub until: Option<Date>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Stale {
    pub what: String,
    pub why: String,
    #[serde(skip)]
    place: Place,
}

impl Coverage {
    pub fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// The gaps as diagnostics, at the places of `sunset.yaml` that a person would look at.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let settings = |list: &str, name: &str| Place::root(SETTINGS_FILE).key(list).key(name).name();
        let gaps = self.gaps.iter().map(|gap| match gap {
            Finding::Table(gap) => {
                let database = gap.table.split('.').next().unwrap_or_default();
                let code = if gap.rules.is_empty() { Code::UngovernedTable } else { Code::UngovernedColumn };
                let diagnostic = Diagnostic::error(code, settings("databases", database), gap.in_words());
                diagnostic.help("write a rule, or name it in `accepted_gaps` with a reason and an owner")
            }
            Finding::Recipient { recipient } => {
                let message = format!("no rule asks `{recipient}` to delete its copies");
                let diagnostic = Diagnostic::error(Code::UnservedRecipient, settings("recipients", recipient), message);
                diagnostic.help("name it in a rule's `recipients`, or in `accepted_gaps` with a reason and an owner")
            }
            Finding::Unseen { database } => {
                let message = format!("the user of `{database}` does not see all of its tables");
                let diagnostic = Diagnostic::error(Code::UnseenTables, settings("databases", database), message);
                diagnostic
                    .help("`grant references` on the whole database shows them, and neither reads nor changes rows")
            }
        });
        let stale = self.stale.iter().map(|stale| {
            let message = format!("the accepted gap {} is none: {}", stale.what, stale.why);
            Diagnostic::warning(Code::StaleGap, stale.place.clone(), message).help("take it out, or look at it again")
        });
        let unreached = self.unreached.iter().map(|table| {
            let message = format!("`{table}` looks personal, and no subject reaches it");
            Diagnostic::warning(Code::UnreachedTable, Place::root(SETTINGS_FILE).key("subjects").name(), message)
                .help("link it to a subject, or name it in the subject's `not_theirs`")
        });
        gaps.chain(stale).chain(unreached).collect()
    }
}

impl TableGap {
    pub fn in_words(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|found| format!("`{}`", found.column)).collect();
        let references = self
            .references
            .iter()
            .map(|reference| format!("rows reference `{}` by {}", reference.table, reference.columns.join(", ")));
        let references = references.collect::<Vec<_>>().join(", ");
        match (self.rules.is_empty(), self.columns.is_empty()) {
            (true, true) => format!("no rule governs `{}`, whose {references}", self.table),
            (true, false) => format!("no rule governs `{}`, where {} looks personal", self.table, columns.join(", ")),
            (false, _) => {
                format!(
                    "{} of `{}` looks personal; {} leaves it",
                    columns.join(", "),
                    self.table,
                    self.rules.join(", ")
                )
            }
        }
    }
}

/// Holds the schemas against the rules and the accepted gaps. `catalogs` are those of the databases that can be reached.
///
/// # Errors
/// Rules that name tables that are not there.
pub fn coverage(job: &Job, catalogs: &BTreeMap<&str, &Catalog>, today: Date) -> Result<Coverage, Vec<Diagnostic>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let mut schemas = BTreeMap::new();
    for (&database, &catalog) in catalogs {
        let schema = Schema::read(job, database, catalog, &mut wrong);
        if catalog.hides_foreign_keys {
            found.push(Finding::Unseen { database: database.to_owned() });
        }
        found.extend(schema.gaps().into_iter().map(Finding::Table));
        schemas.insert(database, schema);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let served: BTreeSet<_> = job.rules().flat_map(|rule| &rule.recipients).map(|named| named.name.as_str()).collect();
    let unserved = job.settings.recipients.keys().filter(|name| !served.contains(name.as_str()));
    found.extend(unserved.map(|name| Finding::Recipient { recipient: name.clone() }));

    let (mut accepted, mut stale) = (Vec::new(), Vec::new());
    for entry in &job.settings.accepted_gaps {
        accept(entry, today, &schemas, &mut found, &mut accepted, &mut stale);
    }
    found.retain(
        |finding| !matches!(finding, Finding::Table(gap) if gap.columns.is_empty() && gap.references.is_empty()),
    );
    let databases = schemas.iter().map(|(name, schema)| ((*name).to_owned(), schema.tables().count())).collect();
    let unreached = match job.settings.subjects.is_empty() {
        true => Vec::new(),
        false => schemas.values().flat_map(|schema| schema.unreached(job)).collect(),
    };
    let job = job.settings.name.clone();
    Ok(Coverage { job, today, databases, gaps: found, accepted, stale, unreached })
}

/// Takes out of `found` what the entry accepts.
fn accept(
    entry: &AcceptedGap,
    today: Date,
    schemas: &BTreeMap<&str, Schema>,
    found: &mut Vec<Finding>,
    accepted: &mut Vec<Accepted>,
    stale: &mut Vec<Stale>,
) {
    let over = entry.until.filter(|until| *until < today).map(|until| format!("it was accepted until {until}"));
    let mut settle = |what: String, gone: Option<String>| match over.clone().or(gone) {
        Some(why) => stale.push(Stale { what, why, place: entry.place.clone() }),
        None => {
            let (reason, owner) = (entry.reason.clone(), entry.owner.clone());
            accepted.push(Accepted { what, reason, owner, until: entry.until });
        }
    };
    match &entry.gap {
        Gap::Recipient(name) => {
            let is_it = |finding: &Finding| matches!(finding, Finding::Recipient { recipient } if recipient == name);
            let open = found.iter().any(is_it);
            settle(name.clone(), (!open).then(|| "a rule names it, or it is not in the settings".to_owned()));
            if over.is_none() {
                found.retain(|finding| !is_it(finding));
            }
        }
        Gap::Table { table, columns } => {
            // whether a gap is left in a database that cannot be reached, nobody knows
            let Some(schema) = schemas.get(table.database.as_str()) else { return };
            let live = schema.catalog.table(table.schema.as_deref(), &table.table);
            let path = live.map_or_else(|| table.to_string(), |live| schema.path(&live.name));
            let gap = found.iter_mut().find_map(|finding| match finding {
                Finding::Table(gap) if gap.table == path => Some(gap),
                _ => None,
            });
            let why = |column: Option<&str>| match (live, column) {
                (None, _) => "there is no such table".to_owned(),
                (Some(live), Some(column)) if live.column(column).is_none() => "there is no such column".to_owned(),
                (Some(live), column) => schema.why_none(live, column),
            };
            let Some(gap) = gap else {
                for column in columns {
                    settle(format!("{path}.{column}"), Some(why(Some(column))));
                }
                if columns.is_empty() {
                    settle(path, Some(why(None)));
                }
                return;
            };
            for column in columns {
                let open = gap.columns.iter().any(|personal| personal.column == *column);
                settle(format!("{path}.{column}"), (!open).then(|| why(Some(column))));
            }
            if columns.is_empty() {
                settle(path, gap.references.is_empty().then(|| why(None)));
            }
            if over.is_none() {
                gap.columns.retain(|personal| !columns.contains(&personal.column));
                gap.references.clear();
            }
        }
    }
}

/// What the rules make of one table.
#[derive(Default)]
struct Governance {
    /// Its rows go.
    whole: bool,
    /// Columns that are changed.
    columns: BTreeSet<String>,
    rules: BTreeSet<String>,
}

/// One database, and what the rules make of it.
struct Schema<'a> {
    database: &'a str,
    catalog: &'a Catalog,
    governed: BTreeMap<TableName, Governance>,
    /// References (from, to) that lead to nobody once the rules have changed the referenced row, which stays.
    released: BTreeSet<(TableName, TableName)>,
    /// References (from, to) that keep the referenced row from going.
    kept: BTreeSet<(TableName, TableName)>,
}

impl<'a> Schema<'a> {
    fn read(job: &Job, database: &'a str, catalog: &'a Catalog, wrong: &mut Vec<Diagnostic>) -> Self {
        let (governed, released, kept) = Default::default();
        let mut schema = Self { database, catalog, governed, released, kept };
        for rule in job.rules().filter(|rule| rule.table.database == database) {
            let table = match find_table(catalog, &rule.table, rule.place.key("table")) {
                Ok(table) => table,
                Err(diagnostic) => {
                    wrong.push(diagnostic);
                    continue;
                }
            };
            let erases = rule.disposition == Disposition::Erase;
            let governance = schema.governance(&table.name, &rule.id);
            governance.whole |= erases;
            governance.columns.extend(rule.columns.iter().map(|(column, _)| column.clone()).chain(rule.marker.clone()));
            let into = rule.aggregate.as_ref().and_then(|aggregate| {
                Some((aggregate, catalog.table(aggregate.into.schema.as_deref(), &aggregate.into.table)?))
            });
            if let Some((aggregate, target)) = into {
                // groups, of which none tells of one person
                let columns = aggregate.columns().map(|(column, _)| column.to_owned());
                schema.governance(&target.name, &rule.id).columns.extend(columns);
            }
            // a path that is not there is a dependent that no foreign key connects, which planning refuses
            let find = |path: &TablePath| catalog.table(path.schema.as_deref(), &path.table);
            let of_rule: Vec<_> =
                rule.dependents.iter().filter_map(|dependent| Some((find(&dependent.table)?, dependent))).collect();
            let changed: BTreeSet<_> =
                of_rule.iter().map(|(child, _)| &child.name).chain([&table.name]).cloned().collect();
            for (child, dependent) in of_rule {
                let meant = |key: &&ForeignKey| changed.contains(&key.references) && dependent.means(key);
                let links = child.foreign_keys.iter().filter(meant);
                match &dependent.fate {
                    Dependent::Erase => schema.governance(&child.name, &rule.id).whole = true,
                    Dependent::Unlink => {
                        let columns = links.flat_map(|key| key.columns.clone());
                        schema.governance(&child.name, &rule.id).columns.extend(columns);
                    }
                    Dependent::Anonymize(columns) => {
                        let columns = columns.iter().map(|(column, _)| column.clone());
                        schema.governance(&child.name, &rule.id).columns.extend(columns);
                    }
                    Dependent::Keep => {
                        let links = links.map(|key| (child.name.clone(), key.references.clone()));
                        if erases { schema.kept.extend(links) } else { schema.released.extend(links) }
                    }
                }
            }
        }
        schema
    }

    fn governance(&mut self, table: &TableName, rule: &str) -> &mut Governance {
        let governance = self.governed.entry(table.clone()).or_default();
        governance.rules.insert(rule.to_owned());
        governance
    }

    /// Tables with rows of their own.
    fn tables(&self) -> impl Iterator<Item = &'a Table> + use<'a> {
        // Sunset's own holds names of batches
        let own = marks::table(self.catalog);
        let tables = self.catalog.tables.iter().filter(move |table| Some(&table.name) != own);
        let is_here = |table: &&Table| !self.catalog.outside.contains(&table.name);
        tables.filter(is_here).filter(|table| table.partition_of.is_none() && table.kind != TableKind::View)
    }

    /// As rules call it.
    fn path(&self, table: &TableName) -> String {
        match table.schema == self.catalog.default_schema {
            true => format!("{}.{}", self.database, table.name),
            false => format!("{}.{table}", self.database),
        }
    }

    fn gaps(&self) -> Vec<TableGap> {
        let linked = self.linked();
        self.tables().filter_map(|table| self.gap(table, linked.get(&table.name))).collect()
    }

    /// Tables that look personal and that no subject reaches: not over its links, nor over foreign keys.
    fn unreached(&self, job: &Job) -> Vec<String> {
        let find = |path: &TablePath| {
            let table = self.catalog.table(path.schema.as_deref(), &path.table)?;
            (path.database == self.database).then_some(&table.name)
        };
        let mut known: BTreeSet<&TableName> = BTreeSet::new();
        for subject in job.settings.subjects.values() {
            let ends: BTreeSet<_> = subject.not_theirs.iter().filter_map(find).collect();
            let links = subject.links.iter().map(|link| &link.table).chain([&subject.home]);
            let mut reached: BTreeSet<_> = links.filter_map(find).collect();
            loop {
                let leads = |table: &&Table| {
                    let theirs = table.foreign_keys.iter().any(|key| reached.contains(&key.references));
                    theirs && !ends.contains(&table.name)
                };
                let more: Vec<_> = self.tables().filter(leads).map(|table| &table.name).collect();
                let before = reached.len();
                reached.extend(more);
                if reached.len() == before {
                    break;
                }
            }
            known.extend(reached);
            known.extend(ends);
        }
        let personal = |table: &&Table| !known.contains(&table.name) && !personal_columns(table, false).is_empty();
        self.tables().filter(personal).map(|table| self.path(&table.name)).collect()
    }

    fn gap(&self, table: &Table, references: Option<&Vec<Reference>>) -> Option<TableGap> {
        let governance = self.governed.get(&table.name);
        if governance.is_some_and(|governance| governance.whole) {
            return None;
        }
        let ungoverned =
            |column: &Column| !governance.is_some_and(|governance| governance.columns.contains(&column.name));
        let columns = personal_columns(table, references.is_some());
        let columns: Vec<_> =
            columns.into_iter().filter(|(column, _)| ungoverned(column)).map(|(_, personal)| personal).collect();
        let references = references.filter(|_| governance.is_none()).cloned().unwrap_or_default();
        if columns.is_empty() && references.is_empty() {
            return None;
        }
        let rules = governance.iter().flat_map(|governance| governance.rules.clone()).collect();
        Some(TableGap { table: self.path(&table.name), rules, columns, references })
    }

    /// Tables whose rows lead to people whom a rule governs, with the references that do.
    fn linked(&self) -> BTreeMap<TableName, Vec<Reference>> {
        let mut people: BTreeSet<&TableName> = self
            .tables()
            .filter(|table| self.governed.contains_key(&table.name) && !personal_columns(table, false).is_empty())
            .map(|table| &table.name)
            .collect();
        let mut linked = BTreeMap::new();
        loop {
            let before = linked.len();
            for table in self.tables() {
                let leads = |key: &&ForeignKey| people.contains(&key.references) && self.leads(table, key);
                let keys: Vec<_> = table.foreign_keys.iter().filter(leads).collect();
                if keys.is_empty() || linked.contains_key(&table.name) {
                    continue;
                }
                let reference =
                    |key: &ForeignKey| Reference { columns: key.columns.clone(), table: self.path(&key.references) };
                linked.insert(table.name.clone(), keys.into_iter().map(reference).collect());
                people.insert(&table.name);
            }
            if linked.len() == before {
                return linked;
            }
        }
    }

    /// The reference still leads to a person after the rules have done their work.
    fn leads(&self, table: &Table, key: &ForeignKey) -> bool {
        let link = (table.name.clone(), key.references.clone());
        let changed = |column: &String| {
            self.governed.get(&table.name).is_some_and(|governance| governance.columns.contains(column))
        };
        link.0 != link.1
            && !key.columns.iter().any(changed)
            && (!self.released.contains(&link) || self.kept.contains(&link))
    }

    /// Why a table, or a column of it, is no gap.
    fn why_none(&self, table: &Table, column: Option<&str>) -> String {
        let governance = self.governed.get(&table.name);
        let governed = governance
            .filter(|governance| governance.whole || column.is_none_or(|column| governance.columns.contains(column)));
        match (governed, column) {
            (Some(governance), _) => {
                let rules: Vec<_> = governance.rules.iter().map(String::as_str).collect();
                format!("{} governs it", rules.join(", "))
            }
            (None, Some(_)) => "it does not look personal".to_owned(),
            (None, None) => "it references nobody whom a rule governs".to_owned(),
        }
    }
}

/// The columns that look personal; `linked`: its rows lead to people.
fn personal_columns(table: &Table, linked: bool) -> Vec<(&Column, PersonalColumn)> {
    let looks: Vec<_> = table.columns.iter().filter_map(|column| Some((column, look(table, column)?))).collect();
    let about_people = linked
        || names_people(&table.name.name)
        || names_people(&table.comment)
        || looks.iter().any(|(_, look)| look.certainty == Certainty::Sure);
    let counts = |look: &Look| about_people || look.certainty == Certainty::Sure;
    let looks = looks.into_iter().filter(|(_, look)| counts(look));
    looks
        .map(|(column, Look { data_category, because, .. })| {
            let personal =
                PersonalColumn { column: column.name.clone(), data_category: data_category.to_owned(), because };
            (column, personal)
        })
        .collect()
}

/// What a column looks like, taken by itself.
struct Look {
    data_category: &'static str,
    certainty: Certainty,
    because: &'static str,
}

fn look(table: &Table, column: &Column) -> Option<Look> {
    // what the database computes goes with what it is computed from, and references are looked at as such
    if column.generated || table.foreign_keys.iter().any(|key| key.columns.contains(&column.name)) {
        return None;
    }
    const BIRTH: &str = "user.demographic.date_of_birth";
    let tells_nothing = matches!(
        column.kind,
        ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant | ColumnKind::Time | ColumnKind::Boolean
    );
    // MySQL's `boolean`
    let tells_nothing = tells_nothing || column.sql_type == "tinyint(1)";
    let fits = |data_category: &str| !tells_nothing || data_category == BIRTH;
    let look = |data_category, certainty, because| Some(Look { data_category, certainty, because });
    if let Some(found) = personal(&column.name).filter(|found| fits(found.data_category)) {
        return look(found.data_category, found.certainty, "name");
    }
    if column.kind == ColumnKind::Inet {
        return look("user.device.ip_address", Certainty::Sure, "type");
    }
    if column.sql_type.starts_with("macaddr") {
        return look("user.device", Certainty::Sure, "type");
    }
    if !tells_nothing && table.primary_key != [column.name.as_str()] && points_at_people(&column.name) {
        return look("user.unique_id", Certainty::Sure, "name");
    }
    // a sentence says more than a name, and some of it is about other things
    let said = personal(&column.comment).filter(|found| found.certainty == Certainty::Sure);
    if let Some(found) = said.filter(|found| fits(found.data_category)) {
        return look(found.data_category, Certainty::Sure, "comment");
    }
    if matches!(column.kind, ColumnKind::Json | ColumnKind::Bytes) {
        return look("user", Certainty::Unsure, "type");
    }
    None
}
