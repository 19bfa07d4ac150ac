//! How a table's rows lead to the related rows that a rule names: over a foreign key, or over columns of one name.

use crate::{
    catalog::{Catalog, ForeignKey, Table},
    clock::starting_point::Source,
    database::{KeyColumn, statements::Way},
    diagnostic::{Code, Diagnostic, Place},
    plan::places::Places,
    rules::Rule,
};

/// The way from a row of `table` to its related rows.
pub(super) fn path_between(table: &Table, related: &Table, through: &str, place: Place) -> Result<Way, Diagnostic> {
    let columns = |table: &Table, names: &[String]| -> Option<Vec<KeyColumn>> {
        names.iter().map(|name| table.column(name).map(KeyColumn::from)).collect()
    };
    let way = |their_names: &[String], our_names: &[String], down: bool| {
        Some(Way { theirs: columns(related, their_names)?, ours: columns(table, our_names)?, down })
    };
    let has = |key: &&ForeignKey| key.columns.iter().any(|column| column == through);
    // a foreign key of the related table that points here
    let down = related.foreign_keys.iter().filter(|key| key.references == table.name).find(has);
    if let Some(way) = down.and_then(|key| way(&key.columns, &key.referenced_columns, true)) {
        return Ok(way);
    }
    // a foreign key of this table that points there
    let up = table.foreign_keys.iter().filter(|key| key.references == related.name).find(has);
    if let Some(way) = up.and_then(|key| way(&key.referenced_columns, &key.columns, false)) {
        return Ok(way);
    }
    // no declared key: a column of that name in both, or against the other's single-column primary key
    let name = |name: &str| vec![name.to_owned()];
    let guesses = [
        (name(through), name(through), true),
        (name(through), table.primary_key.clone(), true),
        (related.primary_key.clone(), name(through), false),
    ];
    for (theirs, ours, down) in guesses {
        if theirs.len() == 1
            && ours.len() == 1
            && let Some(way) = way(&theirs, &ours, down)
        {
            return Ok(way);
        }
    }
    let message = format!("`{through}` does not lead from `{}` to `{}`", table.name, related.name);
    Err(Diagnostic::error(Code::NoPath, place, message)
        .label("no such way")
        .help(format!("name the column of `{}` that refers to `{}`, or the other way round", related.name, table.name)))
}

/// The related table, and the way by which a rule looks for its rows where no foreign key leads there.
pub(super) fn undeclared<'a>(
    rule: &Rule,
    table: &Table,
    places: &Places,
    catalog: &'a Catalog,
) -> Option<(&'a Table, Way)> {
    let Source::Related { table: path, through, .. } = &rule.starting_point.source else { return None };
    let related = places.table(path, catalog).filter(|_| path.database == rule.table.database)?;
    let leads = |from: &Table, to: &Table| {
        from.foreign_keys.iter().any(|key| key.references == to.name && key.columns.contains(through))
    };
    if leads(related, table) || leads(table, related) {
        return None;
    }
    Some((related, path_between(table, related, through, Place::file("")).ok()?))
}
