//! Two rules that claim the same rows: each row must have one fate.
//!
//! Rules of one table may follow each other in a row's life (unlink after six months, erase after five years). They
//! overlap when both would do the same to the same row: both erase, or both change the same column. Whether their
//! conditions can hold together is decided on paper where they are written as data, and by asking the database where
//! one is SQL, or where only the database knows whether two words are equal.

use crate::{
    catalog::Literal,
    diagnostic::{Code, Diagnostic},
    plan::interplay::{life::Life, names::Names},
    rules::{Condition, Disposition, Match, Rule},
};
use jiff::civil::Date;

/// Whether two rules claim the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    No,
    Yes,
    /// Their conditions have to be tried on the rows.
    Ask,
}

/// What paper says of two rules.
pub fn overlap(a: &Life, b: &Life, names: &dyn Names) -> Overlap {
    if a.table != b.table || !same_fate(a, b, names) || names.apart(&a.rule.table, &b.rule.table) {
        return Overlap::No;
    }
    conditions(a.rule.condition.as_ref(), b.rule.condition.as_ref(), &|name| names.fold(&a.rule.table, name))
}

/// Both would do the same.
fn same_fate(a: &Life, b: &Life, names: &dyn Names) -> bool {
    let erases = |life: &Life| life.rule.disposition == Disposition::Erase;
    let changes = |life: &Life, name: &str| {
        life.rule.columns.iter().any(|(other, _)| names.fold(&life.rule.table, other) == name)
    };
    match (erases(a), erases(b)) {
        (true, true) => true,
        (false, false) => a.rule.columns.iter().any(|(name, _)| changes(b, &names.fold(&a.rule.table, name))),
        _ => false,
    }
}

/// Whether two conditions of one table can hold for one row; `fold` brings a column's name to the form in which it is
/// compared.
pub fn conditions(a: Option<&Condition>, b: Option<&Condition>, fold: &dyn Fn(&str) -> String) -> Overlap {
    match (a, b) {
        (Some(Condition::Data(a)), Some(Condition::Data(b))) => {
            let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
            let tests = pairs.filter(|((a, _), (b, _))| fold(a) == fold(b)).map(|((_, a), (_, b))| exclude(a, b));
            tests.fold(Overlap::Yes, |overlap, test| match (overlap, test) {
                (Overlap::No, _) | (_, Some(true)) => Overlap::No,
                (Overlap::Ask, _) | (_, None) => Overlap::Ask,
                (Overlap::Yes, Some(false)) => Overlap::Yes,
            })
        }
        (Some(Condition::Sql(a)), Some(Condition::Sql(b))) if a == b => Overlap::Yes,
        (Some(Condition::Sql(_)), Some(_)) | (Some(_), Some(Condition::Sql(_))) => Overlap::Ask,
        (None, _) | (_, None) => Overlap::Yes,
    }
}

/// No value of a column passes both tests; `None` where only the database can say.
fn exclude(a: &Match, b: &Match) -> Option<bool> {
    match (a, b) {
        (Match::In(values), test) | (test, Match::In(values)) => {
            let passed: Vec<_> = values.iter().map(|value| holds(test, value)).collect();
            if passed.contains(&Some(true)) {
                return Some(false);
            }
            passed.iter().all(|passed| *passed == Some(false)).then_some(true)
        }
        (Match::LessThan(low), Match::AtLeast(high)) | (Match::AtLeast(high), Match::LessThan(low)) => {
            ordered(low, high).map(std::cmp::Ordering::is_le)
        }
        (Match::AtMost(low), Match::MoreThan(high)) | (Match::MoreThan(high), Match::AtMost(low)) => {
            ordered(low, high).map(std::cmp::Ordering::is_le)
        }
        (Match::LessThan(low), Match::MoreThan(high)) | (Match::MoreThan(high), Match::LessThan(low)) => {
            ordered(low, high).map(std::cmp::Ordering::is_le)
        }
        (Match::AtMost(low), Match::AtLeast(high)) | (Match::AtLeast(high), Match::AtMost(low)) => {
            ordered(low, high).map(std::cmp::Ordering::is_lt)
        }
        _ => Some(false),
    }
}

