//! Suppression: the value becomes NULL.

use super::{Context, Family, Misfit, Sql};
use crate::{
    catalog::{Column, Engine, Table},
    diagnostic::Code,
};

pub(super) struct Suppression;

impl Family for Suppression {
    fn label(&self) -> String {
        "removed".into()
    }

    fn misfits(&self, column: &Column, _: &Table, _: Engine) -> Vec<Misfit> {
        if column.nullable {
            return Vec::new();
        }
        let problem = format!("column `{}` refuses null", column.name);
        let help = "use `replace` with a text that says nothing, or `erase` the row";
        vec![Misfit { code: Code::NotNull, problem, help: help.into() }]
    }

    fn expression(&self, _: &Column, _: &Context) -> Option<Sql> {
        Some(Sql::new("null"))
    }

    fn apply(&self, _: &str, _: &Column, _: &str, _: &Context) -> Option<String> {
        None
    }

    /// Nulls are never equal to each other.
    fn merges_values(&self) -> bool {
        false
    }
}
