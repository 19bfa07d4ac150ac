//! Drafts of a job, from a live schema: what the names and types of columns tell is written down, what only a person
//! can decide stays empty, so that nothing drafted can run.

mod subjects;

use crate::{
    anonymize::{Certainty, Personal, Technique, names_people, personal},
    catalog::{Catalog, Column, ColumnKind, ForeignKey, Table, TableKind},
    database::marks,
    language::format,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Everything that is proposed for one database.
#[derive(Clone, Debug)]
pub struct Draft {
    pub files: Vec<RuleDraft>,
    /// Tables that a person should look at, and why they have no file.
    pub left_out: Vec<(String, String)>,
    /// Tables that seem to be about nobody, as rules call them.
    pub others: Vec<String>,
    /// Who the data seems to be about: what stands under `subjects`.
    pub subjects: String,
}

/// A rule file.
#[derive(Clone, Debug)]
pub struct RuleDraft {
    /// The file's name without ending.
    pub name: String,
    /// As rules call it.
    pub table: String,
    pub text: String,
}

/// Drafts a rule file for each table that looks personal. `database` is what rules call the database.
pub fn draft(catalog: &Catalog, database: &str) -> Draft {
    let drafter = Drafter { catalog, database };
    let mut drafted: Vec<(&Table, String)> = Vec::new();
    let mut result = Draft {
        files: Vec::new(),
        left_out: Vec::new(),
        others: Vec::new(),
        subjects: subjects::subjects(catalog, database),
    };
    let is_here = |table: &&Table| table.partition_of.is_none() && !catalog.outside.contains(&table.name);
    for table in catalog.tables.iter().filter(is_here) {
        let path = drafter.path(table);
        if !looks_personal(table) {
            continue;
        }
        let obstacle = if table.kind == TableKind::View {
            Some("it looks personal; it is a view or foreign table, so the tables behind it need the rule".to_owned())
        } else if table.primary_key.is_empty() {
            Some("it looks personal and has no primary key, without which no row can be named: give it one".to_owned())
        } else if let Some(obstacle) = &table.obstacle {
            Some(format!("it looks personal and cannot be worked on: {obstacle}"))
        } else if (format::TABLE.check)(&path).is_err() {
            Some("it looks personal; its name has a dot, quote or bracket in it, which a rule cannot write".to_owned())
        } else {
            None
        };
        match obstacle {
            Some(obstacle) => result.left_out.push((path, obstacle)),
            None => drafted.push((table, path)),
        }
    }
    let mut names = BTreeSet::new();
    for (table, path) in &drafted {
        let name = drafter.name(table, &names);
        names.insert(name.clone());
        let text = drafter.rule_file(table, path, &name);
        result.files.push(RuleDraft { name, table: path.clone(), text });
    }
    let told: BTreeSet<_> =
        result.left_out.iter().map(|(path, _)| path).chain(drafted.iter().map(|(_, path)| path)).cloned().collect();
    let is_here = |table: &&Table| table.partition_of.is_none() && !catalog.outside.contains(&table.name);
    for table in catalog.tables.iter().filter(is_here) {
        let path = drafter.path(table);
        if marks::table(catalog) == Some(&table.name) || told.contains(&path) || table.kind == TableKind::View {
            continue;
        }
        let person =
            drafted.iter().find(|(person, _)| table.foreign_keys.iter().any(|key| key.references == person.name));
        match person {
            Some((_, person)) => {
                let why = format!("no column looks personal, but its rows reference {person}: whom do they tell of?");
                result.left_out.push((path, why));
            }
            None => result.others.push(path),
        }
    }
    result
}

/// `sunset.yaml`.
pub fn settings(job: &str, zone: &str, database: &str, draft: &Draft) -> String {
    let (variable, job) = (variable(database), scalar(job));
    let mut out = format!(
        "# Settings, drafted by `sunset init`. `sunset schema settings` tells everything that can stand here.\n\
         \n\
         # The job's name, which the ledger and the locks carry. Choose it now: a ledger keeps the one it began with.\n\
         name: {job}\n\
         \n\
         # The zone whose calendar decides when a day is over. A guess: it is the zone of the computer that drafted this.\n\
         time_zone: {zone}\n\
         \n\
         # A variable, because a URL with a password must not stand in a file that people share:\n\
         #   export {variable}='…'\n\
         # Take a user that can do no more than the rules need; `sunset grants` prints its privileges.\n\
         databases:\n\
         \x20 {database}: ${{{variable}}}\n\
         \n\
         # Runs need keys for the ledger. `sunset keys new --out keys` makes them and prints what belongs here:\n\
         # keys:\n\
         #   tag:\n\
         #     - ${{file:keys/tag-….key}}\n\
         #   signing:\n\
         #     - ${{file:keys/signing-….key}}\n\
         \n\
         # Where ledger, holds and row tags are kept. Several machines need a PostgreSQL database: {{url: \"${{STORE_URL}}\"}}\n\
         store:\n\
         \x20 path: state/sunset.db\n\
         \n\
         # A run that would dispose of more rows than this is refused, and a person decides.\n\
         # limits: {{max_rows: 50000}}\n"
    );
    if !draft.subjects.is_empty() {
        out.push_str(
            "\n# Who the data seems to be about. Holds and requests of persons, and `sunset why --subject`, need it; look at it, add\n\
             # what equal values link in other databases, and take the marks away:\n# subjects:\n",
        );
        for line in draft.subjects.lines() {
            let _ = writeln!(out, "# {line}");
        }
    }
    if !draft.left_out.is_empty() {
        out.push_str("\n# Tables without a rule file that somebody should look at:\n");
        for (table, why) in &draft.left_out {
            let _ = writeln!(out, "#   {}: {why}", one_line(table));
        }
    }
    if !draft.others.is_empty() {
        let count = draft.others.len();
        let _ = writeln!(out, "\n# {count} tables without a rule file whose columns seem to tell of nobody:");
        let mut line = String::from("#  ");
        for table in draft.others.iter().take(MOST_NAMED) {
            if line.chars().count() + table.chars().count() > 115 {
                let _ = writeln!(out, "{line}");
                line = String::from("#  ");
            }
            let _ = write!(line, " {}", one_line(table));
        }
        if count > MOST_NAMED {
            let _ = write!(line, " … and {} more", count - MOST_NAMED);
        }
        let _ = writeln!(out, "{line}");
    }
    out
}

/// A list that nobody reads to its end tells nothing.
const MOST_NAMED: usize = 200;

/// The environment variable that holds a database's URL.
pub fn variable(database: &str) -> String {
    format!("{}_URL", database.to_uppercase().replace('-', "_"))
}

/// A column that seems to hold a person's data itself.
fn personal_column(table: &Table, column: &Column) -> Option<Personal> {
    let found = personal(&column.name)?;
    let references = table.foreign_keys.iter().any(|key| key.columns.contains(&column.name));
    let time = matches!(
        column.kind,
        ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant | ColumnKind::Time | ColumnKind::Boolean
    );
    let birth = found.data_category == "user.demographic.date_of_birth";
    (!references && (!time || birth)).then_some(found)
}

fn looks_personal(table: &Table) -> bool {
    let people = names_people(&table.name.name);
    table.columns.iter().filter_map(|column| personal_column(table, column)).any(|found| match found.certainty {
        Certainty::Sure => true,
        Certainty::InContext => people,
        Certainty::Unsure => false,
    })
}

struct Drafter<'a> {
    catalog: &'a Catalog,
    database: &'a str,
}

