//! How the values of one column compare, are bound and are printed. The engines make a codec of what the server's catalog
//! says of the column (`database/<engine>/codec.rs`), and their dialects write the SQL; nothing else decides from a type.

use super::Decimal;

/// A value as a rule writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// A number as written.
    Number(String),
    Text(String),
}

/// One column's codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    pub values: Values,
    /// The type that bound values are cast to. It has no length and no scale: a cast must not cut or round. Empty where
    /// the engine takes the value as it is.
    pub cast: String,
    /// How texts compare; `None` for other values, and where it is not known.
    pub collation: Option<Collation>,
    /// SQLite: how a column converts what is stored in it.
    pub affinity: Option<Affinity>,
    /// Two values can be told to be equal or not.
    pub comparable: bool,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Whole numbers, both ends included.
    Integer {
        least: i128,
        most: i128,
    },
    /// Numbers with so many decimal places, and so many digits before the point; with any number of them where there is
    /// no limit.
    Decimal {
        scale: Option<i64>,
        whole_digits: Option<i64>,
    },
    /// Binary floating-point numbers of 32 or 64 bits.
    Float {
        single: bool,
    },
    Boolean,
    /// MySQL: bits, which are a number.
    Bits {
        most: i128,
    },
    /// PostgreSQL: a row of the digits 0 and 1.
    BitText,
    /// One of these words, in their order. `by_position`: comparisons follow that order.
    Words {
        words: Vec<String>,
        by_position: bool,
    },
    /// MySQL: any of these words, in their order.
    WordSet(Vec<String>),
    Text,
    /// `prefix` stands before the hexadecimal digits where the engine prints bytes.
    Bytes {
        prefix: &'static str,
    },
    /// `unset`: `0000-00-00` can be stored.
    Date {
        unset: bool,
    },
    /// Without a zone.
    DateTime,
    /// A point in time.
    Instant,
    Time,
    Uuid,
    Inet,
    Json,
    /// SQLite: numbers as a rule, of either kind, and whatever else somebody stored.
    Number,
    /// SQLite: a column that takes every value as it is given.
    Any,
    /// Whatever else the server can read from a text.
    Other,
}

/// SQLite's conversion of values that are stored in a column or compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing but whole numbers: the row id.
    RowId,
    Integer,
    Real,
    Numeric,
    Text,
    Blob,
}

/// How the texts of a column compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collation {
    /// As SQL names it.
    pub name: String,
    /// MySQL: the character set that it belongs to.
    pub character_set: Option<String>,
}

/// How a literal of a rule stands to the values that a column can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is one of them, printed as the column's keys are.
    Value(Operand),
    /// It lies above this one, and below the next.
    Above(Operand),
    /// It lies below all of them.
    BelowAll,
    /// It lies above all of them.
    AboveAll,
    /// Truth, in a column of numbers or of anything.
    Truth(bool),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    pub text: String,
    /// It is a number: SQLite tells `5` from `'5'`.
    pub number: bool,
}

/// Why a literal cannot be compared with a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub problem: String,
    pub help: Option<String>,
}

