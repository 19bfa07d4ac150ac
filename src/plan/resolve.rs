//! One rule against the live schema: a [`Work`] to do, or diagnostics that say why not.

use super::{
    condition, dependents,
    find::find_table,
    indexes::{self, MissingIndex},
};
use crate::{
    catalog::{Engine, Table, TableKind, TableName},
    clock,
    database::{Change, DependentWork, KeyColumn, Point, Work, statements},
    diagnostic::{Code, Diagnostic},
    plan::{
        resolver::{EpochColumn, Resolver},
        surroundings::Surroundings,
    },
    rules::{Covers, Disposition, Missing, Rule},
    sql::Sql,
};

/// A rule that fits its database.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub work: Work,
    /// What is counted after the work.
    pub gate: Option<super::Gate>,
    pub cut_off: super::CutOff,
    pub dependents: Vec<dependents::Named>,
    /// Columns of tables that are neither the rule's own nor changed along.
    pub looked_at: Vec<(TableName, Vec<String>)>,
    /// The column of the table itself that holds the starting point.
    pub point_column: Option<KeyColumn>,
    /// The index on the starting point.
    pub index: Option<String>,
    /// The column that counts time from 1970, where the starting point is one.
    pub epoch: Option<EpochColumn>,
    pub missing_indexes: Vec<MissingIndex>,
    pub holds: Vec<String>,
    pub warnings: Vec<Diagnostic>,
}

/// Checks a rule against the schema and makes its SQL.
///
/// # Errors
/// Everything that stands against it, warnings included.
pub fn resolve_rule(rule: &Rule, around: &Surroundings) -> Result<Resolved, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let (missing_indexes, looked_at) = (Vec::new(), Vec::new());
    let resolved = Resolver { rule, around, found: &mut found, missing_indexes, looked_at, epoch: None }.resolve();
    let failed = found.iter().any(|diagnostic| diagnostic.severity == crate::diagnostic::Severity::Error);
    match resolved {
        Some(resolved) if !failed => Ok(Resolved { warnings: found, ..resolved }),
        _ => Err(found),
    }
}

