//! Rules as they answer requests: each in a form of its own, with its turn, and with what other rules keep spared.

use super::{Answer, Asking, Blocked, Request, Turn, sight::cuts};
use crate::{
    catalog::{Table, TableName, TablePath},
    database::Work,
    diagnostic::Severity,
    plan::{
        Bound,
        interplay::names::{Live, Names as _},
        open::OpenDatabase,
        resolve::{self, Resolved},
        surroundings::{Surroundings, surroundings},
    },
    rules::{Covers, Dependent, Disposition, Rule},
    sql::Sql,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A rule as it answers requests, with the position of the rule itself.
pub(in crate::plan) struct Variant {
    pub position: usize,
    pub rule: Rule,
    /// Those that it honours, where its rows are home rows that may go now.
    pub holds: Option<Bound>,
    pub fits: Resolved,
    pub answer: Answer,
}

impl Asking<'_> {
    /// The rules that answer, each against its table. `needs`: the first rule needs what the second one changes.
    pub fn variants(
        &mut self,
        resolved: &[(&Rule, Resolved)],
        databases: &BTreeMap<String, OpenDatabase>,
        holds: &BTreeMap<String, Bound>,
        needs: &dyn Fn(usize, usize) -> bool,
        about: (Timestamp, Option<&[u8]>),
    ) -> Vec<Variant> {
        let mut variants = Vec::new();
        for position in 0..resolved.len() {
            match self.variant(position, resolved, databases, holds, needs, about) {
                Some(Ok(variant)) => variants.push(variant),
                Some(Err(blocked)) => self.requested.blocked.push(blocked),
                None => {}
            }
        }
        let both = variants.iter().flat_map(|one| variants.iter().filter_map(|other| ask_of_one_row(one, other)));
        let both: Vec<_> = both.collect();
        variants.retain(|one| both.iter().all(|blocked: &Blocked| blocked.rule != one.answer.rule));
        self.requested.blocked.extend(both);
        // what another rule has still to ask about stays for it
        let claimed: Vec<_> = variants.iter().map(|one| (one.position, one.fits.work.clone())).collect();
        for variant in &mut variants {
            let others = claimed.iter().filter(|(position, work)| {
                *position != variant.position
                    && resolved[*position].0.table.database == variant.answer.database
                    && work.table == variant.fits.work.table
                    && !work.recipients.is_empty()
                    && (variant.rule.disposition == Disposition::Erase || needs(*position, variant.position))
            });
            let spared: Vec<_> = others.map(|(_, work)| work.due_rows().negated()).collect();
            for others in &spared {
                spare(&mut variant.fits.work, others);
                // what waits for the other rule is left, and not done
            }
        }
        in_order(variants)
    }

    /// A rule as it answers, or why it stands back. `None`: nobody asks for it.
    fn variant(
        &self,
        position: usize,
        resolved: &[(&Rule, Resolved)],
        databases: &BTreeMap<String, OpenDatabase>,
        holds: &BTreeMap<String, Bound>,
        needs: &dyn Fn(usize, usize) -> bool,
        (now, pseudonym_key): (Timestamp, Option<&[u8]>),
    ) -> Option<Result<Variant, Blocked>> {
        let (rule, natural) = &resolved[position];
        let name = &rule.table.database;
        let (open, held, bound) = (databases.get(name)?, holds.get(name)?, self.bound.get(name)?);
        let asked = self.requested.requests.iter().filter(|request| rule.answers(request.kind));
        let asked: Vec<_> = asked.collect();
        let bound = bound.only(&asked.iter().map(|request| request.id).collect());
        if bound.is_empty() {
            return None;
        }
        let blocked = |why: String| {
            let requests = bound.requests().collect();
            Some(Err(Blocked { rule: rule.id.clone(), requests, why }))
        };
        let kinds: BTreeSet<_> = asked.iter().map(|request| request.kind).collect();
        let names = Live(databases);
        let relation = |path: &TablePath, other: &TablePath| Relation::of(&names, databases, path, other);
        let own_rules = |path: &TablePath| -> Vec<(String, bool)> {
            let about = |other: &&&Rule| relation(path, &other.table) != Relation::Apart;
            let own = resolved.iter().map(|(rule, _)| rule).filter(about);
            own.map(|rule| (rule.id.clone(), kinds.iter().any(|kind| rule.answers(*kind)))).collect()
        };
        let variant = rule.on_request(&own_rules);
        let table = open.catalog.get(&natural.work.table)?;
        if rule.covers == Some(Covers::Tree) && !open.catalog.heirs(&table.name).is_empty() {
            return blocked("whose the rows of tables are that inherit from its table cannot be told".to_owned());
        }
        let names_here = self.persons.places.names_of(name, open);
        let is_here = |request: &Request| names_here.contains(request.database.as_str());
        let is_home = |request: &&&Request| is_here(request) && request.table == table.name;
        let homes: BTreeSet<_> = asked.iter().filter(is_home).map(|request| request.id).collect();
        let changes = rule.disposition != Disposition::Erase && changes_what_finds(&bound, rule, &table.name);
        let turn = match (homes.is_empty(), changes || cuts_off(&variant, open)) {
            (false, _) => Turn::Home,
            (true, true) => Turn::Late,
            (true, false) => Turn::Early,
        };
        // home rows go only as such
        let answered = asked.iter().map(|request| request.id).collect();
        let without = (!homes.is_empty()).then(|| held.without_home_rows(&self.going(&names_here, &answered)));
        let held = without.as_ref().unwrap_or(held);
        let around = Surroundings { requested: Some(&bound), ..surroundings(self.job, open, held, now, pseudonym_key) };
        let mut fits = match resolve::resolve_rule(&variant, &around) {
            Ok(fits) => fits,
            Err(found) => {
                let errors = found.iter().filter(|found| found.severity == Severity::Error);
                return blocked(errors.map(|error| error.message.clone()).collect::<Vec<_>>().join("; "));
            }
        };
        for (at, (other, theirs)) in resolved.iter().enumerate().filter(|(at, _)| *at != position) {
            let answers = kinds.iter().all(|kind| other.answers_at_once(*kind));
            match relation(&rule.table, &other.table) {
                Relation::Same if theirs.work.table == fits.work.table && other.table.database == *name => {
                    let is_kept = rule.disposition == Disposition::Erase || needs(at, position);
                    if is_kept && !answers {
                        spare(&mut fits.work, &kept_by(&theirs.work).negated());
                    }
                }
                Relation::Same | Relation::Related => {
                    return blocked(format!(
                        "rule {} is about rows of the same table, which it calls {}: what it keeps cannot be told from here",
                        other.id, other.table
                    ));
                }
                Relation::Apart => {}
            }
        }
        let row = open.dialect.row(&table.name);
        // among rows that are due: a row of two who both asked counts for both
        let rows = asked.iter().filter_map(|request| {
            Some((request.id, bound.stays(open.dialect, &open.catalog, table, &row, Some(request.id))?))
        });
        let answer = Answer {
            rule: rule.id.clone(),
            database: name.clone(),
            dialect: open.dialect,
            work: fits.work.clone(),
            rows: rows.collect(),
            before: BTreeMap::new(),
            is_planned: false,
            homes,
            turn,
        };
        if (changes || cuts(&variant))
            && let Some(others) =
                self.kept_for_others(&asked.iter().map(|request| request.id).collect(), name, table, open)
        {
            // it is left, and not done
            spare(&mut fits.work, &others.negated());
        }
        Some(Ok(Variant { position, rule: variant, holds: without, fits, answer }))
    }

    /// The home rows that may go by a rule that answers these requests, by their tables and keys: the persons are known, and every
    /// open request of theirs is answered.
    fn going(&self, names: &BTreeSet<&str>, answered: &BTreeSet<u64>) -> BTreeSet<(&TableName, &[String])> {
        let is_answered = |id: &u64| answered.contains(id) && !self.requested.unclear.contains_key(id);
        let here = || self.home_rows.iter().filter(|(_, database, ..)| names.contains(database.as_str()));
        let mut going: BTreeSet<_> = here().map(|(_, _, table, key)| (table, key.as_slice())).collect();
        for (_, _, table, key) in here().filter(|(id, ..)| !is_answered(id)) {
            going.remove(&(table, key.as_slice()));
        }
        going
    }

    /// Rows of persons with open requests, which a rule that is no answer to them must not lose sight of: it changes columns by which
    /// they are found.
    pub fn kept_in_sight(&self, rule: &Rule, work: &Work, open: &OpenDatabase) -> Option<Sql> {
        let table = open.catalog.get(&work.table)?;
        let name = &rule.table.database;
        let changes = self.bound.get(name).is_some_and(|bound| changes_what_finds(bound, rule, &table.name));
        if !cuts(rule) && (rule.disposition == Disposition::Erase || !changes) {
            return None;
        }
        self.in_sight.get(name)?.stays(open.dialect, &open.catalog, table, &open.dialect.row(&table.name), None)
    }

    /// The same where the rule answers these requests: rows of persons who have asked for something else as well.
    fn kept_for_others(&self, asked: &BTreeSet<u64>, name: &str, table: &Table, open: &OpenDatabase) -> Option<Sql> {
        let others = self.home_rows.iter().map(|(id, ..)| *id).filter(|id| !asked.contains(id)).collect();
        let bound = self.in_sight.get(name)?.only(&others);
        bound.stays(open.dialect, &open.catalog, table, &open.dialect.row(&table.name), None)
    }
}

