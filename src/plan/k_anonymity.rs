//! The gate behind an anonymizing rule: the groups that its rows form, and what is done about those that are too small.

use super::{PlannedStatement, change::changes, condition, dependents, find::find_column, guard};
use crate::{
    anonymize::{self, Generalize, Technique},
    catalog::{Column, Table},
    clock::{period::Switch, starting_point::Source},
    database::{
        Change, Connection, Dialect, Error, Lock, Work,
        groups::{self, Diverse, GroupCounts, GroupsWork},
        statements::{self, KeySelection},
    },
    diagnostic::{Code, Diagnostic, Severity},
    plan::{
        options::Options,
        resolver::Resolver,
        shown::{dependent_statements, planned},
        surroundings::Surroundings,
    },
    rules::{AtLast, Dependent, Disposition, KAnonymity, Limits, Missing},
    sql::{Sql, Statement},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A gate that was passed is counted again after this time, even if the rule has changed nothing since: rows can come and go
/// without it.
const COUNTED_AGAIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A page of rows holds no more keys.
pub const PAGE: u64 = 50_000;

/// The executable side of `k_anonymity`.
#[derive(Clone, Debug)]
pub struct Gate {
    pub work: GroupsWork,
    /// In the order in which they are taken.
    pub measures: Vec<Measure>,
    /// Tells these terms from others; the day on which rows become due is not among them.
    pub terms: String,
}

/// One thing that is done with rows of groups that are too small.
#[derive(Clone, Debug)]
pub struct Measure {
    /// For plan, report and ledger, for example `postal_code: removed`.
    pub label: String,
    pub disposition: Disposition,
    /// Batches of it: their rows are due, governed and done, and this would change something.
    pub work: Work,
    /// It would change something.
    pending: Option<Sql>,
}

/// When a gate was passed, and under which terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub terms: String,
    pub at: Timestamp,
}

/// What the plan says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedKAnonymity {
    pub quasi_identifiers: Vec<String>,
    pub k: u64,
    /// Sensitive columns with the least number of different values in each group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub l_diversity: BTreeMap<String, u64>,
    /// In words, one after the other.
    pub then: Vec<String>,
    pub at_last: AtLast,
    /// The groups of rows that are done so far; none where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupCounts>,
}

impl PlannedKAnonymity {
    /// There is something to do about groups that are too small.
    pub fn is_open(&self) -> bool {
        self.groups.as_ref().is_some_and(|groups| groups.free_below() > 0)
    }
}

impl Gate {
    /// One row with all counts.
    pub async fn count(&self, connection: &mut dyn Connection, dialect: &dyn Dialect) -> Result<GroupCounts, Error> {
        let rows = connection.fetch(&groups::count(dialect, &self.work)).await?;
        GroupCounts::read(&rows)
    }
}

impl Measure {
    /// The statement for the next rows of too small groups of which it would change something.
    pub fn page(&self, gate: &Gate, selection: &KeySelection, dialect: &dyn Dialect) -> Statement {
        groups::page(dialect, &gate.work, &self.work, self.pending.as_ref(), selection, PAGE)
    }
}

/// Why the gate may not change so many rows; `total` are all rows of the table.
pub fn gate_refusal(limits: &Limits, groups: &GroupCounts, total: u64) -> Option<String> {
    let refusals = guard::over(limits, groups.free_below(), total, "anonymized and in groups that are too small");
    (!refusals.is_empty()).then(|| refusals.join("; "))
}

/// What the plan says, with the groups of today where that is worth a pass over the rows: a run that has something to do
/// counts them afterwards.
pub(super) async fn plan(
    connection: &mut dyn Connection,
    dialect: &dyn Dialect,
    gate: Option<(&KAnonymity, &Gate)>,
    rule: &str,
    due: u64,
    options: &Options,
    now: Timestamp,
) -> Result<Option<PlannedKAnonymity>, Error> {
    let Some((terms, gate)) = gate else { return Ok(None) };
    let passed = options.passed.get(rule).is_some_and(|passed| {
        let age = now.duration_since(passed.at);
        passed.terms == gate.terms && !age.is_negative() && age < COUNTED_AGAIN
    });
    let is_counted = options.thorough || (due == 0 && !passed);
    let groups = if is_counted { Some(gate.count(connection, dialect).await?) } else { None };
    let suppressing = gate.measures.iter().take(terms.then.len());
    Ok(Some(PlannedKAnonymity {
        quasi_identifiers: terms.quasi_identifiers.clone(),
        k: terms.k,
        l_diversity: terms.l_diversity.iter().cloned().collect(),
        then: suppressing.map(|measure| measure.label.clone()).collect(),
        at_last: terms.at_last,
        groups,
    }))
}

