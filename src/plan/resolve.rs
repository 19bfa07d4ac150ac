//! One rule against the live schema: a [`Work`] to do, or diagnostics that say why not.

use super::{dependents, holds, holds::Hold};
use crate::{
    anonymize::{self, Technique},
    catalog::{Catalog, Column, ColumnKind, Engine, Table, TableKind, TableName},
    clock::{self, Cutoffs, DueDays, PointKind},
    database::{Change, Computed, Dialect, KeyColumn, Point, Sql, Value, Work, statements},
    diagnostic::{Code, Diagnostic, Place},
    rules::{
        Condition, Disposition, Encoding, Literal, Match, Missing, Pick, Rule, Source, TablePath, condition,
        shape::nearest,
    },
    settings::Settings,
};
use jiff::{Timestamp, tz::TimeZone};

/// What [`resolve_rule`] works with.
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub catalog: &'a Catalog,
    pub dialect: &'static dyn Dialect,
    pub holds: &'a [Hold],
    pub now: Timestamp,
    /// The secret of keyed techniques, where the settings give one.
    pub pseudonym_key: Option<&'a [u8]>,
}

/// A rule that fits its database.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub work: Work,
    /// How the starting point is stored.
    pub point_kind: PointKind,
    pub cut_off: super::CutOff,
    pub dependents: Vec<dependents::Named>,
    /// Columns of tables that are neither the rule's own nor changed along.
    pub looked_at: Vec<(TableName, Vec<String>)>,
    /// The index on the starting point.
    pub index: Option<String>,
    pub holds: Vec<String>,
    pub warnings: Vec<Diagnostic>,
}

/// Checks a rule against the schema and makes its SQL.
///
/// # Errors
/// Everything that stands against it, warnings included.
pub fn resolve_rule(rule: &Rule, around: &Surroundings) -> Result<Resolved, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let resolved = Resolver { rule, around, found: &mut found }.resolve();
    let failed = found.iter().any(|diagnostic| diagnostic.severity == crate::diagnostic::Severity::Error);
    match resolved {
        Some(resolved) if !failed => Ok(Resolved { warnings: found, ..resolved }),
        _ => Err(found),
    }
}

/// The table that a rule means.
///
/// # Errors
/// The diagnostic, with the nearest name that exists.
pub fn find_table<'a>(catalog: &'a Catalog, path: &TablePath, place: Place) -> Result<&'a Table, Diagnostic> {
    if let Some(table) = catalog.table(path.schema.as_deref(), &path.table) {
        return Ok(table);
    }
    let schema = path.schema.as_deref().unwrap_or(&catalog.default_schema);
    let error = Diagnostic::error(Code::UnknownTable, place, format!("table `{path}` does not exist"));
    let elsewhere = catalog.tables.iter().find(|table| table.name.name == path.table);
    let names = catalog.tables.iter().filter(|t| t.name.schema == schema).map(|table| table.name.name.as_str());
    Err(match (elsewhere, nearest(names, &path.table)) {
        (Some(table), _) => {
            error.label(format!("not in schema `{schema}`")).help(format!("write `{}.{}`", path.database, table.name))
        }
        (None, Some(name)) => {
            let schema = path.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            error.label("no such table").help(format!("did you mean `{}.{schema}{name}`?", path.database))
        }
        (None, None) => error
            .label("no such table")
            .help(format!("the database has {} tables that this user can see", catalog.tables.len())),
    })
}

/// The column of that name.
pub fn find_column<'a>(table: &'a Table, name: &str, place: Place) -> Result<&'a Column, Diagnostic> {
    table.column(name).ok_or_else(|| {
        let error =
            Diagnostic::error(Code::UnknownColumn, place, format!("column `{name}` is not in table `{}`", table.name))
                .label("no such column");
        match nearest(table.columns.iter().map(|column| column.name.as_str()), name) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => {
                let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
                error.help(format!("it has {}", names.join(", ")))
            }
        }
    })
}

struct Resolver<'a, 'b> {
    rule: &'a Rule,
    around: &'a Surroundings<'a>,
    found: &'b mut Vec<Diagnostic>,
}

