//! What of another table equals a value of the home table: its spellings, for the column that they are looked for in.

use crate::{
    catalog::{Codec, Column, ColumnKind, Decimal, Engine, Form, Literal, Operand, Reading, Values},
    database::{KeyColumn, Spelled, Spelling, spelling::half_width},
    recipients::phone,
};

/// More letters than these that have capitals and are not ASCII are only looked for in small and in capital letters.
const MOST_FOREIGN_LETTERS: usize = 4;

/// How values of two columns are compared.
pub struct Comparison<'a> {
    pub ours: &'a Column,
    pub theirs: &'a Column,
    pub form: Form,
    /// The engine of the database that has the other table.
    pub engine: Engine,
    /// The subject's.
    pub calling_code: Option<&'a str>,
}

/// Values of the two columns cannot be compared in this form.
#[derive(Debug, PartialEq, Eq)]
pub struct Incomparable(pub String);

impl Comparison<'_> {
    /// Whether any two values of the columns can be compared.
    ///
    /// # Errors
    /// They cannot, in words.
    pub fn check(&self) -> Result<(), Incomparable> {
        for column in [self.ours, self.theirs] {
            let fits = match (Sort::of(column), self.form) {
                (Sort::Text, _) => true,
                (Sort::Number, form) => form != Form::Email,
                (Sort::Bytes | Sort::Uuid | Sort::Date, form) => form == Form::Text,
                (Sort::Other, _) => false,
            };
            if !fits {
                let (name, sql_type, form) = (&column.name, &column.sql_type, self.form.word());
                return Err(Incomparable(format!("`{name}` has the type {sql_type}, which is not compared as {form}")));
            }
        }
        let (ours, theirs) = (Sort::of(self.ours), Sort::of(self.theirs));
        if ours != theirs && ours != Sort::Text && theirs != Sort::Text {
            let (ours, theirs) = (self.ours, self.theirs);
            return Err(Incomparable(format!(
                "`{}` ({}) and `{}` ({}) hold values of different kinds",
                theirs.name, theirs.sql_type, ours.name, ours.sql_type
            )));
        }
        Ok(())
    }

    /// The rows of the other table with the value. `None`: the value is none, or no value of the column can equal it.
    pub fn spelled(&self, value: &str) -> Option<Spelled> {
        let text = trimmed(value);
        if text.is_empty() {
            return None;
        }
        let column = KeyColumn::from(self.theirs);
        let spelled = |spelling, texts, values| Some(Spelled { column: column.clone(), spelling, texts, values });
        match self.form {
            Form::Email => spelled(Spelling::Address, addresses(&text), Vec::new()),
            Form::Phone => match self.calling_code.and_then(|code| phone::spellings(&text, code)) {
                Some(mut digits) => {
                    if Sort::of(self.theirs) == Sort::Number {
                        // a column of numbers keeps no zero in front
                        digits.extend(digits.clone().iter().map(|text| text.trim_start_matches('0').to_owned()));
                        digits.sort();
                        digits.dedup();
                    }
                    spelled(Spelling::Digits, digits, Vec::new())
                }
                // what is no number may be the same no number there, or its digits
                None => match digits(&text) {
                    digits if digits.is_empty() => spelled(Spelling::Trimmed, vec![text], Vec::new()),
                    digits => spelled(Spelling::Digits, vec![digits], Vec::new()),
                },
            },
            Form::Number => {
                let number = number(&text);
                let whole = if number.is_empty() { "0".to_owned() } else { number.clone() };
                let (texts, values) = (spellings_of(&number), operands(&self.theirs.codec, &[whole]));
                match (Sort::of(self.theirs) == Sort::Number && self.engine != Engine::Sqlite, number.is_empty()) {
                    (true, _) if values.is_empty() => None,
                    (true, _) => spelled(Spelling::Trimmed, Vec::new(), values),
                    (false, true) => {
                        let zeros = ["0", "00", "000", "0000", "+0"];
                        spelled(Spelling::Trimmed, zeros.iter().map(|zero| (*zero).to_owned()).collect(), values)
                    }
                    (false, false) => spelled(Spelling::Number, texts, values),
                }
            }
            Form::Text => self.text(text),
        }
    }

    fn text(&self, text: String) -> Option<Spelled> {
        let column = KeyColumn::from(self.theirs);
        let (ours, theirs) = (Sort::of(self.ours), Sort::of(self.theirs));
        let spelled = |spelling, texts, values| Some(Spelled { column: column.clone(), spelling, texts, values });
        let small = text.to_ascii_lowercase();
        let is_sqlite = self.engine == Engine::Sqlite;
        match (ours, theirs) {
            // bytes are read as hexadecimal digits
            (Sort::Bytes, Sort::Bytes) => spelled(Spelling::Bytes, padded(&small, self.theirs), Vec::new()),
            (Sort::Bytes, _) => {
                let written = ["", "\\x", "0x", "x"].iter().map(|before| format!("{before}{small}"));
                spelled(Spelling::Hexadecimal, written.collect(), Vec::new())
            }
            (_, Sort::Bytes) => {
                let digits = ["\\x", "0x", "x"].iter().find_map(|before| small.strip_prefix(before)).unwrap_or(&small);
                let digits: String = digits.chars().filter(|letter| !"-{} ".contains(*letter)).collect();
                let mut texts = padded(&hex::encode(&text), self.theirs);
                if hex::decode(&digits).is_ok() {
                    texts.extend(padded(&digits, self.theirs));
                }
                spelled(Spelling::Bytes, texts, Vec::new())
            }
            (Sort::Uuid, _) | (_, Sort::Uuid) => {
                let digits: String = small.chars().filter(|letter| !"-{}".contains(*letter)).collect();
                match theirs {
                    Sort::Uuid if !is_sqlite => {
                        // every value of the type has 32 digits: a text that has not equals none
                        let values = operands(&self.theirs.codec, &[digits]);
                        if values.is_empty() { None } else { spelled(Spelling::Trimmed, Vec::new(), values) }
                    }
                    _ => spelled(Spelling::Hexadecimal, vec![digits], Vec::new()),
                }
            }
            _ => {
                let mut texts = vec![text.clone()];
                if ours == Sort::Number || is_sqlite {
                    texts.extend(Decimal::parse(&text).map(|number| plain(&number.to_string())));
                }
                if theirs == Sort::Number && is_sqlite {
                    let whole: Vec<_> = texts.iter().filter(|text| !text.contains('.')).cloned().collect();
                    texts.extend(whole.iter().map(|text| format!("{text}.0")));
                }
                texts.sort();
                texts.dedup();
                let values = operands(&self.theirs.codec, &texts);
                match matches!(theirs, Sort::Number | Sort::Date) && !is_sqlite {
                    // every value of the type is a number: a text that is none equals none
                    true if values.is_empty() => None,
                    true => spelled(Spelling::Trimmed, Vec::new(), values),
                    false => spelled(Spelling::Trimmed, texts, values),
                }
            }
        }
    }

    /// One text for all spellings of the value, by which a change of it is noticed.
    pub fn plain(&self, value: &str) -> String {
        let text = trimmed(value);
        match self.form {
            Form::Email => address(&text),
            Form::Phone => phone::international(&text, self.calling_code).number().unwrap_or(text),
            Form::Number if text.is_empty() => text,
            // nought is a number, and no value is none
            Form::Number => Some(number(&text)).filter(|number| !number.is_empty()).unwrap_or_else(|| "0".to_owned()),
            Form::Text => text,
        }
    }

    /// The value is not what its form says, so that it is only compared with itself.
    pub fn is_doubtful(&self, value: &str) -> bool {
        let text = trimmed(value);
        !text.is_empty()
            && match self.form {
                Form::Phone => self.calling_code.and_then(|code| phone::spellings(&text, code)).is_none(),
                Form::Email => !text.contains(['@', '＠']),
                Form::Number => number(&text).bytes().any(|byte| !byte.is_ascii_digit()),
                Form::Text => false,
            }
    }
}

