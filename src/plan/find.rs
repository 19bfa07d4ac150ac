//! Tables and columns by the names that rules give them, with the nearest name where there is none.

use crate::{
    catalog::{Catalog, Column, Table, TablePath},
    diagnostic::{Code, Diagnostic, Place},
    language::shape::nearest,
};

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