impl Resolver<'_, '_> {
    /// Collects the diagnostic of a failed step.
    fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.found.push(diagnostic)).ok()
    }

    fn resolve(mut self) -> Option<Resolved> {
        let (rule, around) = (self.rule, self.around);
        let (catalog, dialect) = (around.catalog, around.dialect);
        let table = self.keep(find_table(catalog, &rule.table, rule.place.key("table")))?;
        self.check_table(table)?;
        let row = dialect.row(&table.name);

        let mut looked_at = Vec::new();
        let point = self.starting_point(table, &row, &mut looked_at);
        let condition = rule.condition.as_ref().map(|condition| self.condition(table, &row, condition));
        let change = self.change(table, &row);
        let dependents = dependents::resolve(rule, table, around, self.found);
        looked_at.extend(dependents.looked_at.iter().cloned());
        let (point, kind, point_column) = point?;
        let (change, undone) = change?;

        let days = |choice| {
            let today = clock::today(around.now, &around.settings.time_zone);
            clock::due_days(&rule.starting_point.counted_from, choice, &around.settings.parameters, today)
        };
        let due_days = days(&rule.retention_period);
        let overdue_days = rule.regular_deletion_period.as_ref().map(days);
        let unreadable = dialect.unreadable(&point, kind);
        let mut due = self.past(&point, kind, &due_days);
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

        let index = point_column.as_ref().and_then(|column| table.index_on(std::slice::from_ref(&column.name)));
        if index.is_none() {
            self.warn_without_index(table, point_column.as_ref());
        }
        let (held, hold_names) = self.held(table, &row, &dependents)?;
        let work = Work {
            table: table.name.clone(),
            key: table.key_columns().map(KeyColumn::from).collect(),
            rowid: table.rowid.clone(),
            leaves: if table.partitions.is_empty() { vec![table.name.clone()] } else { table.partitions.clone() },
            point: Point { shown: dialect.point_shown(&point, kind), value: point },
            point_column: point_column.filter(|_| rule.starting_point.missing != Missing::Due),
            condition: condition.flatten(),
            undone,
            unreadable,
            due,
            overdue,
            missing,
            held,
            waiting: dependents.waiting.clone(),
            change,
            dependents: dependents.work,
        };
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
            point_kind: kind,
            cut_off,
            dependents: dependents.named,
            looked_at,
            index,
            holds: hold_names,
            warnings: Vec::new(),
        })
    }

    fn check_table(&mut self, table: &Table) -> Option<()> {
        let rule = self.rule;
        let place = rule.place.key("table");
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
            let help = "see that it keeps no copy of what goes";
            self.found.push(Diagnostic::warning(Code::Trigger, place.clone(), message).help(help));
        }
        Some(())
    }

    /// The starting point as SQL, how it is stored, and its column if it is one of the table itself.
    fn starting_point(
        &mut self,
        table: &Table,
        row: &str,
        looked_at: &mut Vec<(TableName, Vec<String>)>,
    ) -> Option<(Sql, PointKind, Option<KeyColumn>)> {
        let start = &self.rule.starting_point;
        let place = self.rule.place.key("starting_point");
        match &start.source {
            Source::Column(name) => {
                let column = self.keep(find_column(table, name, place.key("column")))?;
                let kind = self.point_kind(column, start.encoding, place.key("column"))?;
                let value = Sql::new(self.around.dialect.column(row, name));
                Some((value, kind, Some(KeyColumn::from(column))))
            }
            Source::Related { pick, table: path, column: name, through } => {
                let place = place.key(match pick {
                    Pick::Latest => "latest",
                    Pick::Earliest => "earliest",
                });
                if path.database != self.rule.table.database {
                    let message = format!("`{path}` lies in another database than `{}`", self.rule.table);
                    self.found.push(Diagnostic::error(Code::UnknownTable, place, message));
                    return None;
                }
                let related = self.keep(find_table(self.around.catalog, path, place.clone()))?;
                let column = self.keep(find_column(related, name, place.clone()))?;
                let kind = self.point_kind(column, start.encoding, place);
                let through_place = self.rule.place.key("starting_point").key("through");
                let pairs = self.keep(path_between(table, related, through, through_place))?;
                let theirs: Vec<_> = pairs.iter().map(|(theirs, _)| theirs.name.clone()).collect();
                looked_at.push((related.name.clone(), [&theirs[..], std::slice::from_ref(name)].concat()));
                if related.index_on(&theirs).is_none() {
                    let message = format!("no index of `{path}` serves `{through}`: it is read once for each row");
                    let place = self.rule.place.key("starting_point").key("through");
                    self.found.push(Diagnostic::warning(Code::NoDependentIndex, place, message));
                }
                let latest = *pick == Pick::Latest;
                let dialect = self.around.dialect;
                let value = statements::related_point(dialect, &table.name, &related.name, &pairs, name, latest);
                Some((value, kind?, None))
            }
        }
    }

    fn point_kind(&mut self, column: &Column, encoding: Option<Encoding>, place: Place) -> Option<PointKind> {
        let kind = match (self.around.catalog.engine, column.kind, encoding) {
            // SQLite has no types for time: the declared one tells what is meant, `as` what is stored
            (Engine::Sqlite, ColumnKind::Date | ColumnKind::DateTime, None) => Some(PointKind::IsoText),
            (Engine::Sqlite, _, Some(encoding)) => Some(match encoding {
                Encoding::EpochSeconds => PointKind::EpochSeconds,
                Encoding::EpochMilliseconds => PointKind::EpochMilliseconds,
                Encoding::IsoText => PointKind::IsoText,
                Encoding::IsoTextWithOffset => PointKind::IsoTextWithOffset,
            }),
            (_, kind, encoding) => PointKind::of(kind, encoding),
        };
        if kind.is_none() {
            let (label, help) = match (column.kind, encoding) {
                (ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float, None) => {
                    ("a number", "if it counts time, add `as: epoch_seconds` or `as: epoch_milliseconds`".to_owned())
                }
                (ColumnKind::Text, None) => {
                    ("a text", "if it holds dates, add `as: iso_text` or `as: iso_text_with_offset`".to_owned())
                }
                (ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant, Some(_)) => {
                    ("tells time by itself", "leave `as` out".to_owned())
                }
                _ => ("not a point in time", "take a date, a timestamp, an epoch number or an ISO text".to_owned()),
            };
            let message = format!("starting point `{}` has the type {}", column.name, column.sql_type);
            self.found.push(Diagnostic::error(Code::StartingPointType, place, message).label(label).help(help));
        }
        kind
    }

    /// The starting point lies in one of the ranges.
    fn past(&self, point: &Sql, kind: PointKind, days: &DueDays) -> Sql {
        let dialect = self.around.dialect;
        let job_zone = &self.around.settings.time_zone;
        let column_zone = self.rule.starting_point.zone.as_ref().and_then(|name| TimeZone::get(name).ok());
        let Cutoffs { ranges } = days.cutoffs(kind, job_zone, column_zone.as_ref().unwrap_or(job_zone));
        let alternatives: Vec<_> = ranges
            .iter()
            .map(|range| {
                let mut sql = Sql::default();
                let bounds = [range.from.as_ref().map(|from| (">=", from)), Some(("<", &range.before))];
                for (operator, bound) in bounds.into_iter().flatten() {
                    let by_time = bound.contains(' ');
                    sql.push(if sql.text.is_empty() { "" } else { " and " });
                    sql.append(&dialect.comparable(point, kind, by_time));
                    sql.append(&Sql::bound(format!(" {operator} {}", dialect.bound(kind)), Value::Text(bound.clone())));
                }
                sql
            })
            .collect();
        if alternatives.is_empty() {
            return Sql::new("1 = 0");
        }
        let mut sql = dialect.readable(point, kind);
        let ranges = Sql::join(&alternatives, " or ");
        sql.push(" and ").append(&if alternatives.len() > 1 { ranges.nested() } else { ranges });
        sql.nested()
    }

    fn starting_point_words(&self) -> String {
        let start = &self.rule.starting_point;
        let source = match &start.source {
            Source::Column(name) => name.clone(),
            Source::Related { pick, table, column, .. } => {
                let pick = if *pick == Pick::Latest { "latest" } else { "earliest" };
                format!("{pick} {table}.{column}")
            }
        };
        match &start.event {
            Some(event) => format!("{source} ({event})"),
            None => source,
        }
    }

    fn warn_without_index(&mut self, table: &Table, column: Option<&KeyColumn>) {
        let Some(column) = column else { return };
        let dialect = self.around.dialect;
        let message = format!("no index of `{}` serves the starting point `{}`", self.rule.table, column.name);
        let help = format!(
            "a night with nothing due reads the whole table; `create index on {} ({})` would end that",
            dialect.table(&table.name),
            dialect.quote(&column.name)
        );
        let place = self.rule.place.key("starting_point");
        self.found.push(Diagnostic::warning(Code::NoIndex, place, message).help(help));
    }

    /// The rule's condition on rows called `row`.
    fn condition(&mut self, table: &Table, row: &str, condition: &Condition) -> Option<Sql> {
        let place = self.rule.place.key("where");
        match condition {
            Condition::Data(terms) => {
                let terms: Vec<_> = terms
                    .iter()
                    .filter_map(|(name, test)| {
                        let column = find_column(table, name, place.key(name).name());
                        let column = self.keep(column)?;
                        self.term(row, column, test, &place.key(name))
                    })
                    .collect();
                Some(Sql::all(&terms))
            }
            Condition::Sql(text) => self.keep(sql_condition(self.around, table, row, text, &place)),
        }
    }

    fn term(&mut self, row: &str, column: &Column, test: &Match, place: &Place) -> Option<Sql> {
        let dialect = self.around.dialect;
        let here = dialect.column(row, &column.name);
        let cast = dialect.cast(&KeyColumn::from(column));
        let mut bind = |literal: &Literal| -> Option<Sql> {
            let text = literal_for(column, literal).map_err(|problem| {
                let message = format!("{problem}: column `{}` is of type {}", column.name, column.sql_type);
                self.found.push(Diagnostic::error(Code::ConditionType, place.clone(), message));
            });
            text.ok().map(|text| Sql::bound(cast.clone(), Value::Text(text)))
        };
        let comparison = |operator: &str, value: Option<Sql>| {
            value.map(|value| {
                let mut sql = Sql::new(format!("{here} {operator} "));
                sql.append(&value);
                sql
            })
        };
        match test {
            Match::LessThan(value) => comparison("<", bind(value)),
            Match::AtMost(value) => comparison("<=", bind(value)),
            Match::MoreThan(value) => comparison(">", bind(value)),
            Match::AtLeast(value) => comparison(">=", bind(value)),
            Match::In(values) | Match::NotIn(values) => {
                let negative = matches!(test, Match::NotIn(_));
                let null = values.contains(&Literal::Null);
                let values: Vec<_> =
                    values.iter().filter(|value| **value != Literal::Null).map(bind).collect::<Option<_>>()?;
                let mut alternatives = Vec::new();
                if !values.is_empty() {
                    let mut sql = Sql::new(format!("{here} in ("));
                    sql.append(&Sql::join(&values, ", ")).push(")");
                    alternatives.push(sql);
                }
                if null {
                    alternatives.push(Sql::new(format!("{here} is null")));
                }
                let sql = Sql::join(&alternatives, " or ").nested();
                Some(if negative { sql.negated() } else { sql })
            }
        }
    }

    /// What happens to a row, and the condition that it has not happened yet.
    fn change(&mut self, table: &Table, row: &str) -> Option<(Change, Option<Sql>)> {
        let rule = self.rule;
        if rule.disposition == Disposition::Erase {
            return Some((Change::Erase, None));
        }
        let place = rule.place.key("columns");
        let found = changes(self.around, table, row, &rule.columns, &place, &rule.id, self.found)?;
        if matches!(rule.disposition, Disposition::Anonymize) {
            self.warn_remaining(table);
        }
        let Some(marker) = &rule.marker else {
            let undone = found.undone.clone();
            return Some((found.change(), Some(undone)));
        };
        let marker_place = rule.place.key("marker");
        let column = self.keep(find_column(table, marker, marker_place.clone()))?;
        let (set, unset) = self.keep(marker_values(self.around.catalog.engine, column, marker_place))?;
        let here = self.around.dialect.column(row, marker);
        let mut found = found;
        found.sql.push((marker.clone(), Sql::new(set)));
        let undone = Sql::new(format!("({here} is null or {here} = {unset})"));
        let undone = if unset.is_empty() { Sql::new(format!("{here} is null")) } else { undone };
        Some((found.change(), Some(undone)))
    }

    /// Columns that look personal and that an anonymizing rule leaves as they are.
    fn warn_remaining(&mut self, table: &Table) {
        let named = |column: &Column| {
            self.rule.columns.iter().any(|(name, _)| *name == column.name) || table.primary_key.contains(&column.name)
        };
        let personal: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !column.generated && !named(column) && anonymize::personal(&column.name).is_some())
            .map(|column| format!("`{}`", column.name))
            .collect();
        if !personal.is_empty() {
            let message = format!("{} of `{}` would stay as they are", personal.join(", "), self.rule.table);
            let place = self.rule.place.key("columns").name();
            let warning = Diagnostic::warning(Code::RemainingIdentifier, place, message);
            self.found.push(warning.help("name them in `columns`, or see that they relate to nobody"));
        }
    }

    /// Rows under a hold, and rows with a dependent under a hold that would be changed along.
    fn held(
        &mut self,
        table: &Table,
        row: &str,
        dependents: &dependents::Resolved,
    ) -> Option<(Option<Sql>, Vec<String>)> {
        let around = self.around;
        let of = |name: &TableName| -> Vec<&Hold> {
            let here = |hold: &&Hold| hold.database == self.rule.table.database && hold.table == *name;
            around.holds.iter().filter(here).collect()
        };
        let mut names = Vec::new();
        let mut pieces = Vec::new();
        let place = self.rule.place.key("table");
        let own = of(&table.name);
        names.extend(own.iter().map(|hold| format!("{} ({})", hold.id, hold.matter)));
        let refuse = |message| Diagnostic::error(Code::BadCondition, place.clone(), message);
        let held = holds::held(around.dialect, around.catalog, table, &own, row).map_err(refuse);
        pieces.extend(self.keep(held)?);
        for dependent in &dependents.work {
            let holds = of(&dependent.table);
            let Some(child) = around.catalog.get(&dependent.table).filter(|_| !holds.is_empty()) else { continue };
            names.extend(holds.iter().map(|hold| format!("{} ({})", hold.id, hold.matter)));
            let refuse = |message| Diagnostic::error(Code::BadCondition, place.clone(), message);
            let held = holds::held(around.dialect, around.catalog, child, &holds, "k0").map_err(refuse);
            if let Some(held) = self.keep(held)? {
                let links = &dependent.links;
                pieces.push(statements::exists_dependent(around.dialect, &table.name, links, Some(&held)));
            }
        }
        names.sort();
        names.dedup();
        Some(((!pieces.is_empty()).then(|| Sql::join(&pieces, " or ").nested()), names))
    }
}