/// How the tables of two rules stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    /// The one has rows of the other: a table that inherits, or a partition.
    Related,
    Apart,
}

impl Relation {
    fn of(names: &Live, databases: &BTreeMap<String, OpenDatabase>, one: &TablePath, other: &TablePath) -> Self {
        let (Some(here), Some(there)) = (names.table(one), names.table(other)) else {
            // what is not there now has no rows of the other
            return if one == other { Self::Same } else { Self::Apart };
        };
        if names.apart(one, other) {
            return Self::Apart;
        }
        let is_part = |path: &TablePath| names.found(path).is_some_and(|table| table.partition_of.is_some());
        if here == there {
            let whole = is_part(one) == is_part(other)
                && names.found(one).map(|t| &t.name) == names.found(other).map(|t| &t.name);
            return if whole { Self::Same } else { Self::Related };
        }
        let inherits = |from: &TablePath, to: &TablePath| {
            let (Some(open), Some(from)) = (databases.get(&from.database), names.found(from)) else { return false };
            let heirs = open.catalog.heirs(&from.name);
            let to = names.table(to);
            here.database == there.database
                && heirs.iter().any(|heir| {
                    to.as_ref().is_some_and(|to| (&to.schema, &to.name) == (&heir.name.schema, &heir.name.name))
                })
        };
        if inherits(one, other) || inherits(other, one) { Self::Related } else { Self::Apart }
    }
}

