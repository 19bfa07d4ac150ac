//! Holds on persons, found in one database: the home row, and the rows that are linked to it by equal values.

use super::{Binder, BoundHold, Here, Hold, Located, root};
use crate::{
    catalog::{PersonLink, TableKind, TableName},
    database::{Error, ErrorKind, HeldRows, statements},
    diagnostic::{Code, Diagnostic, Place},
    plan::{
        open::OpenDatabase,
        subject::{self, FoundPerson, Known},
    },
    settings::SubjectLink,
};
use std::collections::{BTreeMap, BTreeSet};

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
        here: Here<'_>,
        person: Option<&FoundPerson>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Result<Option<BoundHold>, String>, Error> {
        let known = match person.map(|person| &person.outcome) {
            Some(Ok(known)) => known,
            Some(Err(why)) => return Ok(Err(why.clone())),
            None => return Ok(Err("its person cannot be looked up: the home database is not available".to_owned())),
        };
        let is_here = |name: &str| here.names.contains(name);
        let mut linked = Vec::new();
        for (link, then) in known.links().filter(|(link, _)| is_here(&link.table.database)) {
            match self.find_linked((hold, known), (link, then), here, warnings).await? {
                Ok(found) => linked.extend(found),
                Err(why) => return Ok(Err(why)),
            }
        }
        let mut ends = BTreeSet::new();
        for path in known.ends().filter(|path| is_here(&path.database)) {
            match here.places.table(path, self.catalog).filter(|table| table.kind != TableKind::View) {
                Some(table) => drop(ends.insert(root(self.catalog, table).name.clone())),
                None if path.database != here.database => {}
                // where the way ends cannot be told: without it, more is held
                None => warnings.push(
                    Diagnostic::warning(
                        Code::HoldInDoubt,
                        Place::file("sunset.yaml"),
                        format!("`not_theirs`: {path} is no table that is there"),
                    )
                    .help("take it out, or name the table as it is called now"),
                ),
            }
        }
        for path in known.later_ends().filter(|path| path.database == here.database) {
            let message = format!(
                "hold {}: {path} came into `not_theirs` of `{}` after the hold was added, and its rows stay",
                hold.name(),
                known.subject.name
            );
            let help = format!("`sunset hold move {} --subject {}` lets them go", hold.id, known.subject.name);
            warnings.push(Diagnostic::warning(Code::HoldInDoubt, Place::file("holds"), message).help(help));
        }
        let is_apart = hold.database != here.database && self.is_apart(&hold.table).await?;
        let home = match is_here(&hold.database) && !is_apart {
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

    /// The rows of a linked table, under whatever names it and its columns have now, or why they cannot be found. `then` is the
    /// link as it was when the hold was added.
    async fn find_linked(
        &mut self,
        (hold, known): (&Hold, &Known),
        (link, then): (&SubjectLink, Option<&PersonLink>),
        here: Here<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Result<Vec<(TableName, HeldRows)>, String>, Error> {
        let catalog = self.catalog;
        let meant_now = here.places.table(&link.table, catalog).filter(|table| table.kind != TableKind::View);
        let noted = then.and_then(|then| then.name.clone());
        let Some(wanted) = noted.or_else(|| meant_now.map(|table| table.name.clone())) else {
            return Ok(match link.table.database == here.database {
                true => Err(format!("{} is no longer there", link.table)),
                false => Ok(Vec::new()),
            });
        };
        if link.table.database != here.database && self.is_apart(&wanted).await? {
            return Ok(Ok(Vec::new()));
        }
        let binding = then.and_then(|then| then.binding.as_ref());
        let columns = link.columns.iter().map(|column| column.theirs.clone()).collect();
        let located = match self.locate(&wanted, binding, Some(columns)).await? {
            Ok(located) => located,
            Err(why) => return Ok(Err(format!("{}: {why}", link.table))),
        };
        let Located { table, namesake, columns, is_certain } = located;
        let renamed: BTreeMap<_, _> = columns.into_iter().collect();
        let mut now = link.clone();
        for column in &mut now.columns {
            column.theirs = renamed.get(&column.theirs).unwrap_or(&column.theirs).clone();
        }
        let mut held = match subject::linked(known, &now, table, catalog.engine) {
            Ok(Some(rows)) => vec![(table.name.clone(), rows)],
            Ok(None) => return Ok(Ok(Vec::new())),
            Err(why) => return Ok(Err(why)),
        };
        if let Some(why) = self.lacks_rows(&held[0], binding.map_or(0, |binding| binding.rows), is_certain).await? {
            return Ok(Err(why));
        }
        // a table or columns that have the names now: what comes there may be the person's too
        let others = [namesake, meant_now.map(|table| root(catalog, table)), Some(table)];
        let mut seen: Vec<(&TableName, bool)> = vec![(&table.name, now.columns != link.columns)];
        for other in others.into_iter().flatten() {
            let is_same = |(name, renamed): &(&TableName, bool)| **name == other.name && !renamed;
            if seen.iter().any(is_same) {
                continue;
            }
            seen.push((&other.name, false));
            let also = subject::linked(known, link, other, catalog.engine).ok().flatten();
            let message = format!(
                "hold {}: what {} was when it was added is called otherwise now, and something else has its name{}",
                hold.name(),
                link.table,
                if also.is_some() { ": the hold is applied to both" } else { "" }
            );
            if also.is_some() || other.name != table.name {
                let help = format!(
                    "`sunset hold move {} --subject {}` takes what `links` names now",
                    hold.id, known.subject.name
                );
                warnings.push(Diagnostic::warning(Code::HoldInDoubt, Place::file("holds"), message).help(help));
            }
            held.extend(also.map(|rows| (other.name.clone(), rows)));
        }
        Ok(Ok(held))
    }

    /// Why rows of a linked table cannot be looked for, or are not those that were meant: it may be another table.
    async fn lacks_rows(
        &mut self,
        (table, held): &(TableName, HeldRows),
        rows: u64,
        is_certain: bool,
    ) -> Result<Option<String>, Error> {
        let condition = held.rows.sql(self.dialect, &self.dialect.row(table));
        let is_counted = !is_certain && rows > 0;
        let statement = match is_counted {
            true => statements::count_where(self.dialect, table, &condition),
            // nobody waits for a table to be read through
            false => self.dialect.explain(&statements::any_row(self.dialect, table, Some(&condition))),
        };
        let found = match self.connection.fetch(&statement).await {
            Ok(found) => found,
            Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Constraint) => {
                return Ok(Some(format!("rows of {table} cannot be looked for: {error}")));
            }
            Err(error) => return Err(error),
        };
        let number = || found.into_iter().flatten().next().flatten().and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok((is_counted && number() < rows).then(|| {
            format!(
                "{table} may be another table than the one that was linked, or rows were taken out of it: it had {rows} of \
                 the person's rows, and has fewer"
            )
        }))
    }
}