/// What sort of values a column has, as far as comparisons tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Compared as text, whatever else it may be.
    Text,
    Number,
    Bytes,
    Uuid,
    Date,
    /// Nothing that tells who somebody is.
    Other,
}

impl Sort {
    fn of(column: &Column) -> Self {
        match (column.kind, &column.codec.values) {
            (ColumnKind::Bytes, _) => Self::Bytes,
            (ColumnKind::Uuid, _) => Self::Uuid,
            (ColumnKind::Float, _) => Self::Other,
            (_, Values::Integer { .. } | Values::Decimal { .. } | Values::Number) => Self::Number,
            (_, Values::Date { .. }) => Self::Date,
            (_, Values::Text | Values::Words { .. } | Values::Any) => Self::Text,
            (ColumnKind::Text, Values::Other) => Self::Text,
            // arrays, documents, ranges, geometry: none of them equals a value as a whole
            _ => Self::Other,
        }
    }
}

/// The values of a column that equal one of these texts by the rules of its own type, if it has any.
fn operands(codec: &Codec, texts: &[String]) -> Vec<Operand> {
    if !codec.comparable || matches!(codec.values, Values::Other) {
        return Vec::new();
    }
    let mut operands = Vec::new();
    for text in texts {
        if let Ok(Reading::Value(operand)) = codec.read(&Literal::Text(text.clone()), false)
            && !operands.contains(&operand)
        {
            operands.push(operand);
        }
    }
    operands
}

