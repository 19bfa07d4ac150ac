//! Numbers: the greatest multiple that is not above.

use super::super::{Context, Family, Misfit, Sql, number};
use crate::catalog::{Column, ColumnKind, Engine, Table};

/// A multiple of this size, which is above zero.
pub(in super::super) struct Bucket(pub f64);

/// Up to here floating-point numbers hold every whole number: 2 to the power of 53.
const EXACT: i64 = 1 << 53;

impl Bucket {
    /// Decimal arithmetic is exact; floating-point arithmetic is so for whole sizes alone. SQLite computes decimals in
    /// floating point.
    fn is_exact(column: &Column, engine: Engine) -> bool {
        column.kind != ColumnKind::Float && engine != Engine::Sqlite
    }
}

impl Family for Bucket {
    fn label(&self) -> String {
        format!("rounded down to a multiple of {}", self.0)
    }

    fn misfits(&self, column: &Column, _: &Table, engine: Engine) -> Vec<Misfit> {
        let Self(size) = *self;
        // of years, none is as small as a bucket
        let is_year = number::is_year(column, engine) && size.fract() == 0.0;
        if let Some(misfit) = number::misfit(size, column, engine).filter(|_| !is_year) {
            return vec![misfit];
        }
        if number::is_domain(column, engine) {
            let help = "use `suppress`, or make it a column of the domain's own type";
            return vec![Misfit::kind(column, "a type whose least number is known", help)];
        }
        let double = column.sql_type.to_ascii_lowercase().starts_with("double");
        if size <= 0.0 || size > 1e15 {
            vec![Misfit::kind(column, "a bucket above 0 and up to 1e15", "use a positive number")]
        } else if column.kind == ColumnKind::Float && !double && engine != Engine::Sqlite {
            let help = "use `suppress`, or make it a double precision or decimal column";
            vec![Misfit::kind(column, "more precision than that to come to rest", help)]
        } else if !Self::is_exact(column, engine) && size.fract() != 0.0 {
            let needed = "a whole number as bucket, because it rounds";
            vec![Misfit::kind(column, needed, "use a whole number, for example 10")]
        } else {
            Vec::new()
        }
    }

    fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        let (value, size, sql_type) = (&context.column_sql, number::literal(self.0), &column.sql_type);
        // What lies below the least number that the column can hold becomes that one.
        let within = |down: &str| match number::least(column, context.engine) {
            Some(least) => format!("case when {value} >= {least} and {down} < {least} then {least} else {down} end"),
            None => down.to_owned(),
        };
        // The remainder has the sign of the value, so it is brought above zero first.
        let down = |value: &str, modulo: &str| match modulo {
            "%" => format!("{value} - ({value} % {size} + {size}) % {size}"),
            _ => format!("{value} - mod(mod({value}, {size}) + {size}, {size})"),
        };
        Some(Sql::new(match (context.engine, column.kind) {
            (Engine::Postgres, ColumnKind::Float) => {
                format!("(case when abs({value}) <= {EXACT} then floor({value} / {size}) * {size} end)::{sql_type}")
            }
            (Engine::Postgres, _) => format!("({})::{sql_type}", within(&down(&format!("{value}::numeric"), "mod"))),
            (Engine::Mysql, ColumnKind::Float) => {
                format!("case when abs({value}) <= {EXACT} then floor({value} / {size}) * {size} end")
            }
            (Engine::Mysql, ColumnKind::Integer) if number::is_unsigned(column) => {
                format!("cast({} as unsigned)", down(value, "mod"))
            }
            // a whole number of 64 bits has nothing below its least one to compute with
            (Engine::Mysql, ColumnKind::Integer) => {
                format!("cast({} as signed)", within(&down(&format!("cast({value} as decimal(20))"), "mod")))
            }
            (Engine::Mysql, _) => within(&down(value, "mod")),
            (Engine::Sqlite, _) => {
                // A cast to integer goes towards zero: one step too high for what lies below it.
                let whole = format!("cast({value} / {size} as integer)");
                let floor = format!("({whole} - ({value} / {size} < {whole}))");
                let least = format!("{} - 1", i64::MIN + 1);
                format!(
                    "case typeof({value}) when 'integer' then case when {value} < {least} + ({value} % {size} + {size}) % {size} \
                     then {least} else {} end \
                     when 'real' then case when abs({value}) <= {EXACT} then {floor} * {size} end end",
                    down(value, "%")
                )
            }
        }))
    }

    fn apply(&self, value: &str, column: &Column, _: &str, context: &Context) -> Option<String> {
        if Self::is_exact(column, context.engine) || number::compare(value, "0").is_some() && !value.contains('.') {
            let down = number::floor(value, &number::literal(self.0))?;
            let least = match (context.engine, column.kind) {
                (Engine::Sqlite, _) => Some(i64::MIN.to_string()),
                (engine, _) => number::least(column, engine),
            };
            let is_below = |number: &str, least: &str| number::compare(number, least) == Some(std::cmp::Ordering::Less);
            return Some(match least {
                Some(least) if is_below(&down, &least) && !is_below(value, &least) => least,
                _ => down,
            });
        }
        let value: f64 = value.parse().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "2 to the power of 53 is exact")]
        let is_exact = value.abs() <= EXACT as f64;
        is_exact.then(|| ((value / self.0).floor() * self.0).to_string())
    }
}
