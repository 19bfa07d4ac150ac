//! What a rule reads and what it writes, as data: tables and columns as the databases know them, however rules spell
//! them.

use super::names::{Names, TableId};
use crate::{
    anonymize::Technique,
    catalog::TablePath,
    clock::starting_point::{Encoding, Pick, Source},
    database::{Change, DependentWork, KeyColumn, Link, Work},
    diagnostic::Place,
    plan::{condition, resolve::Resolved},
    rules::{AtLast, CalendarUnit, Condition, Dependent, Disposition, GroupedBy, Match, Rule, RuleDependent, Total},
};
use jiff::civil::Date;
use std::cell::OnceCell;

/// When a rule's time begins for a row.
#[derive(Clone, Debug)]
pub struct Start {
    /// Among related rows; `None` where the column is one of the rule's own table.
    pub pick: Option<Pick>,
    pub table: TableId,
    pub column: String,
    pub encoding: Option<Encoding>,
    /// `None` for the job's.
    pub zone: Option<String>,
    /// Column pairs (theirs, ours) that lead to the related rows, where a schema tells.
    pub path: Vec<(KeyColumn, KeyColumn)>,
}

/// Something that must still be there when a rule acts.
#[derive(Clone, Debug)]
pub struct Need {
    pub what: What,
    pub table: TableId,
    /// `None` for the rows themselves.
    pub column: Option<String>,
    /// It stands in related rows and not in the rule's own.
    pub related: bool,
    /// Column pairs (theirs, ours) that lead to these, where a schema tells.
    pub path: Vec<(KeyColumn, KeyColumn)>,
    pub place: Place,
}

/// What a rule needs it for.
#[derive(Clone, Debug)]
pub enum What {
    /// Its time begins with it.
    Start,
    /// The rows that tell when its time begins.
    Telling,
    /// It leads to these rows.
    Through,
    /// A condition written as data, with all tests of the column.
    Where(Vec<Match>),
    /// A condition written as SQL.
    WhereSql,
    /// A recipient knows the person by it.
    Identifier { recipient: String, identifier: String },
    /// It tells which rows are done.
    Marker,
    /// Rows are added up by it; by the span of the calendar that it lies in.
    Group(Option<CalendarUnit>),
    /// It is added up.
    Sum,
    /// It is copied.
    Copied,
}

/// Something that a rule changes.
#[derive(Clone, Debug)]
pub struct Write {
    pub table: TableId,
    /// `None` where whole rows go.
    pub column: Option<String>,
    pub how: How,
    /// From a dependent that is changed along to the rule's own table; empty for rows of that table.
    pub links: Vec<Link>,
    /// It is a dependent that is changed along.
    pub along: bool,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub enum How {
    Erase,
    /// As `k_anonymity` does at last, with a row here and there.
    EraseFew,
    Change(Technique),
    /// The marker is set.
    Mark,
    /// Totals are added to.
    Total,
}

/// One rule's part in the life of rows.
#[derive(Clone, Debug)]
pub struct Life<'a> {
    pub rule: &'a Rule,
    pub table: TableId,
    pub start: Start,
    pub needs: Vec<Need>,
    pub writes: Vec<Write>,
    /// When it is due, for each of the starting days that rules are compared on.
    pub due_days: OnceCell<Vec<Date>>,
}

impl<'a> Life<'a> {
    /// What the rule reads and writes, as far as `names` can tell; `resolved` where its database was asked.
    pub fn of(rule: &'a Rule, names: &dyn Names, resolved: Option<&Resolved>) -> Option<Self> {
        let table = names.table(&rule.table)?;
        let start = start(rule, &table, names)?;
        let mut life = Self { rule, table, start, needs: Vec::new(), writes: Vec::new(), due_days: OnceCell::new() };
        life.needs_of_start();
        life.needs_of_condition(names);
        life.other_needs(names);
        life.own_writes(names);
        match resolved {
            Some(resolved) => life.dependents(names, resolved),
            None => life.dependents_on_paper(names),
        }
        Some(life)
    }

    fn need(&mut self, what: What, column: String, place: Place) {
        let (table, column) = (self.table.clone(), Some(column));
        self.needs.push(Need { what, table, column, related: false, path: Vec::new(), place });
    }

    fn needs_of_start(&mut self) {
        let start = self.start.clone();
        let place = self.rule.place.key("starting_point");
        match start.pick {
            None => {
                let column = place.key("column");
                self.need(What::Start, start.column, column);
            }
            Some(pick) => {
                let at = place.key(if pick == Pick::Latest { "latest" } else { "earliest" });
                let need = |what, column| Need {
                    what,
                    table: start.table.clone(),
                    column,
                    related: true,
                    path: start.path.clone(),
                    place: at.clone(),
                };
                self.needs.push(need(What::Start, Some(start.column.clone())));
                self.needs.push(need(What::Telling, None));
                for (theirs, ours) in &start.path {
                    let through = place.key("through");
                    self.needs.push(Need { place: through.clone(), ..need(What::Through, Some(theirs.name.clone())) });
                    self.need(What::Through, ours.name.clone(), through);
                }
            }
        }
    }

