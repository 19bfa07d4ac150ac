//! Masking: stars in place of characters. Characters are Unicode code points, and their number stays.
//!
//! A value that has no more characters than would be kept is masked whole: a short name must not survive because it is
//! short.

use super::{Context, Family, Mask, Misfit, Sql, count, text_only};
use crate::catalog::{Column, Engine, Table};

pub(super) struct Masking<'a>(pub &'a Mask);

impl Masking<'_> {
    fn kept(&self) -> (u32, u32) {
        (count(self.0.keep_first), count(self.0.keep_last))
    }
}

impl Family for Masking<'_> {
    fn label(&self) -> String {
        let characters = |count| if count == 1 { "character" } else { "characters" };
        match (self.0.keep_first, self.0.keep_last) {
            (0, 0) => "masked".into(),
            (first, 0) => format!("first {first} {} kept, rest masked", characters(first)),
            (0, last) => format!("last {last} {} kept, rest masked", characters(last)),
            (first, last) => format!("first {first} and last {last} {} kept, rest masked", characters(last)),
        }
    }

    fn misfits(&self, column: &Column, _: &Table, _: Engine) -> Vec<Misfit> {
        text_only(column).into_iter().collect()
    }

    fn expression(&self, _: &Column, context: &Context) -> Option<Sql> {
        let text = context.text();
        let (first, last) = self.kept();
        let length = match context.engine {
            Engine::Postgres | Engine::Mysql => format!("char_length({text})"),
            Engine::Sqlite => format!("length({text})"),
        };
        let stars = |count: &str| match context.engine {
            Engine::Postgres | Engine::Mysql => format!("repeat('*', {count})"),
            // Two hexadecimal digits for each zero byte, one star for each two digits.
            Engine::Sqlite => format!("replace(hex(zeroblob({count})), '00', '*')"),
        };
        let mut parts = Vec::new();
        if first > 0 {
            parts.push(match context.engine {
                Engine::Postgres | Engine::Mysql => format!("left({text}, {first})"),
                Engine::Sqlite => format!("substr({text}, 1, {first})"),
            });
        }
        parts.push(stars(&format!("{length} - {first} - {last}")));
        if last > 0 {
            parts.push(match context.engine {
                Engine::Postgres | Engine::Mysql => format!("right({text}, {last})"),
                Engine::Sqlite => format!("substr({text}, -{last})"),
            });
        }
        let partly = match context.engine {
            Engine::Postgres | Engine::Sqlite => parts.join(" || "),
            Engine::Mysql => format!("concat({})", parts.join(", ")),
        };
        let (kept, whole) = (u64::from(first) + u64::from(last), stars(&length));
        // SQLite makes an empty text, not NULL, of `zeroblob(NULL)`.
        Some(Sql::new(format!("case when {length} <= {kept} then {whole} when {length} > {kept} then {partly} end")))
    }

    fn apply(&self, value: &str, _: &Column, _: &str, _: &Context) -> Option<String> {
        let (first, last) = self.kept();
        let (first, last, length) = (first as usize, last as usize, value.chars().count());
        if length <= first + last {
            return Some("*".repeat(length));
        }
        let is_kept = |index| index < first || index >= length - last;
        Some(value.chars().enumerate().map(|(index, character)| if is_kept(index) { character } else { '*' }).collect())
    }
}
