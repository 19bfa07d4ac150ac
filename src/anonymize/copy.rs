//! Copies: a column keeps the value of another one, or of a related row, which is emptied in the same transaction. Nothing
//! is removed by it: another rule still needs the value.

use super::{Context, Family, Misfit, Sql};
use crate::{
    catalog::{Column, Engine, Table},
    clock::starting_point::{Pick, Source},
};

pub(super) struct Copying<'a>(pub &'a Source);

impl Family for Copying<'_> {
    fn label(&self) -> String {
        match self.0 {
            Source::Column(column) => format!("keeps the value of {column}"),
            Source::Related { pick: Pick::Latest, table, column, .. } => format!("keeps the latest {table}.{column}"),
            Source::Related { pick: Pick::Earliest, table, column, .. } => {
                format!("keeps the earliest {table}.{column}")
            }
        }
    }

    /// Both columns have to be known for that: see [`Context::copied`].
    fn misfits(&self, _: &Column, _: &Table, _: Engine) -> Vec<Misfit> {
        Vec::new()
    }

    /// What is emptied already has been copied before.
    fn expression(&self, _: &Column, context: &Context) -> Option<Sql> {
        Some(Sql::new(format!("coalesce({}, {})", context.copied.as_ref()?, context.column_sql)))
    }

    fn apply(&self, value: &str, _: &Column, _: &str, _: &Context) -> Option<String> {
        Some(value.to_owned())
    }
}