/// A rule's condition on its table's rows; `None` when it does not fit (which `resolve_rule` reports).
pub(super) fn condition(around: &Surroundings, table: &Table, rule: &Rule) -> Option<Sql> {
    let row = around.dialect.row(&table.name);
    match &rule.condition {
        None => Some(Sql::all([])),
        Some(condition) => Resolver { rule, around, found: &mut Vec::new() }.condition(table, &row, condition),
    }
}

/// New values of some columns.
pub(super) struct Changes {
    pub sql: Vec<(String, Sql)>,
    pub computed: Vec<Computed>,
    /// At least one of them is not yet at its fixpoint.
    pub undone: Sql,
}

impl Changes {
    pub fn change(self) -> Change {
        if self.computed.is_empty() {
            Change::Update(self.sql)
        } else {
            Change::Compute { computed: self.computed, sql: self.sql }
        }
    }
}

/// What the techniques make of the columns of rows called `row`.
pub(super) fn changes(
    around: &Surroundings,
    table: &Table,
    row: &str,
    columns: &[(String, Technique)],
    place: &Place,
    rule: &str,
    found: &mut Vec<Diagnostic>,
) -> Option<Changes> {
    let (dialect, engine) = (around.dialect, around.catalog.engine);
    let key: Vec<_> = table
        .key_columns()
        .map(|column| dialect.text(&dialect.column(row, &column.name), &KeyColumn::from(column)))
        .collect();
    let key_sql = match engine {
        Engine::Mysql => format!("concat_ws('-', {})", key.join(", ")),
        _ => key.join(" || '-' || "),
    };
    let mut changes = Changes { sql: Vec::new(), computed: Vec::new(), undone: Sql::default() };
    let mut undone = Vec::new();
    let errors = found.len();
    for (name, technique) in columns {
        let place = place.key(name);
        let column = match find_column(table, name, place.name()) {
            Ok(column) => column,
            Err(diagnostic) => {
                found.push(diagnostic);
                continue;
            }
        };
        let misfits = technique.fits(column, table, engine);
        let fits = misfits.is_empty();
        found.extend(misfits.into_iter().map(|misfit| {
            Diagnostic::error(misfit.code, place.clone(), misfit.problem).label("does not fit").help(misfit.help)
        }));
        if technique.is_keyed() && around.pseudonym_key.is_none() {
            let message = format!("rule `{rule}` makes pseudonyms, and there is no key for them");
            let error = Diagnostic::error(Code::BadKey, place.clone(), message);
            found.push(error.help("`sunset keys new --kind pseudonym` makes one; name it in sunset.yaml under `keys`"));
            continue;
        }
        if !fits {
            continue;
        }
        let context = anonymize::Context {
            engine,
            column_sql: dialect.column(row, name),
            key_sql: key_sql.clone(),
            pseudonym_key: around.pseudonym_key,
            scope: format!("{}/{name}", table.name),
            zone: around.settings.time_zone.clone(),
        };
        match technique.expression(column, &context) {
            Some(sql) => {
                undone.extend(technique.pending(column, &context));
                changes.sql.push((name.clone(), sql.hidden_if(technique.is_keyed())));
            }
            None => changes.computed.push(computed(technique, column, &context)),
        }
    }
    changes.undone = Sql::join(&undone, " or ").nested();
    (found.len() == errors).then_some(changes)
}

