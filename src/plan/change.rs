//! What a disposition makes of a row's columns, as SQL, and the condition that it is still to be done.

use super::{
    find::find_column,
    resolve::{Resolver, Surroundings},
};
use crate::{
    anonymize::{self, Technique},
    catalog::{Column, ColumnKind, Engine, Table},
    database::{Change, Computed, KeyColumn, Sql},
    diagnostic::{Code, Diagnostic, Place},
    rules::Disposition,
};

impl Resolver<'_, '_> {
    /// What happens to a row, and the condition that it has not happened yet.
    pub(super) fn change(&mut self, table: &Table, row: &str) -> Option<(Change, Option<Sql>)> {
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
