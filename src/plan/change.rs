//! What a disposition makes of a row's columns, as SQL, and the condition that it is still to be done.

use super::find::{find_column, find_table};
use crate::{
    anonymize::{self, Certainty, Technique},
    catalog::{Column, ColumnKind, Engine, Table, TableName},
    clock::{
        PointKind,
        starting_point::{Pick, Source},
    },
    database::{Change, Computed, Dialect, KeyColumn, statements},
    diagnostic::{Code, Diagnostic, Place},
    plan::{path::path_between, resolver::Resolver, surroundings::Surroundings},
    rules::Disposition,
    sql::Sql,
};

impl Resolver<'_, '_> {
    /// What happens to a row, and the condition that it has not happened yet.
    pub(super) fn change(&mut self, table: &Table, row: &str) -> Option<(Change, Option<Sql>)> {
        let rule = self.rule;
        if rule.disposition == Disposition::Erase {
            return Some((Change::Erase, None));
        }
        let place = rule.place.key("columns");
        let mut found = changes(self.around, table, row, &rule.columns, &place, &rule.id, self.found)?;
        self.looked_at.append(&mut found.looked_at);
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
        // the gate counts those that tell who somebody is only together
        let gate = self.rule.k_anonymity.iter().flat_map(|gate| &gate.quasi_identifiers);
        let counted: Vec<_> = gate.filter(|name| !anonymize::names_one(name)).collect();
        let personal: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !column.generated && !named(column) && !counted.contains(&&column.name))
            .filter(|column| anonymize::personal(&column.name).is_some())
            .map(|column| format!("`{}`", column.name))
            .collect();
        if !personal.is_empty() {
            let message = format!("{} of `{}` would stay as they are", personal.join(", "), self.rule.table);
            let place = self.rule.place.key("columns").name();
            let warning = Diagnostic::warning(Code::RemainingIdentifier, place, message);
            self.found.push(warning.help("name them in `columns`, or see that they relate to nobody"));
        }
    }
}

/// New values of some columns.
pub(super) struct Changes {
    pub sql: Vec<(String, Sql)>,
    pub computed: Vec<Computed>,
    /// At least one of them is not yet at its fixpoint.
    pub undone: Sql,
    /// Columns of other tables that values are copied from.
    pub looked_at: Vec<(TableName, Vec<String>)>,
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
    let key_sql = anonymize::key_text(&key, engine);
    let mut changes = Changes { sql: Vec::new(), computed: Vec::new(), undone: Sql::default(), looked_at: Vec::new() };
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
        let copied = match technique {
            Technique::Copy(source) => match copied(around, table, row, column, source, &place.key("copy")) {
                Ok(copied) => Some(copied),
                Err(diagnostic) => {
                    found.push(diagnostic);
                    continue;
                }
            },
            _ => None,
        };
        let copied = copied.map(|Copied { sql, looked_at }| {
            changes.looked_at.extend(looked_at);
            sql
        });
        let context = anonymize::Context {
            engine,
            column_sql: dialect.column(row, name),
            key_sql: key_sql.clone(),
            pseudonym_key: around.pseudonym_key,
            scope: format!("{}/{name}", table.name),
            copied,
            zone: around.settings.time_zone.clone(),
        };
        match technique.expression(column, &context) {
            Some(sql) => {
                undone.extend(technique.pending(column, &context));
                // an engine that assigns from left to right (MySQL) must have copied a value before it empties the column
                let place = if matches!(technique, Technique::Copy(_)) { 0 } else { changes.sql.len() };
                changes.sql.insert(place, (name.clone(), sql.hidden_if(technique.is_keyed())));
            }
            None => changes.computed.push(computed(technique, column, &context)),
        }
    }
    changes.undone = Sql::join(&undone, " or ").nested();
    hold_still(dialect, table, row, &mut changes.sql);
    (found.len() == errors).then_some(changes)
}

/// Columns into which the database writes the present whenever a row changes keep what they have: another rule may count
/// from it.
pub(super) fn hold_still(dialect: &dyn Dialect, table: &Table, row: &str, updates: &mut Vec<(String, Sql)>) {
    let touched = table.columns.iter().filter(|column| column.touched);
    let untold: Vec<_> = touched.filter(|column| !updates.iter().any(|(name, _)| *name == column.name)).collect();
    updates.extend(untold.into_iter().map(|column| (column.name.clone(), Sql::new(dialect.column(row, &column.name)))));
}

/// The value that `copy` takes.
struct Copied {
    sql: String,
    looked_at: Option<(TableName, Vec<String>)>,
}

/// The value that `copy` takes for rows called `row`, if `column` can hold it.
fn copied(
    around: &Surroundings,
    table: &Table,
    row: &str,
    column: &Column,
    source: &Source,
    place: &Place,
) -> Result<Copied, Diagnostic> {
    let dialect = around.dialect;
    let (from, copied) = match source {
        Source::Column(name) => {
            let from = find_column(table, name, place.clone())?;
            (from, Copied { sql: dialect.column(row, &from.name), looked_at: None })
        }
        Source::Related { pick, table: path, column: name, through } => {
            let (key, latest) = if *pick == Pick::Latest { ("latest", true) } else { ("earliest", false) };
            let related = find_table(around.catalog, path, place.key(key))?;
            let from = find_column(related, name, place.key(key))?;
            if related.name == table.name && around.catalog.engine == Engine::Mysql {
                let message = format!("{} cannot read `{path}` while it changes it", around.catalog.engine);
                let error = Diagnostic::error(Code::BadTechnique, place.key(key), message);
                return Err(error.help("copy a column of the row itself"));
            }
            let way = path_between(table, related, through, place.key("through"))?;
            let theirs = way.theirs.iter().map(|column| column.name.clone()).chain([name.clone()]).collect();
            let r = statements::alias(&table.name, "r");
            let value = Sql::new(dialect.column(&r, &from.name));
            // SQLite keeps times as texts, which are copied as they are
            let kind = PointKind::of(from.kind, None).filter(|_| around.catalog.engine != Engine::Sqlite);
            let told = kind.map_or_else(|| value.clone(), |kind| dialect.told(&value, kind));
            let sql = statements::related_point(dialect, &table.name, &related.name, &r, &way, &told, latest);
            (from, Copied { sql: sql.text, looked_at: Some((related.name.clone(), theirs)) })
        }
    };
    let shorter = column.max_length.is_some_and(|most| from.max_length.is_none_or(|longest| longest > most));
    let same_words = column.words == from.words;
    if column.kind != from.kind || shorter || !same_words {
        let message = format!(
            "`{}` of type {} cannot hold every value of `{}` of type {}",
            column.name, column.sql_type, from.name, from.sql_type
        );
        let error = Diagnostic::error(Code::TechniqueType, place.clone(), message);
        return Err(error.help(format!("make `{}` a column of type {}", column.name, from.sql_type)));
    }
    if let Some(what) = anonymize::personal(&from.name).filter(|what| what.certainty == Certainty::Sure) {
        let message =
            format!("`{}` looks personal ({}), and `{}` would keep it", from.name, what.data_category, column.name);
        let error = Diagnostic::error(Code::FalseDisposition, place.clone(), message);
        return Err(error.help("copy what another rule has to know: a date, a status; not what tells of the person"));
    }
    Ok(copied)
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
            copied: None,
            zone: zone.clone(),
        };
        // what cannot be computed is not kept
        technique.apply(Some(value), &owned, "", &context)
    };
    Computed { column: KeyColumn::from(column), function: std::sync::Arc::new(function) }
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
