//! `sunset why --subject`: a person's whole life on one page: where they stand, which rules and holds govern it, until when,
//! and who else knows them.

use super::{Found, hold_words, look_up};
use crate::{
    catalog::{Catalog, Table, TableName, TablePath},
    cli::{Global, WhyArgs},
    commands::{console::Console, job as loading, person},
    database::{KeyColumn, statements},
    evidence::keys::Keys,
    job::Job,
    outcome::Outcome,
    output::{self, Format},
    plan::{
        self, Bound, Hold, HoldScope, OpenDatabase, Options,
        row::{Concern, State, concerns, verdicts},
        subject::Persons,
    },
    rules::{Dependent, Disposition, Rule},
    settings::Subject,
};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

/// Rows of a table that are looked at one by one: a page for people, and not for machines that read all.
const MOST_ROWS: usize = 50;

/// All of it.
#[derive(Serialize)]
pub(in crate::commands) struct Life {
    subject: String,
    key: Vec<String>,
    pub tables: Vec<InTable>,
    /// Databases that could not be asked, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unavailable: BTreeMap<String, String>,
}

/// The person's rows in one table.
#[derive(Serialize)]
pub(in crate::commands) struct InTable {
    /// `database.schema.table`.
    pub table: String,
    pub rows: u64,
    /// Of these, how many were looked at: the rest of this speaks of them.
    looked_at: usize,
    pub rules: Vec<OfRule>,
    /// Rules of other tables that take rows along with theirs, or change them.
    pub along_with: Vec<String>,
    pub holds: Vec<Concern>,
    pub recipients: Vec<AtRecipient>,
}

/// What one rule says of the rows.
#[derive(Serialize)]
pub(in crate::commands) struct OfRule {
    pub rule: String,
    pub disposition: Disposition,
    /// How many rows stand where: `kept`, `due`, `overdue`, `without_starting_point`, `already_done`, `not_governed`.
    pub states: BTreeMap<State, usize>,
    /// The earliest day from which one of them is due; in the past where some are.
    pub due: Option<Date>,
    /// The latest of these days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_due: Option<Date>,
    pub held: usize,
}

/// How many rows' persons stand so at a recipient.
#[derive(Serialize)]
pub(in crate::commands) struct AtRecipient {
    pub recipient: String,
    pub state: String,
    pub rows: usize,
}

pub(super) async fn run(
    global: &Global,
    job: &Job,
    args: &WhyArgs,
    now: Timestamp,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let subject = person::subject_of(job, args.person.subject.as_deref().unwrap_or_default())?;
    let found = person::locate(job, subject, &person::named(&args.person, &args.key)?).await?;
    let (life, outcome) = match life(job, subject, (&found.table.name, found.person.key), now, console).await? {
        Ok(told) => told,
        Err(stop) => return Ok(stop),
    };
    match global.format {
        Format::Json => console.print(&(serde_json::to_string_pretty(&life)? + "\n"))?,
        Format::Text | Format::Markdown | Format::Sarif => {
            console.print(&text(&life, crate::clock::today(now, &job.settings.time_zone)))?;
        }
    }
    Ok(outcome)
}

/// Where somebody stands whose home row has this key, and what became of asking; inside, the end of the command where a rule
/// does not fit.
pub(in crate::commands) async fn life(
    job: &Job,
    subject: &Subject,
    (table, key): (&TableName, Vec<String>),
    now: Timestamp,
    console: &mut Console,
) -> anyhow::Result<Result<(Life, Outcome), Outcome>> {
    let holds = loading::holds(job).await?;
    let held = Persons::look_up(job, &holds).await?;
    // what a hold on the person would keep is what is about them
    let whole = [Hold {
        id: 0,
        database: subject.home.database.clone(),
        table: table.clone(),
        scope: HoldScope::Person { subject: subject.name.clone(), key: key.clone(), then: None },
        matter: String::new(),
        only_row: false,
        binding: None,
    }];
    let theirs = Persons::look_up(job, &whole).await?;
    let (mut open, unavailable) = plan::open_databases(job, subject.databases()).await;
    let (mut tables, mut outcome) = (Vec::new(), Outcome::Done);
    for (name, open) in &mut open {
        let bound = plan::bind_in(job, name, open, &holds, &held).await?;
        bound.lost.iter().for_each(|lost| console.error(lost));
        let about = plan::bind_in(job, name, open, &whole, &theirs).await?;
        let surroundings = Around { job, name, holds: &bound, about: &about, now };
        match surroundings.tables(open, console).await? {
            Ok(found) => tables.extend(found),
            Err(stop) => return Ok(Err(stop)),
        }
    }
    for (name, why) in &unavailable {
        console.error(&format!("database {name} is not available: {}", why.reason));
        outcome = outcome.max(if why.temporary { Outcome::Temporary } else { Outcome::Failed });
    }
    let unavailable = unavailable.into_iter().map(|(name, why)| (name, why.reason)).collect();
    Ok(Ok((Life { subject: subject.name.clone(), key, tables, unavailable }, outcome)))
}