impl Misfit {
    fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Codec {
    /// A codec without anything special.
    pub fn of(values: Values, cast: impl Into<String>) -> Self {
        let comparable = !matches!(values, Values::Json);
        Self { values, cast: cast.into(), collation: None, affinity: None, comparable }
    }

    /// SQLite's row id.
    pub fn row_id() -> Self {
        let whole = Values::Integer { least: i64::MIN.into(), most: i64::MAX.into() };
        Self { affinity: Some(Affinity::RowId), ..Self::of(whole, "integer") }
    }

    /// What a key is printed as is also what people and recipients read.
    pub fn prints_plainly(&self) -> bool {
        match self.affinity {
            Some(affinity) => affinity == Affinity::RowId,
            None => !matches!(self.values, Values::Float { .. }),
        }
    }

    /// Reads a literal other than null. `ranged`: it is to be compared by order, not only by equality.
    ///
    /// # Errors
    /// It says nothing of this column's values, or nothing certain.
    pub fn read(&self, literal: &Literal, ranged: bool) -> Result<Reading, Misfit> {
        let stands = |text: &str| Misfit::new(format!("`{text}` cannot stand here"));
        if ranged && let Some(misfit) = self.without_order() {
            return Err(misfit);
        }
        if !self.comparable {
            return Err(Misfit::new("values of this type cannot be compared")
                .help("write the condition in SQL, on a part of the value that can be; for a type of an extension, `search_path` of the database has to name its schema (docs/engines.md)"));
        }
        match literal {
            Literal::Null => Err(Misfit::new("null cannot be compared")),
            Literal::Boolean(_) if ranged => {
                Err(Misfit::new("true and false have no order").help("name the value that is meant"))
            }
            Literal::Boolean(value) => self.truth(*value).ok_or_else(|| stands(&value.to_string())),
            Literal::Number(text) => match Decimal::parse(text) {
                Some(number) => self.number(&number, text, ranged),
                None => Err(stands(text)),
            },
            Literal::Text(text) => self.word(text),
        }
    }

    fn without_order(&self) -> Option<Misfit> {
        match self.values {
            Values::Words { by_position: false, .. } | Values::WordSet(_) => Some(
                Misfit::new("this engine compares the words of such a column in two ways, by letters and by position")
                    .help("list the words that are meant"),
            ),
            Values::Boolean => Some(Misfit::new("true and false have no order").help("name the value that is meant")),
            _ => None,
        }
    }

    fn truth(&self, value: bool) -> Option<Reading> {
        match self.values {
            Values::Boolean if self.affinity.is_none() => {
                Some(Reading::Value(Operand { text: u8::from(value).to_string(), number: true }))
            }
            Values::Boolean | Values::Integer { .. } | Values::Bits { .. } | Values::Number | Values::Any => {
                Some(Reading::Truth(value))
            }
            _ => None,
        }
    }

    fn number(&self, number: &Decimal, written: &str, ranged: bool) -> Result<Reading, Misfit> {
        let value = |number: &Decimal| Operand { text: number.to_string(), number: true };
        Ok(match &self.values {
            Values::Integer { least, most } => whole(number, *least, *most),
            Values::Bits { most } => whole(number, 0, *most),
            Values::Decimal { scale, whole_digits } => {
                let floor = scale.map_or_else(|| number.clone(), |scale| number.floor(scale));
                match whole_digits.is_some_and(|digits| floor.magnitude() > digits) {
                    // a cast would make the column's own greatest number of it
                    true if floor < Decimal::from(0) => Reading::BelowAll,
                    true => Reading::AboveAll,
                    false if floor == *number => Reading::Value(value(number)),
                    false => Reading::Above(value(&floor)),
                }
            }
            Values::Float { single } => float(number, *single),
            Values::Number | Values::Any => match number.whole() {
                Some(whole) if i64::try_from(whole).is_ok() => Reading::Value(value(number)),
                // above 2^53 no fraction is a floating-point number, and whole numbers are told apart
                None if number
                    .floor(0)
                    .whole()
                    .is_some_and(|whole| whole.unsigned_abs() > 1 << 53 && i64::try_from(whole).is_ok()) =>
                {
                    Reading::Above(value(&number.floor(0)))
                }
                // there are infinities beside whatever else is stored
                _ => match float(number, false) {
                    Reading::AboveAll => Reading::Above(Operand { text: f64::MAX.to_string(), number: true }),
                    Reading::BelowAll => Reading::Above(Operand { text: f64::MIN.to_string(), number: true }),
                    reading => reading,
                },
            },
            Values::Boolean => {
                return Err(Misfit::new(format!("`{written}` cannot stand here")).help("write `true` or `false`"));
            }
            Values::Text if ranged => {
                return Err(Misfit::new(format!("`{written}` is a number")).help(
                    "texts are compared letter by letter, where \"20\" lies above \"100\": to compare numbers, write \
                     the condition in SQL with a cast, or keep them in a column of numbers",
                ));
            }
            Values::Text => {
                let help = format!("write \"{written}\" in quotes, which means the rows with exactly these characters");
                return Err(Misfit::new(format!("`{written}` is a number")).help(help));
            }
            _ => return Err(Misfit::new(format!("`{written}` cannot stand here"))),
        })
    }

    /// A text in quotes.
    fn word(&self, text: &str) -> Result<Reading, Misfit> {
        let refuse = || Misfit::new(format!("`{text}` cannot stand here"));
        let value = |text: String| Reading::Value(Operand { text, number: false });
        let number = || Decimal::parse(text);
        // what SQLite stores as a number when it is given such a text
        let becomes_number = matches!(self.affinity, Some(Affinity::Integer | Affinity::Real | Affinity::Numeric));
        Ok(match &self.values {
            Values::Text | Values::Any if becomes_number && number().is_some() => {
                let number = number().ok_or_else(refuse)?;
                Self::of(Values::Number, "").number(&number, text, false)?
            }
            Values::Integer { .. } | Values::Decimal { .. } | Values::Float { .. } | Values::Bits { .. } => {
                self.number(&number().ok_or_else(refuse)?, text, false)?
            }
            Values::Number => match number() {
                Some(number) => self.number(&number, text, false)?,
                None => return Err(refuse()),
            },
            Values::Boolean => {
                let truth = match text {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => None,
                };
                truth.and_then(|truth| self.truth(truth)).ok_or_else(refuse)?
            }
            Values::Words { words, .. } if !words.is_empty() => match words.iter().any(|word| word == text) {
                true => value(text.to_owned()),
                false => return Err(Misfit::new(format!("{}, only {} can", refuse().problem, words.join(", ")))),
            },
            Values::WordSet(words) => {
                let chosen: Vec<_> = text.split(',').filter(|word| !word.is_empty()).collect();
                if let Some(unknown) = chosen.iter().find(|word| !words.iter().any(|known| known == *word)) {
                    let problem = format!("`{unknown}` cannot stand here, only {} can", words.join(", "));
                    return Err(Misfit::new(problem));
                }
                let ordered: Vec<_> = words.iter().filter(|word| chosen.contains(&word.as_str())).cloned().collect();
                value(ordered.join(","))
            }
            Values::Text | Values::Any | Values::Words { .. } | Values::Other => value(text.to_owned()),
            Values::BitText if text.bytes().all(|byte| matches!(byte, b'0' | b'1')) => value(text.to_owned()),
            Values::Bytes { prefix } => {
                let digits = ["\\x", "0x", "x"].iter().find_map(|prefix| text.strip_prefix(prefix));
                let bytes = digits.and_then(|digits| hex::decode(digits).ok());
                let bytes = bytes.ok_or_else(|| refuse().help("write bytes as `0x` and hexadecimal digits"))?;
                let digits = if *prefix == "\\x" { hex::encode(bytes) } else { hex::encode_upper(bytes) };
                value(format!("{prefix}{digits}"))
            }
            Values::Date { unset } => match text.parse::<jiff::civil::Date>() {
                Ok(day) if text.len() == 10 => value(day.to_string()),
                _ if *unset && text == "0000-00-00" => value(text.to_owned()),
                _ => return Err(refuse().help("write the day as `2026-11-22`")),
            },
            Values::DateTime => {
                let civil = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:. T".contains(&byte));
                let time = text.parse::<jiff::civil::DateTime>().ok().filter(|_| civil);
                let time = time.ok_or_else(|| refuse().help("write a time without zone, as `2026-11-22 15:00:00`"))?;
                let floor = time.subsec_nanosecond() / 1000 * 1000;
                let below = time.with().subsec_nanosecond(floor).build().unwrap_or(time);
                let operand = Operand { text: civil_text(below), number: false };
                if below == time { Reading::Value(operand) } else { Reading::Above(operand) }
            }
            Values::Instant => {
                let help = "write a time with its zone, as `2026-11-22 15:00:00+09:00` or `2026-11-22 06:00:00Z`";
                let instant = text.parse::<jiff::Timestamp>().map_err(|_| refuse().help(help))?;
                let micros = instant.as_nanosecond().div_euclid(1000);
                let below =
                    i64::try_from(micros).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
                let below = below.unwrap_or(instant);
                let operand = Operand { text: civil_text(jiff::tz::TimeZone::UTC.to_datetime(below)), number: false };
                if below == instant { Reading::Value(operand) } else { Reading::Above(operand) }
            }
            Values::Time => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte));
                let time = text.parse::<jiff::civil::Time>().ok().filter(|_| digits).ok_or_else(refuse)?;
                value(time.to_string())
            }
            Values::Uuid => {
                let digits: String = text.chars().filter(|character| !"-{}".contains(*character)).collect();
                if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(refuse().help("write the UUID with its 32 hexadecimal digits"));
                }
                value(text.trim_matches(['{', '}']).to_ascii_lowercase())
            }
            Values::Inet => {
                let (address, length) = text.split_once('/').unwrap_or((text, "0"));
                if address.parse::<std::net::IpAddr>().is_err() || length.parse::<u8>().is_err() {
                    return Err(refuse());
                }
                value(text.to_owned())
            }
            Values::BitText | Values::Json => return Err(refuse()),
        })
    }
}