/// Two rules that both erase the same rows and both ask recipients first: whichever comes first takes the other's rows.
fn ask_of_one_row(one: &Variant, other: &Variant) -> Option<Blocked> {
    let asks =
        |variant: &Variant| variant.rule.disposition == Disposition::Erase && !variant.fits.work.recipients.is_empty();
    let is_same = one.answer.database == other.answer.database && one.fits.work.table == other.fits.work.table;
    (one.position != other.position && is_same && asks(one) && asks(other)).then(|| Blocked {
        rule: one.answer.rule.clone(),
        requests: one.answer.rows.keys().copied().collect(),
        why: format!(
            "rule {} erases rows of the same table and asks recipients too: let one rule ask all of them",
            other.answer.rule
        ),
    })
}

/// Rules whose rows others wait for come first.
fn in_order(mut variants: Vec<Variant>) -> Vec<Variant> {
    let mut ordered: Vec<Variant> = Vec::new();
    while !variants.is_empty() {
        let waits = |one: &Variant| {
            let kept = || one.fits.dependents.iter().filter(|named| named.work.is_none());
            variants.iter().any(|other| {
                other.position != one.position
                    && other.answer.database == one.answer.database
                    && kept().any(|named| named.table == other.fits.work.table)
            })
        };
        // on a circle anyone may begin
        let next = variants.iter().position(|one| !waits(one)).unwrap_or(0);
        ordered.push(variants.remove(next));
    }
    ordered
}

/// What the rule unlinks or changes along has rows below it, which are found over it.
fn cuts_off(rule: &Rule, open: &OpenDatabase) -> bool {
    rule.dependents.iter().any(|dependent| {
        let table = open.catalog.table(dependent.table.schema.as_deref(), &dependent.table.table);
        matches!(dependent.fate, Dependent::Unlink | Dependent::Anonymize(_))
            && table.is_some_and(|table| open.catalog.referencing(&table.name).next().is_some())
    })
}

fn changes_what_finds(bound: &Bound, rule: &Rule, table: &TableName) -> bool {
    rule.columns.iter().any(|(name, _)| bound.finds_by(table, name))
}

/// Rows that another rule keeps: it governs them, has not been carried out on them, and they are not due.
fn kept_by(work: &Work) -> Sql {
    let not_due = work.due.clone().negated();
    Sql::all(work.claimed().chain([&not_due])).nested()
}

/// These rows only.
pub(in crate::plan) fn spare(work: &mut Work, spared: &Sql) {
    work.condition = Some(Sql::all(work.condition.iter().chain([spared])));
}