impl Resolver<'_, '_> {
    fn resolve(mut self) -> Option<Resolved> {
        let (rule, around) = (self.rule, self.around);
        let (catalog, dialect) = (around.catalog, around.dialect);
        let table = self.keep(find_table(catalog, &rule.table, rule.place.key("table")))?;
        self.check_table(table)?;
        let row = dialect.row(&table.name);

        let mut looked_at = Vec::new();
        let point = self.starting_point(table, &row, &mut looked_at);
        let condition = rule
            .condition
            .as_ref()
            .map(|condition| condition::on_rows(dialect, table, &row, condition, &rule.place.key("where"), self.found));
        let change = self.change(table, &row);
        let aggregate = self.aggregate(table, &row);
        let dependents = dependents::resolve(rule, table, around, self.found);
        looked_at.extend(dependents.looked_at.iter().cloned());
        looked_at.append(&mut self.looked_at);
        let (point, kind, point_column) = point?;
        let (change, undone) = change?;

        let days = |choice| {
            let today = clock::today(around.now, &around.settings.time_zone);
            clock::due_days(&rule.starting_point.counted_from, choice, &around.settings.parameters, today)
        };
        let due_days = days(&rule.retention_period);
        let overdue_days = rule.regular_deletion_period.as_ref().map(days);
        let unreadable = self.unreadable(&point, kind);
        let plainly_unreadable = self.plainly_unreadable(&point, kind);
        let mut due = self.past(&point, kind, &due_days);
        let cheaper = dialect.reads_dearly(kind) && rule.starting_point.missing != Missing::Due;
        let plainly_due = cheaper.then(|| self.plainly_past(&point, kind, &due_days));
        let mut overdue = overdue_days.as_ref().map(|days| self.past(&point, kind, days));
        let missing = match rule.starting_point.missing {
            Missing::Report => Some(unreadable.clone()),
            Missing::Ignore => None,
            Missing::Due => {
                due = Sql::join([&due, &unreadable], " or ").nested();
                overdue = overdue.map(|overdue| Sql::join([&overdue, &unreadable], " or ").nested());
                None
            }
        };

        let on_request = rule.on_request.condition.as_ref().and_then(|condition| {
            let place = rule.place.key("on_request").key("where");
            condition::on_rows(dialect, table, &row, condition, &place, self.found)
        });
        let index = point_column.as_ref().and_then(|column| table.index_on(std::slice::from_ref(&column.name)));
        self.warn_without_index(table, point_column.as_ref(), kind);
        self.missing_indexes.extend(dependents.missing_indexes.iter().cloned());
        let recipients = self.recipients(table);
        let held = self.held(table, &row, &change, &dependents.work);
        let children = dependents.work.iter().filter_map(|dependent| catalog.get(&dependent.table));
        let tables: Vec<_> = std::iter::once(table).chain(children).collect();
        let hold_names = self.concerned(&tables, &mut looked_at);
        let own_column = point_column.clone();
        let work = Work {
            table: table.name.clone(),
            key: table.key_columns().map(KeyColumn::from).collect(),
            rowid: table.rowid.clone(),
            leaves: self.leaves(table),
            point: Point { value: point, kind, related: point_column.is_none() },
            point_column: point_column.filter(|_| rule.starting_point.missing != Missing::Due),
            condition: self.own_rows(table, &row, condition.flatten()),
            undone,
            unreadable,
            due,
            plainly_due,
            overdue,
            plainly_missing: missing.as_ref().map(|_| plainly_unreadable),
            missing,
            held,
            waiting: dependents.waiting.clone(),
            recipients,
            change,
            aggregate,
            evidence: rule.evidence,
            dependents: dependents.work,
            watched: None,
            guards: dependents.guards,
        };
        if let Some(requested) = around.requested {
            let theirs = self.certain(requested.theirs(dialect, catalog, table, &row, None))?;
            let work = Work { waiting: self.waits_for_others(requested, table, &work)?, ..work };
            return Some(self.asked_for(work, theirs, on_request, dependents.named, looked_at, hold_names, due_days));
        }
        let gate = self.k_anonymity(table, &row, &work);
        let words = clock::explain(
            &due_days,
            &rule.starting_point.counted_from,
            &rule.retention_period,
            &around.settings.parameters,
            &around.settings.time_zone,
        );
        let starting_point = self.starting_point_words();
        let cut_off = super::CutOff { words, due: due_days, overdue: overdue_days, starting_point };
        let index = index.map(|index| index.name.clone());
        Some(Resolved {
            work,
            gate,
            cut_off,
            dependents: dependents.named,
            looked_at,
            point_column: own_column,
            index,
            epoch: self.epoch,
            missing_indexes: self.missing_indexes,
            holds: hold_names,
            warnings: Vec::new(),
        })
    }

    /// What would go or be changed along has to be about the same persons, and about nobody else: else the row waits.
    fn waits_for_others(&mut self, requested: &super::Bound, table: &Table, work: &Work) -> Option<Option<Sql>> {
        let (catalog, dialect) = (self.around.catalog, self.around.dialect);
        let mut waiting: Vec<_> = work.waiting.iter().cloned().collect();
        for dependent in work.dependents.iter().filter(|dependent| dependent.disposition != Disposition::Unlink) {
            let Some(child) = catalog.get(&dependent.table) else { continue };
            let theirs = requested.theirs(dialect, catalog, child, &statements::alias(&table.name, "k0"), None);
            let other = self.certain(theirs)?.map(Sql::negated);
            waiting.push(statements::exists_dependent(dialect, &table.name, &dependent.links, other.as_ref()));
        }
        Some((!waiting.is_empty()).then(|| Sql::join(&waiting, " or ").nested()))
    }

    /// What tells whose rows are, or the rule cannot answer requests.
    fn certain(&mut self, theirs: Result<Option<Sql>, String>) -> Option<Option<Sql>> {
        match theirs {
            Ok(theirs) => Some(theirs),
            Err(why) => {
                let place = self.rule.place.key("on_request");
                self.found.push(Diagnostic::error(Code::BadOnRequest, place, why));
                None
            }
        }
    }

    /// The rule on rows of persons who have asked for it, whatever their age.
    #[expect(clippy::too_many_arguments, reason = "what a rule was resolved to so far")]
    fn asked_for(
        self,
        work: Work,
        theirs: Option<Sql>,
        only: Option<Sql>,
        dependents: Vec<dependents::Named>,
        looked_at: Vec<(TableName, Vec<String>)>,
        holds: Vec<String>,
        due: clock::DueDays,
    ) -> Resolved {
        let none = || Sql::new("1 = 0");
        let due_now = Sql::all(std::iter::once(&theirs.unwrap_or_else(none)).chain(&only)).nested();
        let starting_point = self.starting_point_words();
        let words = "of persons who have asked for it".to_owned();
        let work = Work {
            due: due_now,
            plainly_due: None,
            overdue: None,
            unreadable: none(),
            missing: None,
            plainly_missing: None,
            point_column: None,
            ..work
        };
        Resolved {
            work,
            gate: None,
            cut_off: super::CutOff { words, due, overdue: None, starting_point },
            dependents,
            looked_at,
            point_column: None,
            index: None,
            epoch: None,
            missing_indexes: Vec::new(),
            holds,
            warnings: Vec::new(),
        }
    }

