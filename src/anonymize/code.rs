//! Top and bottom coding: numbers beyond a limit become the limit.

use super::{Context, Family, Misfit, Sql, number};
use crate::catalog::{Column, ColumnKind, Engine, Table};
use std::cmp::Ordering;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Top,
    Bottom,
}

pub(super) struct Coding {
    pub side: Side,
    pub limit: f64,
}

impl Family for Coding {
    fn label(&self) -> String {
        match self.side {
            Side::Top => format!("at most {}", self.limit),
            Side::Bottom => format!("at least {}", self.limit),
        }
    }

    fn misfits(&self, column: &Column, _: &Table, engine: Engine) -> Vec<Misfit> {
        number::misfit(self.limit, column, engine).into_iter().collect()
    }

    fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        let value = &context.column_sql;
        let limit = number::literal(number::stored(self.limit, column, context.engine));
        let comparison = if self.side == Side::Top { ">" } else { "<" };
        // Not `least` and `greatest`: in PostgreSQL they make the limit of NULL.
        let coded = format!("case when {value} {comparison} {limit} then {limit} else {value} end");
        Some(Sql::new(match context.engine {
            Engine::Postgres => format!("({coded})::{}", column.sql_type),
            Engine::Mysql => coded,
            Engine::Sqlite => format!("case when typeof({value}) in ('integer', 'real') then {coded} end"),
        }))
    }

    fn apply(&self, value: &str, column: &Column, _: &str, context: &Context) -> Option<String> {
        let stored = number::stored(self.limit, column, context.engine);
        let limit = number::literal(stored);
        let ordering = match column.kind {
            // a server prints fewer digits than a value has
            ColumnKind::Float => number::stored(value.parse().ok()?, column, context.engine).partial_cmp(&stored)?,
            _ => number::compare(value, &limit)?,
        };
        let beyond = if self.side == Side::Top { Ordering::Greater } else { Ordering::Less };
        Some(if ordering == beyond { limit } else { value.to_owned() })
    }
}
