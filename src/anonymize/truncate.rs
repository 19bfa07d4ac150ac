//! Truncation: the first characters stay, the rest goes. Characters are Unicode code points.

use super::{Context, Family, Misfit, Sql, count, kept_as_text, text_only};
use crate::catalog::{Column, Engine, Table};

pub(super) struct Truncation {
    pub length: u32,
    /// What the characters belong to, for the label; may be empty.
    pub of: &'static str,
}

impl Family for Truncation {
    fn label(&self) -> String {
        match self.length {
            0 => "emptied".into(),
            1 => format!("first character{} kept", self.of),
            length => format!("first {length} characters{} kept", self.of),
        }
    }

    fn misfits(&self, column: &Column, _: &Table, engine: Engine) -> Vec<Misfit> {
        text_only(column).into_iter().chain(kept_as_text(column, engine)).collect()
    }

    fn expression(&self, _: &Column, context: &Context) -> Option<Sql> {
        let (text, length) = (context.text(), count(self.length));
        Some(Sql::new(match context.engine {
            Engine::Postgres | Engine::Mysql => format!("left({text}, {length})"),
            Engine::Sqlite => format!("substr({text}, 1, {length})"),
        }))
    }

    fn apply(&self, value: &str, _: &Column, _: &str, _: &Context) -> Option<String> {
        Some(value.chars().take(count(self.length) as usize).collect())
    }
}