/// A value that the engine cannot compute.
fn computed(technique: &Technique, column: &Column, context: &anonymize::Context) -> Computed {
    let (technique, owned) = (technique.clone(), column.clone());
    let (engine, scope, zone) = (context.engine, context.scope.clone(), context.zone.clone());
    let key = context.pseudonym_key.map(<[u8]>::to_vec);
    let function = move |value: &str| {
        let context = anonymize::Context {
            engine,
            column_sql: String::new(),
            key_sql: String::new(),
            pseudonym_key: key.as_deref(),
            scope: scope.clone(),
            zone: zone.clone(),
        };
        // what cannot be computed is not kept
        technique.apply(Some(value), &owned, "", &context)
    };
    Computed { column: KeyColumn::from(column), function: std::sync::Arc::new(function) }
}

/// A condition written as SQL, on rows called `row`.
pub(super) fn sql_condition(
    around: &Surroundings,
    table: &Table,
    row: &str,
    text: &str,
    place: &Place,
) -> Result<Sql, Diagnostic> {
    let expression = condition::check(text, around.catalog.engine).map_err(|mut errors| {
        let error = errors.swap_remove(0);
        let place = place.within(error.range);
        let diagnostic = Diagnostic::error(Code::BadCondition, place, error.problem);
        error.help.into_iter().fold(diagnostic, Diagnostic::help)
    })?;
    if let Some(column) = expression.stranger(&table.name.name) {
        let message = format!("a condition knows only the columns of `{}`", table.name);
        return Err(Diagnostic::error(Code::BadCondition, place.within(column.range.clone()), message));
    }
    for column in expression.columns() {
        find_column(table, &column.name, place.within(column.range.clone()))?;
    }
    let dialect = around.dialect;
    let rendered = expression.render(&|name| dialect.quote(name), &|text| dialect.literal(text), row);
    Ok(Sql::new(format!("({rendered})")))
}