/// Every statement of the gate, with words in place of keys.
pub(super) fn planned_statements(dialect: &dyn Dialect, gate: &Gate) -> Vec<PlannedStatement> {
    let mut shown = vec![planned("count the groups", &groups::count(dialect, &gate.work))];
    for measure in &gate.measures {
        let (work, selection) = (&measure.work, KeySelection::of(&measure.work));
        let key = |columns: usize| [vec!["(key)".to_owned(); columns]];
        let keys = key(work.locator().len());
        let of = |what: &str| format!("{what} ({})", measure.label);
        shown.push(planned(&of("find rows of groups that are too small"), &measure.page(gate, &selection, dialect)));
        let chosen = statements::select_chosen(dialect, work, &selection, &keys, Some(Lock::Waiting));
        shown.push(planned(&of("take a batch of them"), &chosen));
        for dependent in &work.dependents {
            for (purpose, statement) in dependent_statements(dialect, dependent, Lock::Waiting) {
                shown.push(planned(&of(purpose), &statement));
            }
        }
        shown.push(planned(&of("change a batch of them"), &statements::change_keys(dialect, work, &keys)));
    }
    shown
}

/// Named in the report and the ledger.
const ERASED: &str = "erased";
const REMOVED: &str = "every quasi-identifier: removed";

impl Resolver<'_, '_> {
    /// The gate of a rule whose `work` is known; nothing where it has none or does not fit.
    pub(super) fn k_anonymity(&mut self, table: &Table, row: &str, work: &Work) -> Option<Gate> {
        let (rule, around) = (self.rule, self.around);
        let terms = rule.k_anonymity.as_ref()?;
        let undone = work.undone.as_ref()?;
        let (dialect, engine) = (around.dialect, around.catalog.engine);
        let errors = self.errors();
        self.check_population(table, terms);
        let (mut by, mut bare) = (Vec::new(), Vec::new());
        for (index, name) in terms.quasi_identifiers.iter().enumerate() {
            let place = terms.place.key("quasi_identifiers").item(index);
            let Some(column) = self.keep(find_column(table, name, place.clone())) else { continue };
            if table.primary_key.contains(name) || table.is_unique(name) {
                let message = format!("column `{name}` is unique: every group would have one row");
                let error = Diagnostic::error(Code::KAnonymity, place, message);
                self.found.push(error.help("leave it out: it is an identifier, and something must become of it"));
                continue;
            }
            by.extend(anonymize::told_apart(&dialect.column(row, name), column, engine));
            bare.push(format!("{} is null", dialect.column(row, name)));
        }
        let mut diverse = Vec::new();
        for (name, least) in &terms.l_diversity {
            let place = terms.place.key("l_diversity").key(name).name();
            let Some(column) = self.keep(find_column(table, name, place)) else { continue };
            let value = anonymize::counted_as_one(&dialect.column(row, name), column, engine);
            diverse.push(Diverse { value, least: *least });
        }
        if self.errors() > errors {
            return None;
        }
        let done = undone.clone().negated();
        let mut measures = Vec::new();
        for (index, columns) in terms.then.iter().enumerate() {
            let place = terms.place.key("then").item(index);
            let found = changes(around, table, row, columns, &place, &rule.id, self.found)?;
            self.check_constants(table, terms, index, columns);
            let label: Vec<_> = columns.iter().map(|(name, how)| format!("{name}: {}", how.label())).collect();
            let pending = found.undone.clone();
            measures.push(suppressing(work, label.join(", "), &done, pending, found.change()));
        }
        if terms.at_last == AtLast::Suppress {
            let own = |name: &String| rule.columns.iter().any(|own| own.0 == *name && own.1 == Technique::Suppress);
            let columns = terms.quasi_identifiers.iter().filter(|name| !own(name));
            let columns: Vec<_> = columns.map(|name| (name.clone(), Technique::Suppress)).collect();
            let found = changes(around, table, row, &columns, &terms.place.key("at_last"), &rule.id, self.found)?;
            let pending = found.undone.clone();
            measures.push(suppressing(work, REMOVED.to_owned(), &done, pending, found.change()));
        }
        if terms.at_last == AtLast::Erase {
            let along = self.erased_along(table);
            let held = self.held(table, row, &Change::Erase, &along.work);
            measures.push(Measure {
                label: ERASED.to_owned(),
                disposition: Disposition::Erase,
                work: Work {
                    undone: Some(done.clone()),
                    change: Change::Erase,
                    dependents: along.work,
                    guards: along.guards,
                    held,
                    ..measuring(work)
                },
                pending: None,
            });
        }
        let governed: Vec<_> = work.condition.iter().chain([&done]).collect();
        let own = (&by, terms.k, &diverse, &governed, terms.at_last);
        let labels: Vec<_> = measures.iter().map(|measure| &measure.label).collect();
        let terms_digest = hex::encode(Sha256::digest(format!("{:?} {own:?} {labels:?}", work.table)));
        let population = Sql::all(std::iter::once(&work.due).chain(governed));
        let bare = (terms.at_last == AtLast::Suppress).then(|| bare.join(" and "));
        let (table, held) = (work.table.clone(), work.held.clone());
        let work = GroupsWork { table, population, held, by, k: terms.k, diverse, bare };
        Some(Gate { work, measures, terms: terms_digest })
    }

