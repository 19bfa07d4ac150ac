//! Conditions that no row can meet, as far as their words tell.

use super::{Expression, Term};

/// More alternatives than this are not looked through.
const MOST_ALTERNATIVES: usize = 64;

/// A value that is written in a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written<'a> {
    Text(&'a str),
    Number(&'a str),
    Boolean(bool),
}

impl std::fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Number(text) => f.write_str(text),
            Self::Boolean(value) => write!(f, "{value}"),
        }
    }
}

impl Expression {
    /// Why no row can meet the condition, in words; `None` where one can, or where that cannot be told. `misfit` says
    /// why a column cannot hold a value.
    pub fn contradiction(&self, misfit: &dyn Fn(&str, Written) -> Option<String>) -> Option<String> {
        let alternatives = self.alternatives(Node::Term(&self.root))?;
        let reasons = alternatives.iter().map(|atoms| self.refutation(atoms, misfit)).collect::<Option<Vec<_>>>()?;
        reasons.into_iter().next()
    }

    /// The condition as alternatives, each of which asks for all of its terms.
    fn alternatives<'a>(&self, node: Node<'a>) -> Option<Vec<Vec<Node<'a>>>> {
        let (operator, left, right) = match node {
            Node::Term(Term::Group(inner)) => return self.alternatives(Node::Term(inner)),
            Node::Term(Term::Chain(first, rest)) => return self.alternatives(Node::Chain(first, rest)),
            Node::Chain(first, []) => return self.alternatives(Node::Term(first)),
            Node::Chain(first, [before @ .., (operator, right)]) => (*operator, Node::Chain(first, before), right),
            Node::Term(_) => return Some(vec![vec![node]]),
        };
        let right = Node::Term(right);
        match operator {
            "OR" => {
                let mut all = self.alternatives(left)?;
                all.extend(self.alternatives(right)?);
                (all.len() <= MOST_ALTERNATIVES).then_some(all)
            }
            "AND" => {
                let (left, right) = (self.alternatives(left)?, self.alternatives(right)?);
                if left.len() * right.len() > MOST_ALTERNATIVES {
                    return None;
                }
                let both = |a: &Vec<Node<'a>>| right.iter().map(|b| [&a[..], &b[..]].concat()).collect::<Vec<_>>();
                Some(left.iter().flat_map(both).collect())
            }
            _ => Some(vec![vec![node]]),
        }
    }

    /// Why these terms cannot be true together.
    fn refutation(&self, atoms: &[Node], misfit: &dyn Fn(&str, Written) -> Option<String>) -> Option<String> {
        let mut facts: Vec<(usize, Fact)> = Vec::new();
        for atom in atoms {
            match self.facts(*atom) {
                Ok(found) => facts.extend(found),
                Err(why) => return Some(why),
            }
        }
        for (column, fact) in &facts {
            let name = &self.columns[*column].name;
            if let Fact::OneOf(values) = fact {
                let reasons: Option<Vec<_>> = values.iter().map(|value| misfit(name, *value)).collect();
                if let Some(why) = reasons.and_then(|reasons| reasons.into_iter().next()) {
                    return Some(why);
                }
            }
            let others = facts.iter().filter(|(other, _)| self.columns[*other].name == *name);
            if others.map(|(_, other)| other).any(|other| fact.excludes(other)) {
                return Some(format!("it asks for different things of `{name}` at once"));
            }
        }
        None
    }

    /// What a term says of columns; an error where it cannot be true.
    fn facts<'a>(&self, node: Node<'a>) -> Result<Vec<(usize, Fact<'a>)>, String> {
        let never = |what: &str| Err(format!("{what} is never true"));
        match node {
            Node::Term(Term::Constant("FALSE" | "NULL")) => never("the constant"),
            Node::Term(Term::Suffix(term, operator)) => Ok(match (&**term, *operator) {
                (Term::Column(column), "IS NULL") => vec![(*column, Fact::Null)],
                (Term::Column(column), "IS NOT NULL") => vec![(*column, Fact::Present)],
                _ => Vec::new(),
            }),
            Node::Term(Term::In(term, "IN", items)) => {
                let values: Vec<_> = items.iter().filter(|item| !is_null(item)).map(written).collect();
                match (&**term, values.as_slice()) {
                    (_, []) => never("a list without values"),
                    (Term::Column(column), _) if values.iter().all(Option::is_some) => {
                        Ok(vec![(*column, Fact::OneOf(values.into_iter().flatten().collect()))])
                    }
                    (Term::Column(column), _) => Ok(vec![(*column, Fact::Present)]),
                    _ => Ok(Vec::new()),
                }
            }
            Node::Term(Term::Between(term, "BETWEEN", low, high)) => {
                let Term::Column(column) = &**term else { return Ok(Vec::new()) };
                let bound =
                    |term, make: fn(Written<'a>, bool) -> Fact<'a>| written(term).map(|value| make(value, true));
                let bounds = [bound(low, Fact::Above), bound(high, Fact::Below)];
                Ok(bounds.into_iter().flatten().chain([Fact::Present]).map(|fact| (*column, fact)).collect())
            }
            Node::Chain(first, [(operator, second)]) => self.comparison(first, operator, second),
            _ => Ok(Vec::new()),
        }
    }

    fn comparison<'a>(
        &self,
        left: &'a Term,
        operator: &str,
        right: &'a Term,
    ) -> Result<Vec<(usize, Fact<'a>)>, String> {
        if !["=", "<>", "<", "<=", ">", ">="].contains(&operator) {
            return Ok(Vec::new());
        }
        if is_null(left) || is_null(right) {
            return Err(format!("`{operator} null` is never true (write `is null` or `is not null`)"));
        }
        let (column, value, operator) = match (left, right) {
            (Term::Column(a), Term::Column(b)) => {
                let same = self.columns[*a].name == self.columns[*b].name && ["<>", "<", ">"].contains(&operator);
                let never = || Err(format!("`{}` {operator} itself is never true", self.columns[*a].name));
                return if same { never() } else { Ok(vec![(*a, Fact::Present), (*b, Fact::Present)]) };
            }
            (Term::Column(column), value) => (*column, written(value), operator),
            (value, Term::Column(column)) => {
                let turned = match operator {
                    "<" => ">",
                    "<=" => ">=",
                    ">" => "<",
                    ">=" => "<=",
                    same => same,
                };
                (*column, written(value), turned)
            }
            _ => return Ok(Vec::new()),
        };
        let fact = value.map_or(Fact::Present, |value| match operator {
            "=" => Fact::OneOf(vec![value]),
            "<>" => Fact::Not(value),
            "<" => Fact::Below(value, false),
            "<=" => Fact::Below(value, true),
            ">" => Fact::Above(value, false),
            _ => Fact::Above(value, true),
        });
        Ok(vec![(column, fact)])
    }
}