/// The text to bind for a literal, if the column can hold it.
fn literal_for(column: &Column, literal: &Literal) -> Result<String, String> {
    let fits = |ok: bool, text: &str| if ok { Ok(text.to_owned()) } else { Err(format!("`{text}` cannot stand here")) };
    match (literal, column.kind) {
        (Literal::Null, _) => Err("null cannot be compared".to_owned()),
        (Literal::Boolean(value), ColumnKind::Boolean) => Ok(value.to_string()),
        (Literal::Boolean(value), ColumnKind::Integer) => Ok(i32::from(*value).to_string()),
        (Literal::Boolean(value), _) => Err(format!("`{value}` cannot stand here")),
        (Literal::Number(text), ColumnKind::Integer) => fits(text.parse::<i128>().is_ok(), text),
        (Literal::Number(text), ColumnKind::Decimal | ColumnKind::Float | ColumnKind::Text | ColumnKind::Other) => {
            Ok(text.clone())
        }
        (Literal::Number(text), _) => fits(false, text),
        (Literal::Text(text), ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float) => {
            fits(text.parse::<f64>().is_ok(), text)
        }
        (Literal::Text(text), ColumnKind::Boolean) => fits(matches!(text.as_str(), "true" | "false"), text),
        (Literal::Text(text), ColumnKind::Date) => fits(text.parse::<jiff::civil::Date>().is_ok(), text),
        (Literal::Text(text), ColumnKind::Enumeration) if !column.words.is_empty() => {
            let known = column.words.contains(text);
            fits(known, text).map_err(|problem| format!("{problem}, only {} can", column.words.join(", ")))
        }
        (Literal::Text(text), _) => Ok(text.clone()),
    }
}