impl Drafter<'_> {
    /// As rules call the table.
    fn path(&self, table: &Table) -> String {
        match table.name.schema == self.catalog.default_schema {
            true => format!("{}.{}", self.database, table.name.name),
            false => format!("{}.{}", self.database, table.name),
        }
    }

    /// A name for category, rule and file.
    fn name(&self, table: &Table, taken: &BTreeSet<String>) -> String {
        let whole = match table.name.schema == self.catalog.default_schema {
            true => table.name.name.clone(),
            false => table.name.to_string(),
        };
        let words: Vec<_> = whole
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let mut name = words.join("_");
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            // names in other letters, or that begin with a digit
            name = if name.is_empty() { "table".to_owned() } else { format!("table_{name}") };
        }
        let mut free = name.clone();
        let mut number = 2;
        while taken.contains(&free) {
            free = format!("{name}_{number}");
            number += 1;
        }
        free
    }

    fn rule_file(&self, table: &Table, path: &str, name: &str) -> String {
        let columns = self.columns(table);
        let title = scalar(&table.name.name);
        let mut categories: Vec<_> = columns.iter().map(|column| column.found.data_category).collect();
        categories.sort_unstable();
        categories.dedup();
        let mut out = format!(
            "# A draft by `sunset init`, after the names and types of the columns of {table_name}.\n\
             # It can do nothing yet: `sunset validate` refuses it until the two empty values, starting_point and\n\
             # retention_period, are filled in. Those are decisions that no program can make. The rest is a proposal.\n\
             \n\
             category: {name}\n\
             title: {title}  # what people call it, or one per language: {{en: Contract holders, ja: 契約者情報}}\n\
             # owner: privacy@example.com  # who answers for it\n\
             data_categories:\n{categories}\
             \n\
             rules:\n\
             \x20 - id: {rule}\n\
             \x20   # purpose: what the data was collected for\n\
             \x20   # legal_basis: why it is kept that long\n\
             \x20   table: {path}\n\
             \n",
            table_name = one_line(&table.name.to_string()),
            categories = categories.iter().map(|category| format!("  - {category}\n")).collect::<String>(),
            rule = name.replace('_', "-"),
            path = scalar(path),
        );
        out.push_str(&self.starting_point(table));
        out.push_str(
            "    # How long must a row be kept after that, and which law or contract says so? For example 5 years\n    \
             retention_period:\n    \
             # By when must it be gone? Not earlier, for example 5 years 3 months\n    \
             # regular_deletion_period:\n\n",
        );
        out.push_str(&disposition(&columns));
        out.push_str(&self.dependents(table));
        out
    }

    /// Columns that look personal, each with the first proposal that fits.
    fn columns<'t>(&self, table: &'t Table) -> Vec<Proposal<'t>> {
        table
            .columns
            .iter()
            .filter_map(|column| {
                let found = personal_column(table, column)?;
                let mut proposals = vec![found.technique(), Technique::Suppress];
                proposals.extend(replacements(column.kind).iter().map(|text| Technique::Replace((*text).to_owned())));
                let engine = self.catalog.engine;
                let technique =
                    proposals.into_iter().find(|technique| technique.fits(column, table, engine).is_empty());
                let facts = facts(table, column);
                Some(Proposal { column, found, technique, facts })
            })
            .collect()
    }

    fn starting_point(&self, table: &Table) -> String {
        let mut candidates: Vec<(Moment, String, String)> =
            table.columns.iter().filter_map(|column| candidate(table, column)).collect();
        candidates.extend(self.related_candidates(table));
        candidates.sort_by_key(|(moment, ..)| *moment);
        let mut out = String::from(
            "    # From which day on does its time run? Name what tells when the reason to keep a row ended.\n",
        );
        if candidates.is_empty() {
            out.push_str(
                "    # No column of this table tells a time: it needs one, or take the latest or earliest of a related \
                 table:\n    # {latest: database.table.column, through: column}\n",
            );
        } else {
            out.push_str("    # Candidates, the likelier first:\n");
        }
        for (_, value, why) in candidates {
            let _ = writeln!(out, "    #   {value}  # {}", one_line(&why));
        }
        out.push_str("    starting_point:\n\n");
        out
    }

    /// The latest of what references a row: its end, where the row itself tells none.
    fn related_candidates(&self, table: &Table) -> Vec<(Moment, String, String)> {
        const MOST: usize = 3;
        self.referencing(table)
            .into_values()
            .filter_map(|(child, keys)| {
                let key = keys.iter().find(|key| key.columns.len() == 1)?;
                let times = child.columns.iter().filter(|column| is_time(column.kind) && !is_birth(column));
                let best = times
                    .map(|column| (Moment::of(&column.name), column))
                    .filter(|(moment, _)| *moment < Moment::Begin)
                    .min_by_key(|(moment, _)| *moment)?
                    .1;
                let related = format!("{}.{}", self.path(child), best.name);
                (format::RELATED_COLUMN.check)(&related).ok()?;
                let value = format!("{{latest: {}, through: {}}}", scalar(&related), scalar(&key.columns[0]));
                let why = format!("the last of its rows in {}", self.path(child));
                (child.name != table.name).then_some((Moment::Related, value, why))
            })
            .take(MOST)
            .collect()
    }

    /// Tables that reference this one, with the keys that do.
    fn referencing<'t>(&'t self, table: &'t Table) -> BTreeMap<String, (&'t Table, Vec<&'t ForeignKey>)> {
        let mut by_path: BTreeMap<String, (&Table, Vec<&ForeignKey>)> = BTreeMap::new();
        for (child, key) in self.catalog.referencing(&table.name) {
            by_path.entry(self.path(child)).or_insert_with(|| (child, Vec::new())).1.push(key);
        }
        by_path
    }

    fn dependents(&self, table: &Table) -> String {
        let referencing = self.referencing(table);
        if referencing.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "\n    # Every table that references this one. `keep`: its rows stay as they are, and an erased row waits until\n    \
             # none is left. `erase`: they go along, and what references them has to be named here too. `unlink`: they\n    \
             # stay and lose the reference. `{anonymize: {column: technique}}`: these columns of theirs are changed along.\n    \
             dependents:\n",
        );
        for (path, (child, keys)) in referencing {
            let columns: Vec<_> = keys.iter().flat_map(|key| &key.columns).map(String::as_str).collect();
            let loosens = |key: &&ForeignKey| {
                key.columns.iter().any(|name| child.column(name).is_some_and(|column| column.nullable))
            };
            let choice = match keys.len() {
                1 if keys.iter().all(loosens) => "or erase, or unlink",
                1 => "or erase",
                _ => "or something else for each key: docs/dependents.md",
            };
            let own = if looks_personal(child) { "; it looks personal itself" } else { "" };
            let columns = one_line(&columns.join(", "));
            let _ = writeln!(out, "      {}: keep  # by {columns}{own}; {choice}", scalar(&path));
        }
        out
    }
}