    fn errors(&self) -> usize {
        self.found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Which rows the rule has anonymized must be seen of the rows themselves: they are still due, and still governed.
    fn check_population(&mut self, table: &Table, terms: &KAnonymity) {
        let rule = self.rule;
        let changed = || rule.columns.iter().chain(terms.then.iter().flatten());
        let mut refuse = |message: String, help: &str| {
            let error = Diagnostic::error(Code::KAnonymity, terms.place.name(), message);
            self.found.push(error.help(help));
        };
        let asked = condition::columns(rule.condition.as_ref(), self.around.catalog.engine);
        let removed = || terms.suppressed_at_last().iter();
        let known = |name: &String| {
            changed().map(|(changed, _)| changed).chain(removed()).any(|changed| changed.eq_ignore_ascii_case(name))
        };
        if let Some(name) = asked.iter().find(|name| known(name)) {
            let message =
                format!("`where` asks for `{name}`, which the rule changes: rows that are done could not be counted");
            refuse(message, "ask for another column");
        }
        match &rule.starting_point.source {
            Source::Column(point) => {
                let choices = [Some(&rule.retention_period), rule.regular_deletion_period.as_ref()];
                let by_year = choices.into_iter().flatten().flat_map(|choice| &choice.when);
                let by_year = by_year.into_iter().any(|(switch, _)| matches!(switch, Switch::FiscalYearEndingIn(_)));
                let stays_due = |technique: &Technique| match technique {
                    // the first day of a month or a year is earlier, and a lower number is an earlier time
                    Technique::Generalize(
                        Generalize::Month | Generalize::Year | Generalize::Decade | Generalize::Bucket(_),
                    ) => !by_year,
                    Technique::Suppress => rule.starting_point.missing == Missing::Due,
                    _ => false,
                };
                let is_removed = removed().any(|name| name == point) && !stays_due(&Technique::Suppress);
                if is_removed || changed().any(|(name, technique)| name == point && !stays_due(technique)) {
                    let message = format!(
                        "the rule changes its starting point `{point}`: rows that are done may not be due any more, and \
                         could not be counted"
                    );
                    refuse(message, "leave that column as it is, or use `generalize`");
                }
            }
            Source::Related { table: related, .. } => {
                let goes = rule.dependents.iter().any(|named| named.table == *related && named.fate != Dependent::Keep);
                if goes && rule.starting_point.missing != Missing::Due {
                    let message = format!(
                        "the starting point lies in `{related}`, whose rows go along: rows that are done have none, and \
                         could not be counted"
                    );
                    refuse(message, "name that table `keep`, or take a starting point of the table itself");
                }
            }
        }
        if terms.at_last == AtLast::Erase && self.around.catalog.hides_foreign_keys {
            let message = "this user may not see every foreign key that points at the table".to_owned();
            let help = "`sunset grants` prints the privilege that shows them; or write `at_last: fail`";
            let error = Diagnostic::error(Code::Privilege, terms.place.name(), message);
            self.found.push(error.help(help));
        }
        if terms.at_last == AtLast::Erase {
            for trigger in table.triggers.iter().filter(|trigger| trigger.on_delete && !trigger.on_update) {
                let message = format!("trigger `{}` fires for each row that `k_anonymity` erases", trigger.name);
                let warning = Diagnostic::warning(Code::Trigger, terms.place.name(), message);
                self.found.push(warning.help("see that it keeps no copy of what goes"));
            }
        }
    }

    /// A constant must be one that the rule's own technique leaves as it is.
    fn check_constants(&mut self, table: &Table, terms: &KAnonymity, item: usize, columns: &[(String, Technique)]) {
        for (name, technique) in columns.iter().filter(|(_, technique)| matches!(technique, Technique::Replace(_))) {
            let first = self.rule.columns.iter().find(|(column, _)| column == name).map(|(_, technique)| technique);
            let (Some(first), Some(column)) = (first, table.column(name)) else { continue };
            if !rests(first, technique, column, self.around) {
                let message = format!(
                    "`{name}` ({}) would not come to rest under `columns` ({})",
                    technique.label(),
                    first.label()
                );
                let place = terms.place.key("then").item(item).key(name);
                let error = Diagnostic::error(Code::KAnonymity, place, message);
                self.found.push(error.help("take `suppress`, or a value that `columns` would leave as it is"));
            }
        }
    }

    /// What goes with rows that are erased at last. A dependent that is kept stands against that.
    fn erased_along(&mut self, table: &Table) -> dependents::Resolved {
        let rule = self.rule;
        let mut again = Vec::new();
        let along = dependents::resolve_for(rule, table, self.around, true, &mut again);
        // what stands against the rule itself has been told
        self.found.extend(again.into_iter().filter(|diagnostic| !self.found.contains(diagnostic)).collect::<Vec<_>>());
        for dependent in rule.dependents.iter().filter(|dependent| dependent.fate == Dependent::Keep) {
            let written = &dependent.table;
            let kept = self.around.catalog.table(written.schema.as_deref(), &written.table);
            let named = |kept: &&Table| along.named.iter().any(|n| n.work.is_none() && n.table == kept.name);
            if kept.filter(named).is_some() {
                let message = format!("`{written}` is kept, and points at rows that `k_anonymity` would erase at last");
                let error = Diagnostic::error(Code::KAnonymity, dependent.place.clone(), message);
                self.found
                    .push(error.help("name it `erase` or `unlink`, or write `at_last: suppress` under `k_anonymity`"));
            }
        }
        along
    }
}

/// A measure that changes columns of rows that are done.
fn suppressing(work: &Work, label: String, done: &Sql, pending: Sql, change: Change) -> Measure {
    let undone = Some(Sql::all([done, &pending]));
    let work = Work { undone, change, dependents: Vec::new(), guards: Vec::new(), ..measuring(work) };
    Measure { label, disposition: Disposition::Anonymize, work, pending: Some(pending) }
}

/// The rule's work as far as a measure shares it.
fn measuring(work: &Work) -> Work {
    Work { recipients: Vec::new(), waiting: None, missing: None, plainly_missing: None, ..work.clone() }
}

/// A column's constant is left as it is by the rule's own technique.
fn rests(first: &Technique, constant: &Technique, column: &Column, around: &Surroundings) -> bool {
    let context = anonymize::Context {
        engine: around.catalog.engine,
        column_sql: String::new(),
        key_sql: String::new(),
        pseudonym_key: None,
        scope: String::new(),
        copied: None,
        zone: around.settings.time_zone.clone(),
    };
    // the same for any value that is not null
    let constant = constant.apply(Some(""), column, "", &context);
    constant.is_some_and(|value| first.apply(Some(&value), column, "", &context) == Some(value))
}
