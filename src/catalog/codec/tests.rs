use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

fn number(text: impl Into<String>) -> Literal {
    Literal::Number(text.into())
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

/// What the SQL made of a reading says of a value: how it stands to the literal.
fn stands(value: &Decimal, reading: &Reading) -> Ordering {
    match reading {
        Reading::Value(operand) => value.cmp(&Decimal::parse(&operand.text).unwrap()),
        Reading::Above(operand) if *value <= Decimal::parse(&operand.text).unwrap() => Ordering::Less,
        Reading::Above(_) | Reading::BelowAll => Ordering::Greater,
        Reading::AboveAll => Ordering::Less,
        Reading::Truth(_) => panic!("a number is no truth"),
    }
}

fn thousandths(units: i64) -> String {
    format!("{}{}.{:03}", if units < 0 { "-" } else { "" }, units.abs() / 1000, units.abs() % 1000)
}

proptest! {
    /// No literal is rounded to the column: the column's values stand to it as to the number that was written.
    #[test]
    fn decimals_and_integers_are_compared_exactly(literal in -3_000_000_i64..3_000_000, value in -300_000_i64..300_000) {
        let written = Decimal::parse(&thousandths(literal)).unwrap();
        let stored = Decimal::parse(&thousandths(value * 10)).unwrap();
        let reading = Codec::of(Values::Decimal { scale: Some(2), whole_digits: Some(5) }, "").read(&number(thousandths(literal)), true).unwrap();
        prop_assert_eq!(stands(&stored, &reading), stored.cmp(&written));

        let whole = Decimal::from(value % 128);
        let tiny = Codec::of(Values::Integer { least: -128, most: 127 }, "");
        let reading = tiny.read(&number(thousandths(literal)), true).unwrap();
        prop_assert_eq!(stands(&whole, &reading), whole.cmp(&written));
    }

    /// A floating-point number stands to a literal as the number that it is printed as.
    #[test]
    fn floats_are_compared_as_printed(bits: u32, literal: u32, more in 0_u64..1000) {
        let (value, near) = (f32::from_bits(bits), f32::from_bits(literal));
        prop_assume!(value.is_finite() && near.is_finite());
        // digits beyond those that the type holds
        let digits = near.to_string();
        let written = if digits.contains('.') { format!("{digits}{more:010}") } else { format!("{digits}.{more:010}") };
        let exact = Decimal::parse(&written).unwrap();
        let reading = Codec::of(Values::Float { single: true }, "").read(&number(written), true).unwrap();
        let printed = Decimal::parse(&value.to_string()).unwrap();
        // what is bound is the same number, widened
        #[expect(clippy::cast_possible_truncation, reason = "a single one was widened")]
        let widened = |operand: &Operand| -> f32 { operand.text.parse::<f64>().unwrap() as f32 };
        let stands = match &reading {
            Reading::Value(operand) => value.partial_cmp(&widened(operand)).unwrap(),
            Reading::Above(operand) if value <= widened(operand) => Ordering::Less,
            Reading::Above(_) | Reading::BelowAll => Ordering::Greater,
            Reading::AboveAll => Ordering::Less,
            Reading::Truth(_) => return Err(TestCaseError::fail("a number was read as a truth")),
        };
        prop_assert_eq!(stands, printed.cmp(&exact), "{} against {}", value, exact);
    }

    /// Nothing that somebody may write in a rule makes the program stop.
    #[test]
    fn any_literal_is_read_or_refused(written in ".{0,40}", ranged: bool) {
        let sorts = [
            Values::Integer { least: 0, most: 255 }, Values::Decimal { scale: None, whole_digits: None }, Values::Float { single: false },
            Values::Boolean, Values::Bits { most: 7 }, Values::BitText, Values::Text, Values::Bytes { prefix: "\\x" },
            Values::Date { unset: true }, Values::DateTime, Values::Instant, Values::Time, Values::Uuid, Values::Inet,
            Values::Json, Values::Number, Values::Any, Values::Other, Values::WordSet(vec!["a".into()]),
            Values::Words { words: vec!["a".into()], by_position: true },
        ];
        for values in sorts {
            let codec = Codec::of(values, "");
            let _ = codec.read(&text(&written), ranged);
            let _ = codec.read(&number(written.clone()), ranged);
        }
    }
}

#[test]
fn numbers_beyond_the_type_are_no_values() {
    let byte = Codec::of(Values::Integer { least: 0, most: 255 }, "");
    assert_eq!(byte.read(&number("256"), false), Ok(Reading::AboveAll));
    assert_eq!(byte.read(&number("-1"), false), Ok(Reading::BelowAll));
    assert_eq!(byte.read(&number("1e50"), false), Ok(Reading::AboveAll));
    assert_eq!(byte.read(&number("-1e50"), false), Ok(Reading::BelowAll));
    assert!(byte.read(&text("5 "), false).is_err() && byte.read(&text("0x5"), false).is_err());
    let price = Codec::of(Values::Decimal { scale: Some(2), whole_digits: Some(2) }, "");
    assert_eq!(price.read(&number("100"), false), Ok(Reading::AboveAll));
    assert_eq!(price.read(&number("-99.991"), false), Ok(Reading::BelowAll));
    let last = Reading::Above(Operand { text: "99.99".into(), number: true });
    assert_eq!(price.read(&number("99.991"), false), Ok(last));
    let double = Codec::of(Values::Float { single: false }, "");
    assert_eq!(double.read(&number("1e400"), true), Ok(Reading::AboveAll));
}

#[test]
fn moments_are_read_to_the_microsecond() {
    let instant = Codec::of(Values::Instant, "");
    let value = |text: &str| Ok(Reading::Value(Operand { text: text.to_owned(), number: false }));
    assert_eq!(instant.read(&text("2026-01-01T00:00:00+14:00"), true), value("2025-12-31 10:00:00"));
    assert!(instant.read(&text("2026-01-01 00:00:00"), true).is_err(), "without a zone");
    let civil = Codec::of(Values::DateTime, "");
    assert_eq!(civil.read(&text("2026-01-01T15:00"), true), value("2026-01-01 15:00:00"));
    assert_eq!(
        civil.read(&text("2026-01-01 00:00:00.0000019"), true),
        Ok(Reading::Above(Operand { text: "2026-01-01 00:00:00.000001".into(), number: false }))
    );
    for wrong in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+09:00", "2026-02-30", "now", "infinity"] {
        assert!(civil.read(&text(wrong), true).is_err(), "{wrong}");
    }
}