/// A column with what is proposed for it.
struct Proposal<'a> {
    column: &'a Column,
    found: Personal,
    /// `None` when no technique fits.
    technique: Option<Technique>,
    facts: String,
}

fn disposition(columns: &[Proposal]) -> String {
    let sure = |column: &&Proposal| column.technique.is_some() && column.found.certainty != Certainty::Unsure;
    let anonymizable = columns.iter().any(|column| sure(&column));
    let mut out = String::new();
    if anonymizable {
        out.push_str(
            "    # `anonymize` keeps the row without what tells of whom it is. With `erase` the row goes: delete `columns` \
             then.\n    disposition: anonymize\n    columns:\n",
        );
    } else {
        out.push_str("    # No technique fits the columns that look personal, so the row itself has to go.\n    disposition: erase\n");
    }
    for column in columns {
        let name = scalar(&column.column.name);
        let (facts, category) = (one_line(&column.facts), column.found.data_category);
        let line = match &column.technique {
            Some(technique) if sure(&column) => format!("{name}: {}  # {facts}; {category}", flow(technique)),
            Some(technique) => format!("# {name}: {}  # {facts}; {category}? look what it holds", flow(technique)),
            None => format!("# {name} stays as it is: {facts}; {category}; no technique fits it"),
        };
        let _ = writeln!(out, "      {line}");
    }
    out
}