fn whole(number: &Decimal, least: i128, most: i128) -> Reading {
    let value = |number: i128| Operand { text: number.to_string(), number: true };
    let (negative, floor) = (*number < Decimal::from(0), number.floor(0));
    match floor.whole() {
        Some(whole) if whole < least => Reading::BelowAll,
        Some(whole) if whole > most => Reading::AboveAll,
        Some(whole) if floor == *number => Reading::Value(value(whole)),
        Some(whole) => Reading::Above(value(whole)),
        None if negative => Reading::BelowAll,
        None => Reading::AboveAll,
    }
}

/// The floating-point number that is printed as `number` is meant by it. Where none is, it lies between two of them.
fn float(number: &Decimal, single: bool) -> Reading {
    let text = number.to_string();
    // as its own precision prints it, and widened without a change
    let (printed, widened, below): (String, f64, f64) = if single {
        let nearest: f32 = text.parse().unwrap_or(f32::NAN);
        (nearest.to_string(), nearest.into(), nearest.next_down().into())
    } else {
        let nearest: f64 = text.parse().unwrap_or(f64::NAN);
        (digits(nearest), nearest, nearest.next_down())
    };
    let value = |float: f64| Operand { text: digits(float), number: true };
    match Decimal::parse(&printed) {
        None if *number < Decimal::from(0) => Reading::BelowAll,
        None => Reading::AboveAll,
        Some(nearest) if nearest == *number => Reading::Value(value(widened)),
        Some(nearest) if nearest < *number => Reading::Above(value(widened)),
        Some(_) => Reading::Above(value(below)),
    }
}

/// The fewest digits that tell the number from all others. Above 2^53, where these end in zeros that it does not have, all of
/// its digits.
fn digits(float: f64) -> String {
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if float.is_finite() && float.abs() > WHOLE { format!("{float:.0}") } else { float.to_string() }
}

fn civil_text(time: jiff::civil::DateTime) -> String {
    time.to_string().replace('T', " ")
}

#[cfg(test)]
mod tests;