    fn needs_of_condition(&mut self, names: &dyn Names) {
        let rule = self.rule;
        let place = rule.place.key("where");
        match &rule.condition {
            None => {}
            Some(Condition::Data(terms)) => {
                let mut seen: Vec<&str> = Vec::new();
                for (name, _) in terms {
                    if seen.contains(&name.as_str()) {
                        continue;
                    }
                    seen.push(name);
                    let tests = terms.iter().filter(|(other, _)| other == name).map(|(_, test)| test.clone());
                    self.need(What::Where(tests.collect()), names.column(&rule.table, name), place.key(name));
                }
            }
            Some(Condition::Sql(_)) => {
                let Some(engine) = names.engine(&rule.table) else { return };
                for name in condition::columns(rule.condition.as_ref(), engine) {
                    self.need(What::WhereSql, names.column(&rule.table, &name), place.clone());
                }
            }
        }
    }

    fn other_needs(&mut self, names: &dyn Names) {
        let rule = self.rule;
        for recipient in &rule.recipients {
            for (identifier, column) in &recipient.identifiers {
                let what = What::Identifier { recipient: recipient.name.clone(), identifier: identifier.clone() };
                self.need(what, names.column(&rule.table, column), recipient.place.key(identifier));
            }
        }
        if let Some(marker) = &rule.marker {
            self.need(What::Marker, names.column(&rule.table, marker), rule.place.key("marker"));
        }
        for (name, technique) in &rule.columns {
            let Technique::Copy(source) = technique else { continue };
            let place = rule.place.key("columns").key(name).key("copy");
            match source {
                Source::Column(from) => self.need(What::Copied, names.column(&rule.table, from), place),
                Source::Related { table, column, through, .. } => {
                    let Some(related) = names.table(table) else { continue };
                    let path = names.path(&rule.table, table, through);
                    let column = Some(names.column(table, column));
                    self.needs.push(Need { what: What::Copied, table: related, column, related: true, path, place });
                }
            }
        }
        let Some(aggregate) = &rule.aggregate else { return };
        for (name, by) in &aggregate.by {
            let unit = match by {
                GroupedBy::Column(_) => None,
                GroupedBy::Calendar(unit, _) => Some(*unit),
            };
            let place = aggregate.place.key("by").key(name);
            self.need(What::Group(unit), names.column(&rule.table, by.column()), place);
        }
        for (name, total) in &aggregate.totals {
            if let Total::Sum(column) = total {
                let place = aggregate.place.key("totals").key(name);
                self.need(What::Sum, names.column(&rule.table, column), place);
            }
        }
        let persons = names.column(&rule.table, &aggregate.smallest_group.persons);
        self.need(What::Group(None), persons, aggregate.place.key("smallest_group").key("persons"));
    }

    fn write(&mut self, column: Option<String>, how: How, place: Place) {
        let (table, links) = (self.table.clone(), Vec::new());
        self.writes.push(Write { table, column, how, links, along: false, place });
    }

    fn own_writes(&mut self, names: &dyn Names) {
        let rule = self.rule;
        let column = |name: &str| Some(names.column(&rule.table, name));
        let place = rule.place.key("columns");
        match rule.disposition {
            Disposition::Erase => self.write(None, How::Erase, rule.place.key("disposition")),
            disposition => {
                for (index, (name, technique)) in rule.columns.iter().enumerate() {
                    let place = match disposition {
                        Disposition::Unlink => place.item(index),
                        _ => place.key(name),
                    };
                    self.write(column(name), How::Change(technique.clone()), place);
                }
            }
        }
        if let Some(marker) = &rule.marker {
            self.write(column(marker), How::Mark, rule.place.key("marker"));
        }
        if let Some(gate) = &rule.k_anonymity {
            for (index, columns) in gate.then.iter().enumerate() {
                for (name, technique) in columns {
                    let place = gate.place.key("then").item(index).key(name);
                    self.write(column(name), How::Change(technique.clone()), place);
                }
            }
            let at_last = gate.place.key("at_last");
            match gate.at_last {
                AtLast::Erase => self.write(None, How::EraseFew, at_last),
                AtLast::Suppress => {
                    for name in &gate.quasi_identifiers {
                        self.write(column(name), How::Change(Technique::Suppress), at_last.clone());
                    }
                }
                AtLast::Fail => {}
            }
        }
        if let Some(aggregate) = &rule.aggregate
            && let Some(table) = names.table(&aggregate.into)
        {
            let into = aggregate.place.key("into");
            for (name, _) in aggregate.columns() {
                let column = Some(names.column(&aggregate.into, name));
                let (table, place) = (table.clone(), into.clone());
                self.writes.push(Write { table, column, how: How::Total, links: Vec::new(), along: false, place });
            }
        }
    }