/// What is known of one database before its rows are looked at.
struct Around<'a> {
    job: &'a Job,
    name: &'a str,
    holds: &'a Bound,
    about: &'a Bound,
    now: Timestamp,
}

impl Around<'_> {
    /// The tables with rows of the person; inside, the end of the command where a rule does not fit.
    async fn tables(
        &self,
        open: &mut OpenDatabase,
        console: &mut Console,
    ) -> anyhow::Result<Result<Vec<InTable>, Outcome>> {
        let Self { job, name, holds, about, now } = *self;
        let keys = Keys::parse(&job.settings.keys)?;
        let pseudonym_key = keys.pseudonym.as_ref().map(|key| key.secret().to_vec());
        let options = Options { pseudonym_key, ..Options::default() };
        let mut all = Vec::new();
        for table in about.tables(open.dialect, &open.catalog) {
            let Some(of) = open.catalog.get(&table).cloned() else { continue };
            let Some(theirs) = about.stays(open.dialect, &open.catalog, &of, &open.dialect.row(&table), None) else {
                continue;
            };
            let count = open.connection.fetch(&statements::count_where(open.dialect, &table, &theirs)).await?;
            let rows = count.into_iter().flatten().next().flatten().and_then(|text| text.parse().ok()).unwrap_or(0);
            if rows == 0 {
                continue;
            }
            let governs = |rule: &&Rule| {
                let table = open.catalog.table(rule.table.schema.as_deref(), &rule.table.table);
                rule.table.database == name && table.is_some_and(|governed| governed.name == of.name)
            };
            let rules: Vec<&Rule> = job.rules().filter(governs).collect();
            let key: Vec<_> = of.key_columns().map(KeyColumn::from).collect();
            let chosen = match key.is_empty() {
                true => Vec::new(),
                false => {
                    let statement = statements::keys_where(open.dialect, &table, &key, &theirs, MOST_ROWS);
                    open.connection.fetch(&statement).await?
                }
            };
            let mut in_table = InTable {
                table: format!("{name}.{table}"),
                rows,
                looked_at: chosen.len(),
                rules: Vec::new(),
                along_with: along_with(job, name, &open.catalog, &of),
                holds: Vec::new(),
                recipients: Vec::new(),
            };
            for row in chosen {
                let row: Vec<_> = row.into_iter().map(Option::unwrap_or_default).collect();
                let found = match verdicts(job, open, &rules, holds, &row, now, &options).await? {
                    Ok(found) => look_up(job, found.unwrap_or_default(), &keys.tag, now).await?,
                    Err(diagnostics) => {
                        console.diagnostics(&diagnostics, &job.sources)?;
                        return Ok(Err(Outcome::Invalid));
                    }
                };
                let held = concerns(open, holds, &of, &row, None).await?;
                in_table.add(found, held);
            }
            all.push(in_table);
        }
        Ok(Ok(all))
    }
}