/// A value passes a test; `None` where only the database can say.
pub fn holds(test: &Match, value: &Literal) -> Option<bool> {
    let among = |values: &[Literal]| {
        let equal: Vec<_> = values.iter().map(|other| same(value, other)).collect();
        if equal.contains(&Some(true)) {
            return Some(true);
        }
        equal.iter().all(|equal| *equal == Some(false)).then_some(false)
    };
    if *value == Literal::Null {
        return Some(matches!(test, Match::In(values) if values.contains(&Literal::Null)));
    }
    match test {
        Match::In(values) => among(values),
        Match::NotIn(values) => among(values).map(|among| !among),
        Match::LessThan(bound) => ordered(value, bound).map(std::cmp::Ordering::is_lt),
        Match::AtMost(bound) => ordered(value, bound).map(std::cmp::Ordering::is_le),
        Match::MoreThan(bound) => ordered(value, bound).map(std::cmp::Ordering::is_gt),
        Match::AtLeast(bound) => ordered(value, bound).map(std::cmp::Ordering::is_ge),
    }
}

/// Two values are equal in every column that can hold both, or different in every one; `None` where that depends on the
/// column: its type, and for text its collation, which may ignore case, accents, blanks and signs.
pub fn same(a: &Literal, b: &Literal) -> Option<bool> {
    match (a, b) {
        (Literal::Null, other) | (other, Literal::Null) => Some(*other == Literal::Null),
        (Literal::Boolean(a), Literal::Boolean(b)) => Some(a == b),
        (Literal::Number(x), Literal::Number(y)) if x == y => Some(true),
        (Literal::Number(x), Literal::Number(y)) => match (whole(x), whole(y)) {
            (Some(x), Some(y)) => Some(x == y),
            _ => None,
        },
        (Literal::Text(a), Literal::Text(b)) if a == b => Some(true),
        (Literal::Text(a), Literal::Text(b)) => {
            let plain = |text: &str| text.is_ascii() && text.chars().any(|c| c.is_ascii_alphabetic());
            let letters = |text: &str| {
                text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>()
            };
            // whatever a collation ignores, these differ; times and numbers have several ways to be written
            (plain(a) && plain(b) && letters(a) != letters(b)).then_some(false)
        }
        _ => None,
    }
}

/// The order of two values, where it is the same in every column that can hold both.
fn ordered(a: &Literal, b: &Literal) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Literal::Number(a), Literal::Number(b)) => Some(whole(a)?.cmp(&whole(b)?)),
        (Literal::Text(a), Literal::Text(b)) => {
            let (a, b) = (a.parse::<Date>().ok()?, b.parse::<Date>().ok()?);
            Some(a.cmp(&b))
        }
        _ => None,
    }
}

/// A whole number that every numeric type can hold as it is: others may be rounded.
fn whole(text: &str) -> Option<i32> {
    const EXACT: i32 = 1 << 24;
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = digits.parse().ok().filter(|number| (-EXACT..=EXACT).contains(number))?;
    fraction.bytes().all(|byte| byte == b'0').then_some(number)
}