    /// Dependents, as the foreign keys of the live schema lead to them.
    fn dependents(&mut self, names: &dyn Names, resolved: &Resolved) {
        let measures = resolved.gate.iter().flat_map(|gate| &gate.measures);
        let works: Vec<&Work> = std::iter::once(&resolved.work).chain(measures.map(|measure| &measure.work)).collect();
        for dependent in works.into_iter().flat_map(|work| &work.dependents) {
            let Some(table) = names.by_name(&self.rule.table.database, &dependent.table) else { continue };
            let named = self.named(&table, dependent, names);
            let place = named.map_or_else(|| self.rule.place.key("dependents"), |named| named.place.clone());
            let write = |column, how, place| Write {
                table: table.clone(),
                column,
                how,
                links: dependent.links.clone(),
                along: true,
                place,
            };
            match (&dependent.change, named.map(|named| &named.fate)) {
                (Change::Erase, _) => self.writes.push(write(None, How::Erase, place)),
                (_, Some(Dependent::Anonymize(columns))) => {
                    for (name, technique) in columns {
                        let column = Some(names.fold(&self.rule.table, name));
                        let place = place.key("anonymize").key(name);
                        self.writes.push(write(column, How::Change(technique.clone()), place));
                    }
                }
                (Change::Update(columns) | Change::Compute { sql: columns, .. }, _) => {
                    let link = dependent.links.first();
                    let cut =
                        |name: &String| link.is_some_and(|link| link.columns.iter().any(|column| column.name == *name));
                    for (name, _) in columns.iter().filter(|(name, _)| cut(name)) {
                        let column = Some(names.fold(&self.rule.table, name));
                        self.writes.push(write(column, How::Change(Technique::Suppress), place.clone()));
                    }
                }
            }
        }
    }

    /// Dependents as far as files tell: which columns are unlinked, only the schema knows.
    fn dependents_on_paper(&mut self, names: &dyn Names) {
        for dependent in &self.rule.dependents {
            let path = &dependent.table;
            let Some(table) = names.table(path) else { continue };
            let place = dependent.place.clone();
            let write =
                |column, how, place| Write { table: table.clone(), column, how, links: Vec::new(), along: true, place };
            match &dependent.fate {
                Dependent::Erase => self.writes.push(write(None, How::Erase, place)),
                Dependent::Anonymize(columns) => {
                    for (name, technique) in columns {
                        let place = place.key("anonymize").key(name);
                        let column = Some(names.column(path, name));
                        self.writes.push(write(column, How::Change(technique.clone()), place));
                    }
                }
                Dependent::Keep | Dependent::Unlink => {}
            }
        }
    }

    /// The rule's words for a dependent: those that name its key, before those that name its table alone.
    fn named(&self, table: &TableId, dependent: &DependentWork, names: &dyn Names) -> Option<&'a RuleDependent> {
        let key = dependent.links.first().map(|link| &link.columns);
        let by_key = |named: &&RuleDependent| {
            key.is_some_and(|key| {
                named.by.len() == key.len() && key.iter().all(|column| named.by.contains(&column.name))
            })
        };
        let of_table = || self.rule.dependents.iter().filter(|named| names.table(&named.table).as_ref() == Some(table));
        of_table().find(by_key).or_else(|| of_table().find(|named| named.by.is_empty())).or_else(|| of_table().next())
    }

    /// What the rule makes of dependents in this table, by each key that it names.
    pub fn fates_of(&self, table: &TableId, names: &dyn Names) -> Vec<&'a Dependent> {
        let named = self.rule.dependents.iter().filter(|named| names.table(&named.table).as_ref() == Some(table));
        named.map(|named| &named.fate).collect()
    }

    /// It asks this recipient by that column itself.
    pub fn asks(&self, recipient: &str, identifier: &str, column: &str) -> bool {
        self.needs.iter().any(|need| match &need.what {
            What::Identifier { recipient: name, identifier: by } => {
                name == recipient && by == identifier && need.column.as_deref() == Some(column)
            }
            _ => false,
        })
    }
}

fn start(rule: &Rule, table: &TableId, names: &dyn Names) -> Option<Start> {
    let point = &rule.starting_point;
    let start = |pick, table: TableId, of: &TablePath, column: &str, path| Start {
        pick,
        table,
        column: names.column(of, column),
        encoding: point.encoding,
        zone: point.zone.clone(),
        path,
    };
    Some(match &point.source {
        Source::Column(column) => start(None, table.clone(), &rule.table, column, Vec::new()),
        Source::Related { pick, table: related, column, through } => {
            let path = names.path(&rule.table, related, through);
            start(Some(*pick), names.table(related)?, related, column, path)
        }
    })
}