/// Constants that say nothing, for columns that refuse null.
fn replacements(kind: ColumnKind) -> &'static [&'static str] {
    match kind {
        ColumnKind::Text => &["erased", "-", "erased-{key}", "{key}"],
        ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float => &["0"],
        ColumnKind::Date => &["1970-01-01"],
        ColumnKind::DateTime => &["1970-01-01 00:00:00"],
        ColumnKind::Instant => &["1970-01-02T00:00:00Z"],
        ColumnKind::Uuid => &["00000000-0000-0000-0000-000000000000"],
        ColumnKind::Json => &["{}"],
        ColumnKind::Boolean
        | ColumnKind::Bytes
        | ColumnKind::Time
        | ColumnKind::Inet
        | ColumnKind::Enumeration
        | ColumnKind::Other => &[],
    }
}

/// What of a column decides over techniques.
fn facts(table: &Table, column: &Column) -> String {
    let mut facts = column.sql_type.clone();
    let notes = [
        (table.primary_key.contains(&column.name), ", part of the primary key"),
        (column.generated, ", generated"),
        (!column.nullable, ", never null"),
        (table.is_unique(&column.name), ", unique"),
    ];
    notes.iter().filter(|(holds, _)| *holds).for_each(|(_, note)| facts.push_str(note));
    facts
}