/// Every sort of blank is a space, and none stands around the text.
pub(super) fn trimmed(text: &str) -> String {
    let spaces: String = text.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter }).collect();
    spaces.trim().to_owned()
}

/// No blanks, no full width, no capitals.
fn address(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).map(half_width).collect::<String>().to_lowercase()
}

/// The address, and the same with capitals where servers may not know that they are some.
fn addresses(text: &str) -> Vec<String> {
    let address = address(text);
    let foreign: Vec<usize> = address
        .chars()
        .enumerate()
        .filter(|(_, letter)| !letter.is_ascii() && letter.to_uppercase().next() != Some(*letter))
        .map(|(place, _)| place)
        .collect();
    let capitals = |chosen: &dyn Fn(usize) -> bool| -> String {
        let letter =
            |(place, letter): (usize, char)| match foreign.iter().position(|at| *at == place).is_some_and(chosen) {
                true => letter.to_uppercase().collect::<String>(),
                false => letter.to_string(),
            };
        address.chars().enumerate().map(letter).collect()
    };
    let mut all = match foreign.len() {
        0 => Vec::new(),
        few if few <= MOST_FOREIGN_LETTERS => {
            (0..1_u32 << few).map(|chosen| capitals(&|at| chosen >> at & 1 == 1)).collect()
        }
        _ => vec![capitals(&|_| true), capitals(&|at| at == 0)],
    };
    all.push(address.clone());
    all.sort();
    all.dedup();
    all
}

fn digits(text: &str) -> String {
    text.chars().map(half_width).filter(char::is_ascii_digit).collect()
}

/// No blanks, no full width, no sign, no zeros in front.
fn number(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_whitespace()).map(half_width).collect();
    plain.trim_start_matches(['+', '0']).to_owned()
}

/// A number, and the same as SQLite shows it where it is kept as one with a fraction.
fn spellings_of(number: &str) -> Vec<String> {
    if number.is_empty() { Vec::new() } else { vec![number.to_owned(), format!("{number}.0")] }
}

/// A number without zeros behind its fraction.
fn plain(number: &str) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number.to_owned(),
    }
}