impl InTable {
    /// Adds what is said of one row.
    fn add(&mut self, found: Vec<Found>, held: Vec<Concern>) {
        let concerned = held.into_iter().chain(found.iter().flat_map(|found| found.verdict.holds.clone()));
        for concern in concerned {
            if !self.holds.iter().any(|known| known.hold == concern.hold) {
                self.holds.push(concern);
            }
        }
        for Found { verdict, recipients } in found {
            let of = match self.rules.iter_mut().position(|known| known.rule == verdict.rule) {
                Some(position) => &mut self.rules[position],
                None => {
                    let (states, rule) = (BTreeMap::new(), verdict.rule.clone());
                    self.rules.push(OfRule {
                        rule,
                        disposition: verdict.disposition,
                        states,
                        due: None,
                        last_due: None,
                        held: 0,
                    });
                    let last = self.rules.len() - 1;
                    &mut self.rules[last]
                }
            };
            *of.states.entry(verdict.state).or_default() += 1;
            of.held += usize::from(verdict.held);
            let due = verdict.until.map(|until| until.due);
            let waits = matches!(verdict.state, State::Kept | State::Due | State::Overdue);
            let due = due.filter(|_| waits);
            of.due = of.due.into_iter().chain(due).min();
            of.last_due = of.last_due.into_iter().chain(due).max();
            for recipient in recipients {
                let is_it =
                    |known: &&mut AtRecipient| known.recipient == recipient.recipient && known.state == recipient.state;
                match self.recipients.iter_mut().find(is_it) {
                    Some(known) => known.rows += 1,
                    None => {
                        let (recipient, state) = (recipient.recipient, recipient.state);
                        self.recipients.push(AtRecipient { recipient, state, rows: 1 });
                    }
                }
            }
        }
    }
}

/// The rules that name the table among their dependents, and do not only keep it.
fn along_with(job: &Job, database: &str, catalog: &Catalog, table: &Table) -> Vec<String> {
    let is_it = |path: &TablePath| {
        let found = catalog.table(path.schema.as_deref(), &path.table);
        path.database == database && found.is_some_and(|found| found.name == table.name)
    };
    let takes = |rule: &&Rule| {
        let mut dependents = rule.dependents.iter();
        rule.table.database == database
            && dependents.any(|dependent| is_it(&dependent.table) && dependent.fate != Dependent::Keep)
    };
    job.rules().filter(takes).map(|rule| rule.id.clone()).collect()
}

fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{} rows", output::count(number)) }
}

fn text(life: &Life, today: Date) -> String {
    let mut out = String::new();
    let all = life.tables.iter().map(|table| table.rows).sum();
    let _ = writeln!(out, "{} {}: {} in {} tables", life.subject, life.key.join(", "), rows(all), life.tables.len());
    for table in &life.tables {
        let _ = writeln!(out, "\n{}: {}", table.table, rows(table.rows));
        if (table.looked_at as u64) < table.rows {
            let _ = writeln!(out, "  what follows is about {} of them", table.looked_at);
        }
        if !table.along_with.is_empty() {
            let _ = writeln!(out, "  along with rows of the rules {}", table.along_with.join(", "));
        }
        if table.rules.is_empty() && table.along_with.is_empty() {
            let _ = writeln!(out, "  no rule governs the table");
        }
        for of in &table.rules {
            let _ = writeln!(out, "  rule {} ({}): {}", of.rule, of.disposition, of.words(today));
        }
        for concern in &table.holds {
            let _ = writeln!(out, "  hold {}", hold_words(concern));
        }
        for at in &table.recipients {
            let state = at.state.replace('_', " ");
            let _ = writeln!(out, "  recipient {}: {} ({state})", at.recipient, rows(at.rows as u64));
        }
    }
    out
}

impl OfRule {
    fn words(&self, today: Date) -> String {
        let words = self.states.iter().map(|(state, rows)| {
            let state = match state {
                State::NotGoverned => "not governed",
                State::AlreadyDone => "carried out",
                State::WithoutStartingPoint => "without starting point",
                State::Kept => "kept",
                State::Due => "due",
                State::Overdue => "overdue",
            };
            format!("{rows} {state}")
        });
        let mut words = words.collect::<Vec<_>>().join(", ");
        if let Some(due) = self.due {
            words += &if due <= today { format!("; due since {due}") } else { format!("; due from {due}") };
        }
        if self.held > 0 {
            words += &format!("; {} kept by a hold", self.held);
        }
        words
    }
}