/// What a time column tells of a row's life; the better a starting point, the earlier here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    End,
    LastActivity,
    Related,
    Event,
    Begin,
    Change,
}

impl Moment {
    fn of(name: &str) -> Self {
        const END: &[&str] = &[
            "ended",
            "end",
            "closed",
            "close",
            "cancelled",
            "canceled",
            "cancellation",
            "terminated",
            "termination",
            "deleted",
            "deactivated",
            "disabled",
            "withdrawn",
            "withdrawal",
            "resigned",
            "left",
            "quit",
            "retired",
            "expired",
            "expires",
            "expiry",
            "completed",
            "finished",
            "kaiyaku",
            "taikai",
            "shuryo",
        ];
        const END_PIECES: &[&str] = &["解約", "退会", "終了", "退職", "削除", "廃止", "満了", "完了"];
        const BEGIN: &[&str] =
            &["created", "create", "creation", "registered", "registration", "inserted", "signup", "joined", "toroku"];
        const BEGIN_PIECES: &[&str] = &["登録", "作成", "入会", "開始"];
        const CHANGE: &[&str] = &["updated", "update", "modified", "modification", "changed", "koshin"];
        const CHANGE_PIECES: &[&str] = &["更新", "変更"];
        let lower = name.to_lowercase();
        let mut words: Vec<String> = Vec::new();
        for (index, character) in name.chars().enumerate() {
            let border = !character.is_alphanumeric()
                || (character.is_uppercase()
                    && name.chars().nth(index.wrapping_sub(1)).is_some_and(char::is_lowercase));
            if border || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(character.to_lowercase().filter(|c| c.is_alphanumeric()));
            }
        }
        let says = |known: &[&str], pieces: &[&str]| {
            words.iter().any(|word| known.contains(&word.as_str())) || pieces.iter().any(|piece| lower.contains(piece))
        };
        if says(END, END_PIECES) {
            Self::End
        } else if says(CHANGE, CHANGE_PIECES) {
            Self::Change
        } else if says(BEGIN, BEGIN_PIECES) {
            Self::Begin
        } else if says(&["last", "latest", "saishu"], &["最終", "最新"]) {
            Self::LastActivity
        } else {
            Self::Event
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::End => "tells an end",
            Self::LastActivity => "tells the last activity",
            Self::Related => "tells of related rows",
            Self::Event => "tells of something that happened",
            Self::Begin => "tells when the row began, whatever happened since",
            Self::Change => "changes whenever the row does, so its time may never be over",
        }
    }
}

