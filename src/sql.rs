//! SQL text in the making: text with bound values, before an engine numbers its placeholders.

/// One SQL statement with its bound values: pure data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    pub args: Vec<Value>,
}

impl Statement {
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), args: Vec::new() }
    }
}

/// A bound value. Keys, dates and numbers travel as `Text`; the SQL casts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Text(String),
    /// PostgreSQL only: a `text[]`.
    Texts(Vec<Option<String>>),
    Integer(i64),
    Bytes(Vec<u8>),
    /// Bound like the value inside, and shown to nobody: keys of held rows, secrets.
    Hidden(Box<Value>),
}

impl std::fmt::Display for Value {
    /// As plans show it.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => write!(f, "{} values", texts.len()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Hidden(_) => f.write_str("(hidden)"),
        }
    }
}

/// Stands for the next bound value until [`Sql::finish`] puts the engine's placeholder there. A control character, so
/// that no identifier, literal or operator can be mistaken for it.
pub const PLACEHOLDER: char = '\u{1}';

/// A piece of SQL with the values that its placeholders stand for, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sql {
    pub text: String,
    pub args: Vec<Value>,
}

impl Sql {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), args: Vec::new() }
    }

    /// A text that holds one placeholder, with its value.
    pub fn bound(text: impl Into<String>, value: Value) -> Self {
        Self { text: text.into(), args: vec![value] }
    }

    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub fn append(&mut self, piece: &Self) -> &mut Self {
        self.text.push_str(&piece.text);
        self.args.extend(piece.args.iter().cloned());
        self
    }

    /// All pieces with `separator` between them.
    pub fn join<'a>(pieces: impl IntoIterator<Item = &'a Self>, separator: &str) -> Self {
        let mut joined = Self::default();
        for (i, piece) in pieces.into_iter().enumerate() {
            joined.push(if i > 0 { separator } else { "" }).append(piece);
        }
        joined
    }

    /// All of them hold; `true` when there are none. Each piece must be safe to stand beside `and`.
    pub fn all<'a>(pieces: impl IntoIterator<Item = &'a Self>) -> Self {
        let joined = Self::join(pieces, " and ");
        if joined.text.is_empty() { Self::new("1 = 1") } else { joined }
    }

    /// In parentheses.
    #[must_use]
    pub fn nested(mut self) -> Self {
        self.text.insert(0, '(');
        self.text.push(')');
        self
    }

    /// The piece inside a longer text, which may hold it more than once.
    #[must_use]
    pub fn inside(self, wrap: impl FnOnce(&str) -> String) -> Self {
        let text = wrap(&self.text);
        let copies = text.matches(PLACEHOLDER).count() / self.args.len().max(1);
        Self { text, args: std::iter::repeat_n(self.args, copies).flatten().collect() }
    }

    /// This piece with its values hidden from plans.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.args = self.args.into_iter().map(|value| Value::Hidden(Box::new(value))).collect();
        self
    }

    /// Hidden when it holds a secret.
    #[must_use]
    pub fn hidden_if(self, secret: bool) -> Self {
        if secret { self.hidden() } else { self }
    }

    /// True where the piece is false or unknown.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.text.insert_str(0, "not coalesce((");
        self.text.push_str("), false)");
        self
    }

    /// Puts the engine's placeholders in: `number(1)`, `number(2)`, …
    pub fn finish(self, number: impl Fn(usize) -> String) -> Statement {
        let mut sql = String::with_capacity(self.text.len() + 2 * self.args.len());
        let mut count = 0;
        for character in self.text.chars() {
            if character == PLACEHOLDER {
                count += 1;
                sql.push_str(&number(count));
            } else {
                sql.push(character);
            }
        }
        debug_assert_eq!(count, self.args.len(), "one value for each placeholder: {sql}");
        Statement { sql, args: self.args }
    }
}

impl From<&str> for Sql {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
