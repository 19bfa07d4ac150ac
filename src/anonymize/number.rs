//! Exact decimal numbers, as far as techniques need them: what fits a column, comparing, rounding down.

use super::Misfit;
use crate::catalog::{Column, ColumnKind, Engine};
use std::{cmp::Ordering, ops::RangeInclusive};

/// `units` divided by ten to the power of `scale`.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    units: i128,
    scale: u32,
}

/// A rule's number as SQL and Rust both read it: digits and a point, no exponent.
pub(super) fn literal(number: f64) -> String {
    // Zero has no sign in SQL.
    format!("{}", if number == 0.0 { 0.0 } else { number })
}

/// A rule's number as the column stores it: single precision makes a little more or less of most decimals.
pub(super) fn stored(number: f64, column: &Column, engine: Engine) -> f64 {
    match is_single(column, engine) {
        #[expect(clippy::cast_possible_truncation, reason = "that is what the column does")]
        true => f64::from(number as f32),
        false => number,
    }
}

/// A floating-point column of single precision. SQLite has none.
pub(super) fn is_single(column: &Column, engine: Engine) -> bool {
    let sql_type = column.sql_type.to_ascii_lowercase();
    let starts = |name: &str| sql_type.starts_with(name);
    match (engine, column.kind) {
        (Engine::Postgres, ColumnKind::Float) => starts("real") || starts("float4"),
        (Engine::Mysql, ColumnKind::Float) => starts("float"),
        _ => false,
    }
}

/// What stands against storing `number` in the column, if anything does.
pub(super) fn misfit(number: f64, column: &Column, engine: Engine) -> Option<Misfit> {
    if !matches!(column.kind, ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float) {
        let help = "use `suppress`; this one is for integers, decimals and floating-point numbers";
        return Some(Misfit::kind(column, "a number", help));
    }
    let help = "use a number that the column can hold exactly";
    (!fits(&literal(number), column, engine)).then(|| Misfit::kind(column, &format!("to store {number} in it"), help))
}

/// Whether a column of numbers can hold this one, written without exponent, exactly.
pub(super) fn fits(text: &str, column: &Column, engine: Engine) -> bool {
    let Some(number) = Decimal::parse(text) else { return false };
    match column.kind {
        ColumnKind::Integer if is_year(column, engine) => {
            number.whole().is_some_and(|year| year == 0 || (FIRST_YEAR..=LAST_YEAR).contains(&year))
        }
        ColumnKind::Integer => number.whole().is_some_and(|whole| range(column, engine).contains(&whole)),
        ColumnKind::Decimal | ColumnKind::Float if number.units < 0 && is_unsigned(column) => false,
        ColumnKind::Decimal => has_places(number, column),
        // MySQL rounds what it stores in a `float(7,4)`
        ColumnKind::Float if engine == Engine::Mysql && !has_places(number, column) => false,
        ColumnKind::Float => !is_single(column, engine) || text.parse::<f32>().is_ok_and(f32::is_finite),
        _ => true,
    }
}

/// The number has no more digits than the column keeps, before the point and after.
fn has_places(number: Decimal, column: &Column) -> bool {
    let Some((digits, scale)) = precision(&column.sql_type) else { return true };
    let Ok(places) = u32::try_from(scale) else {
        // tens or hundreds are all that it keeps
        let unit = 10_i128.checked_pow(scale.unsigned_abs());
        let whole =
            number.whole().zip(unit).filter(|(whole, unit)| whole % unit == 0).map(|(whole, unit)| whole / unit);
        return whole.is_some_and(|whole| 10_i128.checked_pow(digits).is_none_or(|limit| whole.abs() < limit));
    };
    let number = number.at_scale(places);
    number.is_some_and(|number| 10_i128.checked_pow(digits).is_none_or(|limit| number.units.abs() < limit))
}

/// The least number that the column can hold, where it has one: as SQL and Rust read it.
pub(super) fn least(column: &Column, engine: Engine) -> Option<String> {
    match column.kind {
        ColumnKind::Integer if is_year(column, engine) => Some(FIRST_YEAR.to_string()),
        ColumnKind::Integer => Some(range(column, engine).start().to_string()),
        ColumnKind::Decimal if engine != Engine::Sqlite => {
            let (digits, scale) = precision(&column.sql_type)?;
            let units = 10_i128.checked_pow(digits)? - 1;
            match u32::try_from(scale) {
                _ if is_unsigned(column) => Some("0".into()),
                Ok(scale) => Some(Decimal { units: -units, scale }.to_string()),
                Err(_) => Some((-units).checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?.to_string()),
            }
        }
        _ => None,
    }
}