fn is_time(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant)
}

fn is_birth(column: &Column) -> bool {
    personal(&column.name).is_some_and(|found| found.data_category == "user.demographic.date_of_birth")
}

/// The column as a starting point: how a rule writes it, and what speaks for and against it.
fn candidate(table: &Table, column: &Column) -> Option<(Moment, String, String)> {
    if is_birth(column) {
        return None;
    }
    let name = scalar(&column.name);
    let lower = column.name.to_lowercase();
    let (value, doubt) = match column.kind {
        kind if is_time(kind) => (name, ""),
        // only the name tells that it may hold time
        ColumnKind::Text if ends_like_time(&lower) => {
            (format!("{{column: {name}, as: iso_text}}"), ", if it holds dates")
        }
        ColumnKind::Integer if ends_like_time(&lower) => {
            (format!("{{column: {name}, as: epoch_seconds}}"), ", if it counts seconds since 1970")
        }
        _ => return None,
    };
    let moment = Moment::of(&column.name);
    let empty = if column.nullable { ", may be empty: such rows stay and are reported" } else { "" };
    let index = match table.index_on(std::slice::from_ref(&column.name)) {
        Some(_) => "",
        None => ", no index",
    };
    Some((moment, value, format!("{}; {}{empty}{index}{doubt}", column.sql_type, moment.words())))
}

fn ends_like_time(name: &str) -> bool {
    ["_at", "_on", "_date", "_time", "date", "日", "日時"].iter().any(|end| name.ends_with(end))
}

/// A technique as a rule file writes it.
fn flow(technique: &Technique) -> String {
    fn value(json: &serde_json::Value) -> String {
        match json {
            serde_json::Value::Object(map) => {
                let entries: Vec<_> = map.iter().map(|(key, inner)| format!("{key}: {}", value(inner))).collect();
                format!("{{{}}}", entries.join(", "))
            }
            serde_json::Value::String(text) => scalar(text),
            other => other.to_string(),
        }
    }
    serde_json::to_value(technique).map(|json| value(&json)).unwrap_or_default()
}

/// A text in YAML: plain where nothing can be taken for something else.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let plain = text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
        && !WORDS.contains(&text.to_lowercase().as_str());
    // JSON's texts are YAML's, in double quotes
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// For comments, which a line end in a name would end.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_from_beginnings() {
        for (name, moment) in [
            ("contract_ended_on", Moment::End),
            ("closedAt", Moment::End),
            ("退会日", Moment::End),
            ("last_login", Moment::LastActivity),
            ("last_update", Moment::Change),
            ("create_date", Moment::Begin),
            ("payment_date", Moment::Event),
            ("weekend", Moment::Event),
        ] {
            assert_eq!(Moment::of(name), moment, "{name}");
        }
    }

    #[test]
    fn texts_are_quoted_where_yaml_would_take_them_for_more() {
        for (text, written) in [
            ("customer_id", "customer_id"),
            ("氏名", "氏名"),
            ("no", "\"no\""),
            ("e: mail", "\"e: mail\""),
            ("1st", "\"1st\""),
            ("a\"b", "\"a\\\"b\""),
        ] {
            assert_eq!(scalar(text), written);
        }
        assert_eq!(flow(&Technique::Suppress), "suppress");
        assert_eq!(flow(&Technique::Replace("erased-{key}@x".to_owned())), "{replace: \"erased-{key}@x\"}");
        let generalize = Technique::Generalize(crate::anonymize::Generalize::PostalCode(3));
        assert_eq!(flow(&generalize), "{generalize: {postal_code: 3}}");
    }
}