/// A part of a condition: a term, or the first operands of a chain.
#[derive(Clone, Copy)]
enum Node<'a> {
    Term(&'a Term),
    Chain(&'a Term, &'a [(&'static str, Term)]),
}

/// What is asked of a column.
enum Fact<'a> {
    Null,
    Present,
    OneOf(Vec<Written<'a>>),
    Not(Written<'a>),
    /// The second: the bound itself as well.
    Below(Written<'a>, bool),
    Above(Written<'a>, bool),
}

impl Fact<'_> {
    /// No value can be both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => false,
            (Self::Null, _) => true,
            (Self::OneOf(values), Self::OneOf(others)) => {
                values.iter().all(|value| others.iter().all(|other| differ(value, other)))
            }
            (Self::OneOf(values), Self::Not(other)) => values.iter().all(|value| value == other),
            (Self::OneOf(values), Self::Below(bound, at)) => values.iter().all(|value| beyond(value, bound, !at)),
            (Self::OneOf(values), Self::Above(bound, at)) => values.iter().all(|value| beyond(bound, value, !at)),
            (Self::Above(low, at), Self::Below(high, also)) => beyond(low, high, !(*at && *also)),
            _ => false,
        }
    }
}

/// The first lies above the second, or at it where that counts. Texts are compared where they are written as days are.
fn beyond(a: &Written, b: &Written, or_at: bool) -> bool {
    let day = |text: &str| text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
    let order = match (a, b) {
        (Written::Text(a), Written::Text(b)) => day(a).zip(day(b)).map(|(a, b)| a.cmp(&b)),
        _ => number(a).zip(number(b)).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    order.is_some_and(|order| order.is_gt() || (or_at && order.is_eq()))
}

/// They are different values under every collation, and however they are converted.
fn differ(a: &Written, b: &Written) -> bool {
    match (a, b) {
        (Written::Text(a), Written::Text(b)) => {
            let plain = |text: &str| text.is_ascii() && !text.ends_with(' ');
            let numbers = || a.parse::<f64>().is_ok() && b.parse::<f64>().is_ok();
            plain(a) && plain(b) && !a.eq_ignore_ascii_case(b) && !numbers()
        }
        (Written::Boolean(a), Written::Boolean(b)) => a != b,
        _ => number(a).zip(number(b)).is_some_and(|(a, b)| (a - b).abs() > f64::EPSILON * a.abs().max(b.abs())),
    }
}

fn number(value: &Written) -> Option<f64> {
    match value {
        Written::Number(text) => text.parse().ok(),
        Written::Text(_) | Written::Boolean(_) => None,
    }
}

fn is_null(term: &Term) -> bool {
    match term {
        Term::Constant("NULL") => true,
        Term::Group(inner) => is_null(inner),
        _ => false,
    }
}

fn written(term: &Term) -> Option<Written<'_>> {
    match term {
        Term::Text(text) => Some(Written::Text(text)),
        Term::Number(text) => Some(Written::Number(text)),
        Term::Constant("TRUE") => Some(Written::Boolean(true)),
        Term::Constant("FALSE") => Some(Written::Boolean(false)),
        Term::Group(inner) => written(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{catalog::Engine, rules::condition::check};

    fn why(text: &str) -> Option<String> {
        let misfit = |column: &str, value: super::Written| {
            (column == "word" && value.to_string() == "'none'").then(|| format!("`{column}` cannot be {value}"))
        };
        check(text, Engine::Postgres).unwrap().contradiction(&misfit)
    }

    #[test]
    fn contradictions_are_seen() {
        for text in [
            "a = null",
            "a <> null or b = null",
            "a in (null)",
            "a = 1 and a = 2",
            "a = 'x' and b = 1 and (a = 'y')",
            "(a = 1 or a = 2) and a in (3, 4)",
            "a is null and a = 1",
            "a is null and a is not null",
            "a <> a",
            "a > 5 and a < 5",
            "a >= 5 and a < 5",
            "5 < a and a <= 5",
            "a between 7 and 3",
            "a = 1 and a > 1",
            "d >= '2026-02-01' and d < '2026-01-01'",
            "a = 1 and a <> 1",
            "a is not null and false",
            "word = 'none'",
            "word in ('none') and a = 1",
        ] {
            assert!(why(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_may_be_is_let_through() {
        for text in [
            "a = 1",
            "a = 1 or a = 2",
            "a = null or a = 1",
            "a in (null, 1)",
            "a = 'x' and a = 'X'",
            "a = 'x' and a = 'x '",
            "a = '1' and a = '01'",
            "a = 1 and a = '1'",
            "a > 5 and a < 6",
            "a >= 5 and a <= 5",
            "a between 3 and 7",
            "not (a = 1 and a = 2)",
            "a = 'ä' and a = 'Ä'",
            "d >= '2026-01-01' and d < '2026-02-01'",
            "a is null or a = 1",
            "a + 1 = 2 and a + 1 = 3",
            "lower(a) = 'x' and lower(a) = 'y'",
            "word = 'none' or word = 'some'",
            "word <> 'none'",
        ] {
            assert_eq!(why(text), None, "{text}");
        }
    }
}