    /// The tables that hold the rows.
    fn leaves(&self, table: &Table) -> Vec<TableName> {
        if !table.partitions.is_empty() {
            return table.partitions.clone();
        }
        let heirs = match self.rule.covers {
            Some(Covers::Tree) => self.around.catalog.heirs(&table.name),
            _ => Vec::new(),
        };
        std::iter::once(table).chain(heirs).map(|table| table.name.clone()).collect()
    }

    /// The rule's condition, and that the row is the table's own, where it covers only those.
    fn own_rows(&self, table: &Table, row: &str, condition: Option<Sql>) -> Option<Sql> {
        let (catalog, dialect) = (self.around.catalog, self.around.dialect);
        if self.rule.covers != Some(Covers::Only) || catalog.heirs(&table.name).is_empty() {
            return condition;
        }
        let name = dialect.literal(&dialect.table(&table.name));
        let own = Sql::new(format!("{row}.tableoid = {name}::regclass"));
        Some(Sql::all(condition.iter().chain([&own])))
    }

    /// Statements on a table reach the rows of those that inherit from it, whose foreign keys are others.
    fn check_heirs(&mut self, table: &Table) {
        let rule = self.rule;
        let heirs = self.around.catalog.heirs(&table.name);
        match rule.covers {
            None if !heirs.is_empty() => {
                let names: Vec<_> = heirs.iter().map(|heir| format!("`{}`", heir.name)).collect();
                let message = format!("{} inherit from `{}`", names.join(", "), rule.table);
                let help = "write `covers: only` for the rows of the table itself, or `covers: tree` for those of all of them; \
                            tables that inherit can have rules of their own";
                let error = Diagnostic::error(Code::NotATable, rule.place.key("table"), message);
                self.found.push(error.label("whose rows are meant?").help(help));
            }
            Some(Covers::Tree) => {
                for heir in heirs.iter().filter(|heir| heir.row_security) {
                    let message = format!("row security hides rows of `{}` from this database user", heir.name);
                    self.found.push(Diagnostic::error(Code::RowSecurity, rule.place.key("table"), message));
                }
            }
            Some(_) if heirs.is_empty() => {
                let message = format!("no table inherits from `{}`", rule.table);
                let warning = Diagnostic::warning(Code::NothingNamed, rule.place.key("covers").name(), message);
                self.found.push(warning.help("leave it out"));
            }
            _ => {}
        }
    }

    fn check_table(&mut self, table: &Table) -> Option<()> {
        let rule = self.rule;
        let place = rule.place.key("table");
        self.check_heirs(table);
        if table.kind == TableKind::View {
            let message = format!("`{}` is a view or foreign table", rule.table);
            let help = "name the table that holds the rows";
            self.found.push(Diagnostic::error(Code::NotATable, place, message).help(help));
            return None;
        }
        if table.primary_key.is_empty() {
            let message = format!("table `{}` has no primary key", rule.table);
            let help = match self.around.catalog.engine {
                Engine::Postgres => {
                    "add one, for example `alter table … add column id bigint generated always as \
                                     identity primary key`; without it no row can be told from another in the ledger"
                }
                Engine::Mysql => {
                    "add one, for example `alter table … add column id bigint unsigned auto_increment \
                                  primary key`; without it no row can be told from another in the ledger"
                }
                Engine::Sqlite => {
                    "rebuild it with a primary key; a row id alone changes with `vacuum`, so the ledger \
                                   could not name its rows"
                }
            };
            self.found.push(Diagnostic::error(Code::NoPrimaryKey, place, message).label("no primary key").help(help));
            return None;
        }
        if self.around.catalog.hides_foreign_keys && rule.disposition == Disposition::Erase {
            let message = "this user may not see every foreign key that points at the table".to_owned();
            let help = "`sunset grants` prints the privilege that shows them: `grant references on` the database; it \
                        neither reads nor changes rows";
            self.found.push(Diagnostic::error(Code::Privilege, place.clone(), message).help(help));
        }
        if let Some(obstacle) = &table.obstacle {
            let message = format!("rows of `{}` cannot be disposed of: {obstacle}", rule.table);
            let help = "convert the table: `alter table … drop system versioning` or `alter table … engine = InnoDB`";
            self.found.push(Diagnostic::error(Code::UnsuitedTable, place.clone(), message).help(help));
        }
        if table.row_security {
            let message = format!("row security hides rows of `{}` from this database user", rule.table);
            let help = "give the user BYPASSRLS, or a policy that lets it see every row: a row that is not seen is \
                        never deleted";
            self.found.push(Diagnostic::error(Code::RowSecurity, place.clone(), message).help(help));
        }
        let erases = rule.disposition == Disposition::Erase;
        let fires = |trigger: &&crate::catalog::Trigger| if erases { trigger.on_delete } else { trigger.on_update };
        for trigger in table.triggers.iter().filter(fires) {
            let message = format!("trigger `{}` fires for each row that changes in `{}`", trigger.name, rule.table);
            let help = "see that it keeps no copy of what goes; a run tries its first rows and fails where the trigger changes \
                        what a rule reads in rows that this one leaves alone (docs/rules-together.md)";
            self.found.push(Diagnostic::warning(Code::Trigger, place.clone(), message).help(help));
        }
        Some(())
    }