/// MySQL's `year` holds these, and 0.
const FIRST_YEAR: i128 = 1901;
const LAST_YEAR: i128 = 2155;

pub(super) fn is_year(column: &Column, engine: Engine) -> bool {
    engine == Engine::Mysql && column.sql_type.starts_with("year")
}

/// A PostgreSQL type of numbers that is not the server's own: nobody knows how many digits it has.
pub(super) fn is_domain(column: &Column, engine: Engine) -> bool {
    let own = ["smallint", "integer", "bigint", "oid", "numeric", "real", "double precision"];
    engine == Engine::Postgres && !own.iter().any(|name| column.sql_type.starts_with(name))
}

pub(super) fn is_unsigned(column: &Column) -> bool {
    column.sql_type.ends_with("unsigned") || column.sql_type.ends_with("unsigned zerofill")
}

/// Which of two numbers is greater; `None` when one of the texts is not a number of at most 38 digits.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = Decimal::pair(one, other)?;
    Some(one.units.cmp(&other.units))
}

/// The greatest multiple of `size` (above zero) that is not above `number`.
pub(super) fn floor(number: &str, size: &str) -> Option<String> {
    let (number, size) = Decimal::pair(number, size)?;
    let units = number.units.checked_sub(number.units.checked_rem_euclid(size.units)?)?;
    Some(Decimal { units, ..number }.to_string())
}

/// The integers that a column can hold. An unknown type, such as a domain, counts as the widest.
fn range(column: &Column, engine: Engine) -> RangeInclusive<i128> {
    let name = column.sql_type.split(['(', ' ']).next().unwrap_or_default().to_ascii_lowercase();
    let bits = match (engine, name.as_str()) {
        (Engine::Sqlite, _) => 64,
        (_, "tinyint") => 8,
        (_, "smallint" | "int2") => 16,
        (_, "mediumint") => 24,
        (_, "integer" | "int" | "int4") => 32,
        _ => 64,
    };
    match is_unsigned(column) && engine == Engine::Mysql {
        true => 0..=(1_i128 << bits) - 1,
        false => -(1_i128 << (bits - 1))..=(1_i128 << (bits - 1)) - 1,
    }
}