/// The diagnostic for two rules that do overlap; it stands at the second.
pub fn diagnostic(a: &Rule, b: &Rule) -> Diagnostic {
    let message = format!("rules `{}` and `{}` claim the same rows of `{}`", a.id, b.id, b.table);
    Diagnostic::error(Code::OverlappingRules, b.place.key("table"), message)
        .label(format!("the table of `{}`", b.id))
        .also(a.place.key("table"), format!("also the table of `{}`", a.id))
        .help("give each a `where` that excludes the other, for example on different values of one column")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Literal {
        Literal::Text(text.to_owned())
    }

    fn number(text: &str) -> Literal {
        Literal::Number(text.to_owned())
    }

    #[test]
    fn equality_is_claimed_only_where_every_column_has_it() {
        for (a, b, equal) in [
            (text("closed"), text("closed"), Some(true)),
            (text("closed"), text("open"), Some(false)),
            (text("closed"), text("CLOSED"), None),
            (text("closed"), text("closed "), None),
            (text("e-mail"), text("email"), None),
            (text("straße"), text("strasse"), None),
            (text("é"), text("e"), None),
            (text("2020-01-01"), text("2020-01-01 00:00:00"), None),
            (text("1"), text("01"), None),
            (text("1"), number("1"), None),
            (number("1"), number("1.0"), Some(true)),
            (number("-0"), number("0"), Some(true)),
            (number("1"), number("2"), Some(false)),
            (number("9007199254740993"), number("9007199254740992"), None),
            (number("0.1"), number("0.2"), None),
            (Literal::Boolean(true), Literal::Boolean(false), Some(false)),
            (Literal::Boolean(true), number("1"), None),
            (Literal::Null, text("closed"), Some(false)),
            (Literal::Null, Literal::Null, Some(true)),
        ] {
            assert_eq!(same(&a, &b), equal, "{a:?} {b:?}");
            assert_eq!(same(&b, &a), equal, "{b:?} {a:?}");
        }
    }

    #[test]
    fn conditions_are_apart_only_where_no_row_meets_both() {
        let one = |test| Condition::Data(vec![("c".to_owned(), test)]);
        let is = |a: Match, b: Match| {
            let (a, b) = (one(a), one(b));
            let both = [(&a, &b), (&b, &a)].map(|(a, b)| conditions(Some(a), Some(b), &str::to_owned));
            assert_eq!(both[0], both[1], "{a:?} {b:?}");
            both[0]
        };
        let words = |list: &[&str]| list.iter().map(|word| text(word)).collect::<Vec<_>>();
        assert_eq!(is(Match::In(words(&["a"])), Match::In(words(&["b", "c"]))), Overlap::No);
        assert_eq!(is(Match::In(words(&["a", "b"])), Match::In(words(&["b", "c"]))), Overlap::Yes);
        assert_eq!(is(Match::In(words(&["a"])), Match::In(words(&["A", "c"]))), Overlap::Ask);
        assert_eq!(is(Match::In(words(&["a"])), Match::NotIn(words(&["a"]))), Overlap::No);
        assert_eq!(is(Match::In(words(&["a"])), Match::NotIn(words(&["A"]))), Overlap::Ask);
        assert_eq!(is(Match::In(words(&["a"])), Match::NotIn(words(&["b"]))), Overlap::Yes);
        assert_eq!(is(Match::In(vec![Literal::Null]), Match::NotIn(vec![Literal::Null])), Overlap::No);
        assert_eq!(is(Match::In(vec![Literal::Null]), Match::NotIn(words(&["a"]))), Overlap::No);
        assert_eq!(is(Match::In(vec![Literal::Null]), Match::LessThan(number("3"))), Overlap::No);
        assert_eq!(is(Match::LessThan(number("3")), Match::AtLeast(number("3"))), Overlap::No);
        assert_eq!(is(Match::LessThan(number("3")), Match::AtLeast(number("2"))), Overlap::Yes);
        assert_eq!(is(Match::LessThan(number("3")), Match::AtLeast(number("3.5"))), Overlap::Ask);
        assert_eq!(is(Match::AtMost(number("3")), Match::AtLeast(number("3"))), Overlap::Yes);
        assert_eq!(is(Match::AtMost(number("3")), Match::MoreThan(number("3.00"))), Overlap::No);
        assert_eq!(is(Match::In(vec![number("5")]), Match::AtLeast(number("10"))), Overlap::No);
        assert_eq!(is(Match::LessThan(text("2020-01-01")), Match::AtLeast(text("2020-01-01"))), Overlap::No);
        assert_eq!(is(Match::LessThan(text("b")), Match::AtLeast(text("c"))), Overlap::Ask);
        assert_eq!(is(Match::NotIn(words(&["a"])), Match::NotIn(words(&["b"]))), Overlap::Yes);
    }
}
