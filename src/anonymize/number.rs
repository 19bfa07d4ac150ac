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
        ColumnKind::Integer => number.whole().is_some_and(|whole| range(column, engine).contains(&whole)),
        ColumnKind::Decimal => match precision(&column.sql_type) {
            Some((digits, scale)) => number
                .at_scale(scale)
                .is_some_and(|number| 10_i128.checked_pow(digits).is_none_or(|limit| number.units.abs() < limit)),
            None => true,
        },
        _ => true,
    }
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
    match column.sql_type.ends_with("unsigned") {
        true => 0..=(1_i128 << bits) - 1,
        false => -(1_i128 << (bits - 1))..=(1_i128 << (bits - 1)) - 1,
    }
}

/// Digits and scale of `numeric(10,2)`; `None` where the type has no limits.
fn precision(sql_type: &str) -> Option<(u32, u32)> {
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

    /// The same number with this many digits after the point, if it has no more.
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