/// Digits and scale of `numeric(10,2)`; `None` where the type has no limits. PostgreSQL's scale can be below zero.
fn precision(sql_type: &str) -> Option<(u32, i32)> {
    let (_, arguments) = sql_type.split_once('(')?;
    let (arguments, _) = arguments.split_once(')')?;
    let (digits, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    Some((digits.trim().parse().ok()?, scale.trim().parse().ok()?))
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let units = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { units, scale: u32::try_from(fraction.len()).ok()? })
    }

    /// Both at the same scale, the finer of the two.
    fn pair(one: &str, other: &str) -> Option<(Self, Self)> {
        let (one, other) = (Self::parse(one)?, Self::parse(other)?);
        let scale = one.scale.max(other.scale);
        Some((one.at_scale(scale)?, other.at_scale(scale)?))
    }

    /// This number, written with so many digits after the point. `None` where it has more.
    fn at_scale(self, scale: u32) -> Option<Self> {
        let units = match scale.checked_sub(self.scale) {
            Some(more) => self.units.checked_mul(10_i128.checked_pow(more)?)?,
            None => {
                let divisor = 10_i128.checked_pow(self.scale - scale)?;
                (self.units % divisor == 0).then(|| self.units / divisor)?
            }
        };
        Some(Self { units, scale })
    }

    fn whole(self) -> Option<i128> {
        self.at_scale(0).map(|number| number.units)
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.units);
        }
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(kind: ColumnKind, sql_type: &str) -> Column {
        let sql_type = sql_type.to_owned();
        let (name, nullable, generated) = ("c".into(), true, false);
        Column {
            name,
            sql_type,
            kind,
            nullable,
            generated,
            touched: false,
            has_default: false,
            max_length: None,
            words: Vec::new(),
            comment: String::new(),
            codec: crate::catalog::Codec::of(crate::catalog::Values::Other, ""),
        }
    }

    #[test]
    fn numbers_fit_or_do_not() {
        let integer = |sql_type, text| fits(text, &column(ColumnKind::Integer, sql_type), Engine::Mysql);
        assert!(integer("tinyint(3) unsigned", "255") && !integer("tinyint(3) unsigned", "256"));
        assert!(!integer("tinyint(3) unsigned", "-1") && integer("tinyint(4)", "-128"));
        assert!(integer("bigint(20) unsigned", "18446744073709551615"));
        assert!(
            !integer("bigint(20)", "9223372036854775808") && integer("int(11)", "5.0") && !integer("int(11)", "5.5")
        );
        assert!(!integer("int(11)", "five") && !integer("int(11)", "") && !integer("int(11)", "1e3"));
        let decimal = |sql_type, text| fits(text, &column(ColumnKind::Decimal, sql_type), Engine::Postgres);
        assert!(decimal("numeric(5,2)", "999.99") && !decimal("numeric(5,2)", "1000"));
        assert!(!decimal("numeric(5,2)", "0.125") && decimal("numeric", "0.125"));
        assert!(decimal("numeric(5,-2)", "300") && !decimal("numeric(5,-2)", "90"));
        assert!(decimal("numeric(3,5)", "0.00999") && !decimal("numeric(3,5)", "0.01"));
        let mysql = |kind, sql_type, text| fits(text, &column(kind, sql_type), Engine::Mysql);
        assert!(
            !mysql(ColumnKind::Decimal, "decimal(5,2) unsigned", "-1")
                && !mysql(ColumnKind::Float, "float unsigned", "-1")
        );
        assert!(!mysql(ColumnKind::Float, "double(10,2)", "0.005") && mysql(ColumnKind::Float, "double(10,2)", "0.05"));
        assert!(mysql(ColumnKind::Integer, "year(4)", "1990") && !mysql(ColumnKind::Integer, "year(4)", "5"));
        assert!(!fits(&literal(1e300), &column(ColumnKind::Float, "real"), Engine::Postgres));
    }

    #[test]
    fn the_least_number_is_that_of_the_type() {
        let least = |kind, sql_type, engine| least(&column(kind, sql_type), engine);
        let integer = |sql_type| least(ColumnKind::Integer, sql_type, Engine::Mysql);
        assert_eq!(integer("tinyint(4)").as_deref(), Some("-128"));
        assert_eq!(integer("bigint(20) unsigned").as_deref(), Some("0"));
        assert_eq!(integer("year(4)").as_deref(), Some("1901"));
        assert_eq!(least(ColumnKind::Integer, "INT", Engine::Sqlite).as_deref(), Some("-9223372036854775808"));
        let decimal = |sql_type| least(ColumnKind::Decimal, sql_type, Engine::Postgres);
        assert_eq!(decimal("numeric(4,2)").as_deref(), Some("-99.99"));
        assert_eq!(decimal("numeric(3,-2)").as_deref(), Some("-99900"));
        assert_eq!(decimal("numeric"), None);
        assert_eq!(least(ColumnKind::Float, "real", Engine::Postgres), None);
    }

    #[test]
    fn literals_have_no_exponent() {
        assert_eq!(literal(1e20), "100000000000000000000");
        assert_eq!(literal(1e-7), "0.0000001");
        assert_eq!(literal(-0.0), "0");
    }

    #[test]
    fn rounding_goes_down_below_zero_too() {
        assert_eq!(floor("12.34", "10").as_deref(), Some("10.00"));
        assert_eq!(floor("-12.34", "10").as_deref(), Some("-20.00"));
        assert_eq!(floor("-0.05", "0.1").as_deref(), Some("-0.10"));
        assert_eq!(floor("0.3", "0.1").as_deref(), Some("0.3"));
        assert_eq!(floor("x", "0.1"), None);
        assert_eq!(compare("2.50", "2.5"), Some(Ordering::Equal));
        assert_eq!(compare("-2.51", "-2.5"), Some(Ordering::Less));
    }

    proptest! {
        #[test]
        fn floors_are_multiples_just_below(units in -1_000_000_i128..1_000_000, scale in 0_u32..4, size in 1_i128..500) {
            let number = Decimal { units, scale };
            let down = Decimal::parse(&floor(&number.to_string(), &size.to_string()).unwrap()).unwrap();
            let size = size * 10_i128.pow(scale);
            prop_assert_eq!(down.units % size, 0);
            prop_assert!(down.units <= units && units < down.units + size);
        }
    }
}
