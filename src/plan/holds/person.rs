//! Holds on persons, found in one database: the home row, and the rows that are linked to it by equal values.

use super::{Binder, BoundHold, Hold};
use crate::{
    catalog::TableName,
    database::{Error, ErrorKind, statements},
    diagnostic::{Code, Diagnostic, Place},
    plan::{
        open::OpenDatabase,
        subject::{self, FoundPerson},
    },
};
use std::collections::BTreeSet;

/// The table that has the home row of a hold on a person, or why there is none.
///
/// # Errors
/// The database fails while it is asked.
pub(in crate::plan) async fn home_row(
    open: &mut OpenDatabase,
    hold: &Hold,
) -> Result<Result<TableName, String>, Error> {
    let OpenDatabase { connection, catalog, dialect, .. } = open;
    let mut binder = Binder { connection: connection.as_mut(), catalog, dialect: *dialect, identity: None };
    binder.identity = binder.database_identity().await;
    Ok(binder.find(hold, &mut Vec::new()).await?.map(|found| found.table))
}

impl Binder<'_> {
    /// A person's rows in this database: the home row where it is here, and the rows of tables that are linked to it. `None`:
    /// no row can be linked, since the person has no such values.
    pub(super) async fn find_person(
        &mut self,
        hold: &Hold,
        database: &str,
        person: Option<&FoundPerson>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Result<Option<BoundHold>, String>, Error> {
        let known = match person.map(|person| &person.outcome) {
            Some(Ok(known)) => known,
            Some(Err(why)) => return Ok(Err(why.clone())),
            None => return Ok(Err("its person cannot be looked up: the home database is not available".to_owned())),
        };
        let linked = match subject::held_in(known, database, self.catalog) {
            Ok(linked) => linked,
            Err(why) => return Ok(Err(why)),
        };
        for (table, held) in &linked {
            // nobody waits for a table to be read through
            let condition = held.rows.sql(self.dialect, &self.dialect.row(table));
            let statement = self.dialect.explain(&statements::any_row(self.dialect, table, Some(&condition)));
            match self.connection.fetch(&statement).await {
                Ok(_) => {}
                Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Constraint) => {
                    return Ok(Err(format!("rows of {table} cannot be looked for: {error}")));
                }
                Err(error) => return Err(error),
            }
        }
        let mut ends = BTreeSet::new();
        for path in known.subject.ends_in(database) {
            match subject::table_of(self.catalog, path) {
                Ok(table) => drop(ends.insert(table.name.clone())),
                // where the way ends cannot be told: without it, more is held
                Err(why) => warnings.push(
                    Diagnostic::warning(Code::HoldInDoubt, Place::file("sunset.yaml"), format!("`not_theirs`: {why}"))
                        .help("take it out, or name the table as it is called now"),
                ),
            }
        }
        let home = match hold.database == database {
            true => match self.find(hold, warnings).await? {
                Ok(found) => Some(found),
                Err(why) => return Ok(Err(why)),
            },
            false => None,
        };
        let (id, matter) = (hold.id, hold.matter.clone());
        Ok(Ok(match (home, linked.first()) {
            (Some(home), _) => Some(BoundHold { held: home.held.into_iter().chain(linked).collect(), ends, ..home }),
            (None, Some((first, _))) => {
                Some(BoundHold { id, matter, table: first.clone(), held: linked.clone(), ends })
            }
            (None, None) => None,
        }))
    }
}