    /// Rows that a hold keeps, be it on them, on what they belong to, or on what would be changed along with them.
    pub(super) fn held(&mut self, table: &Table, row: &str, change: &Change, along: &[DependentWork]) -> Option<Sql> {
        let (holds, dialect, catalog) = (self.around.holds, self.around.dialect, self.around.catalog);
        let dependents = along.iter().filter_map(|along| Some((catalog.get(&along.table)?, &along.change)));
        let changed: Vec<_> = [(table, change)].into_iter().chain(dependents).collect();
        let hidden = changed.into_iter().flat_map(|(table, change)| holds.hidden(dialect, catalog, &[table], change));
        let mut hidden: Vec<_> = hidden.collect();
        hidden.retain(|hidden| hidden.name != table.name);
        for table in hidden {
            let message = format!(
                "row security hides rows of `{}` from this database user, over which rows of the rule may belong to held ones",
                table.name
            );
            let help = "give the user BYPASSRLS, or a policy that lets it see every row: a row that belongs to a held one must \
                        not go";
            let place = self.rule.place.key("table");
            self.found.push(Diagnostic::error(Code::RowSecurity, place, message).help(help));
        }
        holds.concerns(dialect, catalog, (table, row), change, along, None)
    }

    /// The holds that can concern rows of these tables, what is read to tell, and the indexes that this takes.
    fn concerned(&mut self, tables: &[&Table], looked_at: &mut Vec<(TableName, Vec<String>)>) -> Vec<String> {
        let (holds, dialect, catalog) = (self.around.holds, self.around.dialect, self.around.catalog);
        if holds.is_empty() {
            return Vec::new();
        }
        let names =
            |columns: &[KeyColumn]| -> Vec<String> { columns.iter().map(|column| column.name.clone()).collect() };
        let place = self.rule.place.key("table");
        for table in tables {
            // what a hold on rows of the table itself looks at
            let columns = holds.columns(&table.name);
            if !columns.is_empty() {
                looked_at.push((table.name.clone(), columns.into_iter().collect()));
            }
        }
        for (link, is_downwards) in holds.links(dialect, catalog, tables) {
            let (Some(from), Some(to)) = (catalog.get(&link.from), catalog.get(&link.to)) else { continue };
            let mut read = names(&link.referenced);
            read.extend(to.primary_key.iter().cloned().chain(holds.columns(&to.name)));
            looked_at.push((to.name.clone(), read));
            looked_at.push((from.name.clone(), names(&link.columns)));
            let why = "to see what belongs to a held row, each batch reads the whole table";
            let mut missing: Vec<_> =
                indexes::missing(self.around, to, &names(&link.referenced), why).into_iter().collect();
            if is_downwards {
                missing.extend(indexes::missing(self.around, from, &names(&link.columns), why));
            }
            for missing in missing {
                let message = format!("no index of `{}` tells what belongs to rows under a hold", missing.table);
                self.found.push(missing.warning(Code::NoDependentIndex, place.clone(), message));
                self.missing_indexes.push(missing);
            }
        }
        holds.on(dialect, catalog, tables)
    }
}