/// What marks a row as done in this column, and the value (beside null) that means "not done".
fn marker_values(engine: Engine, column: &Column, place: Place) -> Result<(String, &'static str), Diagnostic> {
    let misfit =
        |message: String, help: &str| Err(Diagnostic::error(Code::MarkerColumn, place.clone(), message).help(help));
    if column.generated {
        return misfit(format!("marker `{}` is generated by the database", column.name), "take a plain column");
    }
    match column.kind {
        ColumnKind::Boolean if engine == Engine::Sqlite => Ok(("1".to_owned(), "0")),
        ColumnKind::Boolean => Ok(("true".to_owned(), "false")),
        ColumnKind::Integer => Ok(("1".to_owned(), "0")),
        ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant if column.nullable => {
            let now = match column.kind {
                ColumnKind::Date => "current_date",
                _ => "current_timestamp",
            };
            Ok((now.to_owned(), ""))
        }
        ColumnKind::Date | ColumnKind::DateTime | ColumnKind::Instant => {
            misfit(format!("marker `{}` can never be empty", column.name), "a date as marker must allow null")
        }
        _ => misfit(
            format!("marker `{}` has the type {}", column.name, column.sql_type),
            "take a boolean, an integer, a date or a timestamp column",
        ),
    }
}

/// Column pairs (related, own) that lead from a row of `table` to its related rows.
fn path_between(
    table: &Table,
    related: &Table,
    through: &str,
    place: Place,
) -> Result<Vec<(KeyColumn, KeyColumn)>, Diagnostic> {
    let pairs = |theirs: &Table, their_names: &[String], ours: &Table, our_names: &[String]| -> Option<Vec<_>> {
        their_names
            .iter()
            .zip(our_names)
            .map(|(a, b)| Some((KeyColumn::from(theirs.column(a)?), KeyColumn::from(ours.column(b)?))))
            .collect()
    };
    let has = |key: &&crate::catalog::ForeignKey| key.columns.iter().any(|column| column == through);
    // a foreign key of the related table that points here
    let down = related.foreign_keys.iter().filter(|key| key.references == table.name).find(has);
    if let Some(pairs) = down.and_then(|key| pairs(related, &key.columns, table, &key.referenced_columns)) {
        return Ok(pairs);
    }
    // a foreign key of this table that points there
    let up = table.foreign_keys.iter().filter(|key| key.references == related.name).find(has);
    if let Some(pairs) = up.and_then(|key| pairs(related, &key.referenced_columns, table, &key.columns)) {
        return Ok(pairs);
    }
    // no declared key: a column of that name in both, or against the other's single-column primary key
    let name = |name: &str| vec![name.to_owned()];
    let guesses = [
        (name(through), name(through)),
        (name(through), table.primary_key.clone()),
        (related.primary_key.clone(), name(through)),
    ];
    for (theirs, ours) in guesses {
        let known = theirs.iter().all(|name| related.column(name).is_some())
            && ours.iter().all(|name| table.column(name).is_some());
        if theirs.len() == 1
            && ours.len() == 1
            && known
            && let Some(pairs) = pairs(related, &theirs, table, &ours)
        {
            return Ok(pairs);
        }
    }
    let message = format!("`{through}` does not lead from `{}` to `{}`", table.name, related.name);
    Err(Diagnostic::error(Code::NoPath, place, message)
        .label("no such way")
        .help(format!("name the column of `{}` that refers to `{}`, or the other way round", related.name, table.name)))
}