/// Bytes, and the same as a column of a fixed length keeps them, with zeros behind.
fn padded(digits: &str, column: &Column) -> Vec<String> {
    let length = column.max_length.and_then(|most| usize::try_from(most).ok()).unwrap_or(0).saturating_mul(2);
    let mut all = vec![digits.to_owned()];
    // longer ones are no identifiers
    if digits.len() < length && length <= 512 {
        all.push(format!("{digits:0<length$}"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind, values: Values) -> Column {
        Column {
            name: "c".to_owned(),
            sql_type: "t".to_owned(),
            kind,
            codec: Codec::of(values, "text"),
            nullable: true,
            generated: false,
            touched: false,
            has_default: false,
            max_length: None,
            words: Vec::new(),
            comment: String::new(),
        }
    }

    fn texts(form: Form, value: &str) -> Vec<String> {
        let column = column(ColumnKind::Text, Values::Text);
        let comparison =
            Comparison { ours: &column, theirs: &column, form, engine: Engine::Postgres, calling_code: Some("81") };
        comparison.spelled(value).map(|spelled| spelled.texts).unwrap_or_default()
    }

    #[test]
    fn an_address_has_capitals_where_servers_may_not_know_them() {
        assert_eq!(texts(Form::Email, " Ｔaro@Example.com "), ["taro@example.com"]);
        assert_eq!(texts(Form::Email, "jörg@x.de"), ["jÖrg@x.de", "jörg@x.de"]);
        assert_eq!(texts(Form::Email, "äöüÄÖ@x.de").len(), 3);
        assert_eq!(texts(Form::Email, " \u{3000}\t"), [""; 0]);
    }

    #[test]
    fn a_phone_number_is_dialled_in_several_ways() {
        let of = |text: &str| texts(Form::Phone, text);
        for digits in ["09012345678", "9012345678", "819012345678", "00819012345678", "8109012345678"] {
            assert!(of("090-1234-5678").contains(&digits.to_owned()), "{digits}");
        }
        assert_eq!(of("090-1234-5678"), of("+81 90 1234 5678"));
        // a number of another country has no spelling of this one
        assert!(!of("+1 555 987 6543").contains(&"5559876543".to_owned()));
        // what is no number is compared as it is
        assert_eq!((of("n/a"), of("12")), (vec!["n/a".to_owned()], vec!["12".to_owned()]));
    }

    #[test]
    fn a_number_has_no_zeros_in_front() {
        assert_eq!(texts(Form::Number, "００42"), ["42", "42.0"]);
        assert!(texts(Form::Number, "0").contains(&"00".to_owned()));
    }

    #[test]
    fn what_no_value_of_the_type_can_be_equals_nothing() {
        let ours = column(ColumnKind::Text, Values::Text);
        let whole = column(ColumnKind::Integer, Values::Integer { least: 0, most: 100 });
        let uuid = column(ColumnKind::Uuid, Values::Uuid);
        let of = |theirs: &Column, value: &str, engine| {
            let form = Form::Text;
            Comparison { ours: &ours, theirs, form, engine, calling_code: None }
                .spelled(value)
                .map(|found| found.values)
        };
        for value in ["x", "1.5", "101", "-1"] {
            assert_eq!(of(&whole, value, Engine::Mysql), None, "{value}");
        }
        assert_eq!(of(&whole, "007", Engine::Mysql).map(|values| values.len()), Some(1));
        assert_eq!(of(&uuid, "no", Engine::Postgres), None);
        assert!(of(&uuid, "{6F9619FF8B86D011B42D00C04FC964FF}", Engine::Postgres).is_some());
    }

    #[test]
    fn values_of_different_kinds_cannot_be_compared() {
        let of = |kind, values| column(kind, values);
        let check = |ours: &Column, theirs: &Column, form| {
            Comparison { ours, theirs, form, engine: Engine::Postgres, calling_code: None }.check().is_ok()
        };
        let text = of(ColumnKind::Text, Values::Text);
        let number = of(ColumnKind::Integer, Values::Integer { least: 0, most: 9 });
        let bytes = of(ColumnKind::Bytes, Values::Bytes { prefix: "" });
        let float = of(ColumnKind::Float, Values::Float { single: true });
        assert!(
            check(&text, &number, Form::Text)
                && check(&bytes, &text, Form::Text)
                && check(&number, &number, Form::Phone)
        );
        assert!(!check(&number, &bytes, Form::Text) && !check(&text, &float, Form::Text));
        // an array has other texts than what is in it
        assert!(!check(&text, &of(ColumnKind::Other, Values::Other), Form::Text));
        assert!(!check(&number, &text, Form::Email) && !check(&bytes, &text, Form::Phone));
    }
}
