//! Conditions in SQL: one boolean expression of an allowed kind.
//!
//! The text is parsed in the engine's dialect into a small tree of our own, which has no place for anything but what is
//! allowed, and rendered again from that: no byte of a rule file's SQL reaches a database as it stands. The order of
//! operands and operators is kept and no parenthesis added or removed between them, so the engine reads in the rendered
//! text exactly what it would read in the original.

mod contradiction;

pub use contradiction::Written;

use crate::{catalog::Engine, language::shape::nearest};
use sqlparser::{
    ast::{
        BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArguments, Ident, ObjectNamePart, Spanned, UnaryOperator, Value,
    },
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    parser::{Parser, ParserError},
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace},
};
use std::{fmt, ops::Range};

/// MySQL's dialect in sessions with `NO_BACKSLASH_ESCAPES`, as all of Sunset's are: a backslash in a text is a backslash.
#[derive(Debug)]
struct WithoutBackslashEscapes(MySqlDialect);

impl Dialect for WithoutBackslashEscapes {
    fn dialect(&self) -> std::any::TypeId {
        self.0.dialect()
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        false
    }

    fn is_identifier_start(&self, character: char) -> bool {
        self.0.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.0.is_identifier_part(character)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        self.0.is_delimited_identifier_start(character)
    }

    fn supports_string_literal_concatenation(&self) -> bool {
        self.0.supports_string_literal_concatenation()
    }

    fn supports_numeric_prefix(&self) -> bool {
        self.0.supports_numeric_prefix()
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        self.0.supports_bitwise_shift_operators()
    }

    fn supports_multiline_comment_hints(&self) -> bool {
        self.0.supports_multiline_comment_hints()
    }

    fn requires_single_line_comment_whitespace(&self) -> bool {
        self.0.requires_single_line_comment_whitespace()
    }

    fn require_interval_qualifier(&self) -> bool {
        self.0.require_interval_qualifier()
    }

    fn supports_double_ampersand_operator(&self) -> bool {
        self.0.supports_double_ampersand_operator()
    }

    fn supports_binary_kw_as_cast(&self) -> bool {
        self.0.supports_binary_kw_as_cast()
    }

    fn supports_data_type_signed_suffix(&self) -> bool {
        self.0.supports_data_type_signed_suffix()
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        self.0.parse_infix(parser, expr, precedence)
    }
}

/// Bytes of a condition. A longer one belongs into a view or a column.
const LONGEST: usize = 8_000;

/// Operators in a row, and expressions within expressions.
const MOST_OPERATORS: usize = 500;
const DEEPEST: usize = 60;

/// A condition after the check.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    root: Term,
    columns: Vec<ColumnUse>,
}

/// A column where the condition names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnUse {
    /// As the engine understands it: PostgreSQL's unquoted names are in small letters here.
    pub name: String,
    /// What stands before the dot, which can only be the table's own name.
    pub qualifier: Option<String>,
    /// Bytes of the condition's text.
    pub range: Range<usize>,
}

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// Bytes of the condition's text.
    pub range: Range<usize>,
    pub problem: String,
    pub help: Option<String>,
}

/// What an expression is made of. Words and operators are ours; text of the rule's stands only in `Text`, in the names of
/// columns, and in `Number`, whose characters are checked.
#[derive(Clone, Debug, PartialEq)]
enum Term {
    /// An index into the expression's columns.
    Column(usize),
    Text(String),
    Number(String),
    /// `TRUE`, `FALSE`, `NULL`
    Constant(&'static str),
    /// Operands with operators between them, as they stand in the text.
    Chain(Box<Term>, Vec<(&'static str, Term)>),
    Prefix(&'static str, Box<Term>),
    Suffix(Box<Term>, &'static str),
    In(Box<Term>, &'static str, Vec<Term>),
    Between(Box<Term>, &'static str, Box<Term>, Box<Term>),
    Like(Box<Term>, &'static str, Box<Term>, Option<Box<Term>>),
    Case {
        operand: Option<Box<Term>>,
        branches: Vec<(Term, Term)>,
        otherwise: Option<Box<Term>>,
    },
    Cast(Box<Term>, String),
    Call(&'static str, Vec<Term>),
    Group(Box<Term>),
}

/// Parses and checks a condition.
///
/// # Errors
///
/// Everything that is wrong with it, as far as one can go on after a mistake.
pub fn check(sql: &str, engine: Engine) -> Result<Expression, Vec<ConditionError>> {
    let positions = Positions { sql, lines: line_starts(sql) };
    let error = |range: Range<usize>, problem: &str, help: &str| {
        let help = (!help.is_empty()).then(|| help.to_owned());
        vec![ConditionError { range, problem: problem.to_owned(), help }]
    };
    if sql.len() > LONGEST {
        let problem = format!("the condition is longer than {LONGEST} bytes");
        return Err(error(0..sql.len(), &problem, "ask for less, or keep the answer in a column"));
    }
    let dialect: &dyn Dialect = match engine {
        Engine::Postgres => &PostgreSqlDialect {},
        Engine::Mysql => &WithoutBackslashEscapes(MySqlDialect {}),
        Engine::Sqlite => &SQLiteDialect {},
    };
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location().map_err(|failure| {
        let at = positions.byte(failure.location);
        error(at..sql.len(), &lowercase(&failure.message), "")
    })?;
    if let Some(range) = hidden(&tokens, &positions) {
        return Err(error(range, "comments have no place in a condition", "put them behind a `#` of YAML"));
    }
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|failure| match failure {
        ParserError::RecursionLimitExceeded => error(0..sql.len(), "the condition is nested too deeply", ""),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let (message, range) = positions.of_message(&message);
            error(range, &lowercase(message).replace("found: EOF", "found the end").replace(": ", " "), "")
        }
    })?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => {}
        Token::SemiColon => {
            return Err(error(
                positions.range(next.span),
                "a semicolon has no place in a condition",
                "one expression only",
            ));
        }
        ref token => {
            let problem = format!("unexpected `{token}` after the expression");
            return Err(error(positions.range(next.span), &problem, "one expression only"));
        }
    }
    let mut reader = Reader { engine, positions: &positions, columns: Vec::new(), errors: Vec::new() };
    let root = reader.term(&expr, 0);
    if root.is_some() && !is_boolean(&expr) {
        reader.refuse(&expr, format!("{} is not a condition", name_of(&expr)), Some("compare it with something"));
    } else if reader.errors.is_empty() && reader.columns.is_empty() {
        let help = Some("leave `where` out to take all rows");
        reader.refuse(&expr, "the condition names no column: it holds for all rows or for none", help);
    }
    match root {
        Some(root) if reader.errors.is_empty() => Ok(Expression { root, columns: reader.columns }),
        _ => {
            reader.errors.sort_by_key(|error| error.range.start);
            Err(reader.errors)
        }
    }
}

impl Expression {
    /// The columns that it names, in the order of the text; one that is named twice is here twice.
    pub fn columns(&self) -> &[ColumnUse] {
        &self.columns
    }

    /// The first column that is said to be of another table than `table`.
    pub fn stranger(&self, table: &str) -> Option<&ColumnUse> {
        self.columns
            .iter()
            .find(|column| column.qualifier.as_ref().is_some_and(|qualifier| !qualifier.eq_ignore_ascii_case(table)))
    }

    /// The expression in parentheses, with every column as `table_alias.column`, the column quoted by `quote`, and every
    /// text made by `literal`: a quoted literal, or a placeholder.
    pub fn render(
        &self,
        quote: &dyn Fn(&str) -> String,
        literal: &dyn Fn(&str) -> String,
        table_alias: &str,
    ) -> String {
        let column = |index: usize| format!("{table_alias}.{}", quote(&self.columns[index].name));
        format!("({})", Rendered { term: &self.root, column: &column, literal })
    }
}

/// Shows a term as SQL.
struct Rendered<'a> {
    term: &'a Term,
    column: &'a dyn Fn(usize) -> String,
    literal: &'a dyn Fn(&str) -> String,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let of = |term| Rendered { term, ..*self };
        let list = |f: &mut fmt::Formatter, terms: &[Term]| -> fmt::Result {
            for (index, term) in terms.iter().enumerate() {
                write!(f, "{}{}", if index == 0 { "" } else { ", " }, Rendered { term, ..*self })?;
            }
            Ok(())
        };
        match self.term {
            Term::Column(index) => f.write_str(&(self.column)(*index)),
            Term::Text(text) => f.write_str(&(self.literal)(text)),
            Term::Number(number) => f.write_str(number),
            Term::Constant(word) => f.write_str(word),
            Term::Chain(first, rest) => {
                write!(f, "{}", of(first))?;
                rest.iter().try_for_each(|(operator, term)| write!(f, " {operator} {}", of(term)))
            }
            // The space keeps two minus signs from becoming a comment.
            Term::Prefix(operator, term) => write!(f, "{operator} {}", of(term)),
            Term::Suffix(term, operator) => write!(f, "{} {operator}", of(term)),
            Term::In(term, operator, items) => {
                write!(f, "{} {operator} (", of(term))?;
                list(f, items)?;
                f.write_str(")")
            }
            Term::Between(term, operator, low, high) => {
                write!(f, "{} {operator} {} AND {}", of(term), of(low), of(high))
            }
            Term::Like(term, operator, pattern, escape) => {
                write!(f, "{} {operator} {}", of(term), of(pattern))?;
                escape.iter().try_for_each(|escape| write!(f, " ESCAPE {}", of(escape)))
            }
            Term::Case { operand, branches, otherwise } => {
                f.write_str("CASE")?;
                operand.iter().try_for_each(|operand| write!(f, " {}", of(operand)))?;
                branches.iter().try_for_each(|(when, then)| write!(f, " WHEN {} THEN {}", of(when), of(then)))?;
                otherwise.iter().try_for_each(|otherwise| write!(f, " ELSE {}", of(otherwise)))?;
                f.write_str(" END")
            }
            Term::Cast(term, sql_type) => write!(f, "CAST({} AS {sql_type})", of(term)),
            Term::Call(function, arguments) => {
                write!(f, "{function}(")?;
                list(f, arguments)?;
                f.write_str(")")
            }
            Term::Group(term) => write!(f, "({})", of(term)),
        }
    }
}

/// Makes terms of the parser's expressions, and errors of what is not allowed.
struct Reader<'a> {
    engine: Engine,
    positions: &'a Positions<'a>,
    columns: Vec<ColumnUse>,
    errors: Vec<ConditionError>,
}

const TIME: &str = "time comes from the starting point and the periods";

impl Reader<'_> {
    fn refuse(&mut self, expr: &Expr, problem: impl Into<String>, help: Option<&str>) {
        self.refuse_at(expr.span(), problem, help);
    }

    fn refuse_at(&mut self, span: Span, problem: impl Into<String>, help: Option<&str>) {
        let range = self.positions.range(span);
        self.errors.push(ConditionError { range, problem: problem.into(), help: help.map(str::to_owned) });
    }

    fn boxed(&mut self, expr: &Expr, depth: usize) -> Option<Box<Term>> {
        self.term(expr, depth + 1).map(Box::new)
    }

    /// All of them, so that every mistake is found, before the first failure counts.
    fn terms<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>, depth: usize) -> Option<Vec<Term>> {
        let terms: Vec<_> = exprs.into_iter().map(|expr| self.term(expr, depth + 1)).collect();
        terms.into_iter().collect()
    }

    fn option(&mut self, expr: Option<&Expr>, depth: usize) -> Option<Option<Box<Term>>> {
        match expr {
            Some(expr) => self.boxed(expr, depth).map(Some),
            None => Some(None),
        }
    }

    fn term(&mut self, expr: &Expr, depth: usize) -> Option<Term> {
        if depth > DEEPEST {
            self.errors.push(ConditionError {
                range: 0..self.positions.sql.len(),
                problem: "the condition is nested too deeply".to_owned(),
                help: None,
            });
            return None;
        }
        let suffix =
            |reader: &mut Self, expr: &Expr, operator| Some(Term::Suffix(reader.boxed(expr, depth)?, operator));
        let not = |negated: bool, with: &'static str, without: &'static str| if negated { with } else { without };
        match expr {
            Expr::Nested(inner) => self.boxed(inner, depth).map(Term::Group),
            Expr::Identifier(ident) => self.column(None, ident),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] => self.column(Some(table), column),
                _ => {
                    self.refuse(expr, "a column takes at most its table's name before it", None);
                    None
                }
            },
            Expr::Value(value) => self.value(expr, &value.value),
            Expr::TypedString(typed) => {
                let fits = self.engine != Engine::Sqlite
                    && matches!(typed.data_type, DataType::Date | DataType::Timestamp(..));
                match &typed.value.value {
                    Value::SingleQuotedString(text) if fits => {
                        Some(Term::Cast(Box::new(Term::Text(text.clone())), self.sql_type(expr, &typed.data_type)?))
                    }
                    _ => {
                        self.refuse(expr, "a text with a type before it is not allowed", Some("write the text alone"));
                        None
                    }
                }
            }
            Expr::UnaryOp { op, expr: inner } => {
                let operator = match op {
                    UnaryOperator::Not => "NOT",
                    UnaryOperator::Minus => "-",
                    UnaryOperator::Plus => "+",
                    other => {
                        self.refuse(expr, format!("the operator `{other}` is not allowed"), None);
                        return None;
                    }
                };
                Some(Term::Prefix(operator, self.boxed(inner, depth)?))
            }
            Expr::BinaryOp { .. } | Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => self.chain(expr, depth),
            Expr::IsNull(inner) => suffix(self, inner, "IS NULL"),
            Expr::IsNotNull(inner) => suffix(self, inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => suffix(self, inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => suffix(self, inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => suffix(self, inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => suffix(self, inner, "IS NOT FALSE"),
            Expr::InList { expr: inner, list, negated } if !list.is_empty() => {
                let term = self.boxed(inner, depth);
                let items = self.terms(list, depth);
                Some(Term::In(term?, not(*negated, "NOT IN", "IN"), items?))
            }
            Expr::Between { expr: inner, negated, low, high } => {
                let (term, low, high) = (self.boxed(inner, depth), self.boxed(low, depth), self.boxed(high, depth));
                Some(Term::Between(term?, not(*negated, "NOT BETWEEN", "BETWEEN"), low?, high?))
            }
            Expr::Like { negated, any: false, expr: inner, pattern, escape_char } => {
                let (term, pattern) = (self.boxed(inner, depth), self.boxed(pattern, depth));
                let escape = self.option(escape_char.as_deref(), depth);
                Some(Term::Like(term?, not(*negated, "NOT LIKE", "LIKE"), pattern?, escape?))
            }
            Expr::ILike { negated, any: false, expr: inner, pattern, escape_char }
                if self.engine == Engine::Postgres =>
            {
                let (term, pattern) = (self.boxed(inner, depth), self.boxed(pattern, depth));
                let escape = self.option(escape_char.as_deref(), depth);
                Some(Term::Like(term?, not(*negated, "NOT ILIKE", "ILIKE"), pattern?, escape?))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = self.option(operand.as_deref(), depth);
                let whens = self.terms(conditions.iter().map(|branch| &branch.condition), depth);
                let thens = self.terms(conditions.iter().map(|branch| &branch.result), depth);
                let otherwise = self.option(else_result.as_deref(), depth);
                let branches = whens?.into_iter().zip(thens?).collect();
                Some(Term::Case { operand: operand?, branches, otherwise: otherwise? })
            }
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, format: None } => {
                let term = self.boxed(inner, depth);
                let sql_type = self.sql_type(expr, data_type);
                Some(Term::Cast(term?, sql_type?))
            }
            Expr::Substring { expr: inner, substring_from: Some(from), substring_for, special: _, shorthand: _ } => {
                let arguments = [Some(inner), Some(from), substring_for.as_ref()];
                let arguments = arguments.into_iter().flatten().map(Box::as_ref);
                Some(Term::Call("substr", self.terms(arguments, depth)?))
            }
            Expr::Trim { trim_where: None, trim_what: None, expr: inner, trim_characters: None } => {
                Some(Term::Call("trim", vec![self.term(inner, depth + 1)?]))
            }
            Expr::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
                if self.engine != Engine::Sqlite =>
            {
                Some(Term::Call("ceil", vec![self.term(inner, depth + 1)?]))
            }
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
                if self.engine != Engine::Sqlite =>
            {
                Some(Term::Call("floor", vec![self.term(inner, depth + 1)?]))
            }
            Expr::Function(function) => self.call(expr, function, depth),
            Expr::Extract { .. } | Expr::AtTimeZone { .. } | Expr::Interval(_) => {
                self.refuse(expr, format!("{} is not allowed in a condition", name_of(expr)), Some(TIME));
                None
            }
            _ => {
                self.refuse(expr, format!("{} is not allowed in a condition", name_of(expr)), None);
                None
            }
        }
    }

    /// The parser leans chains to the left, as deep as they are long; they are taken apart without recursion.
    fn chain(&mut self, expr: &Expr, depth: usize) -> Option<Term> {
        let (mut first, mut rest) = (expr, Vec::new());
        loop {
            let (left, operator, right) = match first {
                Expr::BinaryOp { left, op, right } => (left, self.operator(op), right),
                Expr::IsDistinctFrom(left, right) if self.engine != Engine::Mysql => {
                    (left, Ok("IS DISTINCT FROM"), right)
                }
                Expr::IsNotDistinctFrom(left, right) if self.engine != Engine::Mysql => {
                    (left, Ok("IS NOT DISTINCT FROM"), right)
                }
                Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                    (left, Err(("MySQL has no `is distinct from`".to_owned(), Some("write `<=>`"))), right)
                }
                _ => break,
            };
            rest.push((operator, right.as_ref()));
            first = left;
            if rest.len() > MOST_OPERATORS {
                let range = 0..self.positions.sql.len();
                let problem = format!("more than {MOST_OPERATORS} operators in a row");
                self.errors.push(ConditionError { range, problem, help: Some("write `column in (…)`".to_owned()) });
                return None;
            }
        }
        let first = self.boxed(first, depth);
        let mut terms = Vec::new();
        for (operator, right) in rest.into_iter().rev() {
            let term = self.term(right, depth + 1);
            match operator {
                Ok(operator) => terms.push(term.map(|term| (operator, term))),
                Err((problem, help)) => {
                    self.refuse(right, problem, help);
                    terms.push(None);
                }
            }
        }
        Some(Term::Chain(first?, terms.into_iter().collect::<Option<_>>()?))
    }

    fn operator(&self, operator: &BinaryOperator) -> Result<&'static str, (String, Option<&'static str>)> {
        Ok(match operator {
            BinaryOperator::And => "AND",
            BinaryOperator::Or => "OR",
            BinaryOperator::Eq => "=",
            BinaryOperator::NotEq => "<>",
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Gt => ">",
            BinaryOperator::GtEq => ">=",
            BinaryOperator::Spaceship if self.engine == Engine::Mysql => "<=>",
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::StringConcat if self.engine != Engine::Mysql => "||",
            BinaryOperator::StringConcat => {
                return Err(("`||` means `or` in MySQL".to_owned(), Some("write `concat(…)`, or `or`")));
            }
            BinaryOperator::Arrow => "->",
            BinaryOperator::LongArrow => "->>",
            other => return Err((format!("the operator `{other}` is not allowed in a condition"), None)),
        })
    }

    fn column(&mut self, table: Option<&Ident>, column: &Ident) -> Option<Term> {
        let span = table.map_or(column.span, |table| table.span.union(&column.span));
        let lower = column.value.to_ascii_lowercase();
        let word = column.quote_style.is_none().then_some(lower.as_str());
        if word.is_some_and(|word| word.starts_with("current_") || TIME_WORDS.contains(&word)) {
            let help = (lower.contains("time") || lower.contains("date")).then_some(TIME);
            self.refuse_at(span, format!("`{lower}` is not allowed in a condition"), help);
            return None;
        }
        if column.quote_style.is_none() && column.value.starts_with('@') {
            self.refuse_at(span, "variables are not allowed in a condition", None);
            return None;
        }
        let name = |ident: &Ident| match (self.engine, ident.quote_style) {
            (Engine::Postgres, None) => ident.value.to_lowercase(),
            _ => ident.value.clone(),
        };
        let range = self.positions.range(span);
        let (name, qualifier) = (name(column), table.map(name));
        self.columns.push(ColumnUse { name, qualifier, range });
        Some(Term::Column(self.columns.len() - 1))
    }

    fn value(&mut self, expr: &Expr, value: &Value) -> Option<Term> {
        let problem = match value {
            Value::Number(number, false)
                if number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) =>
            {
                return Some(Term::Number(number.clone()));
            }
            Value::SingleQuotedString(text) => return Some(Term::Text(text.clone())),
            Value::DoubleQuotedString(text) if self.engine == Engine::Mysql => return Some(Term::Text(text.clone())),
            Value::Boolean(value) => return Some(Term::Constant(if *value { "TRUE" } else { "FALSE" })),
            Value::Null => return Some(Term::Constant("NULL")),
            Value::Placeholder(name) => format!("the placeholder `{name}` is not allowed in a condition"),
            _ => "this form of literal is not allowed in a condition".to_owned(),
        };
        self.refuse(expr, problem, Some("write numbers in digits, and texts in single quotes"));
        None
    }

    fn sql_type(&mut self, expr: &Expr, data_type: &DataType) -> Option<String> {
        // The display of these has nothing in it but our words and numbers.
        let simple = matches!(
            data_type,
            DataType::Character(_)
                | DataType::Char(_)
                | DataType::CharacterVarying(_)
                | DataType::Varchar(_)
                | DataType::Text
                | DataType::Uuid
                | DataType::Numeric(_)
                | DataType::Decimal(_)
                | DataType::Float(_)
                | DataType::Real
                | DataType::Double(_)
                | DataType::DoublePrecision
                | DataType::SmallInt(_)
                | DataType::Int(_)
                | DataType::Integer(_)
                | DataType::BigInt(_)
                | DataType::Signed
                | DataType::Unsigned
                | DataType::Bool
                | DataType::Boolean
                | DataType::Date
                | DataType::Datetime(_)
                | DataType::Time(..)
                | DataType::Timestamp(..)
                | DataType::JSON
                | DataType::JSONB
        );
        if !simple {
            self.refuse(expr, "this type is not allowed in a cast", Some("cast to a number, text, date or time type"));
        }
        simple.then(|| data_type.to_string())
    }

    fn call(&mut self, expr: &Expr, function: &Function, depth: usize) -> Option<Term> {
        let name = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] if ident.quote_style.is_none() => ident.value.to_ascii_lowercase(),
            _ => function.name.to_string(),
        };
        let Some(allowed) =
            FUNCTIONS.iter().find(|allowed| allowed.name == name && allowed.engines.contains(&self.engine))
        else {
            let time = TIME_FUNCTIONS.contains(&name.as_str());
            let names =
                FUNCTIONS.iter().filter(|allowed| allowed.engines.contains(&self.engine)).map(|allowed| allowed.name);
            let near = nearest(names, &name).map(|name| format!("did you mean `{name}`?"));
            let help = if time { Some(TIME.to_owned()) } else { near };
            self.refuse(expr, format!("the function `{name}` is not allowed in a condition"), help.as_deref());
            return None;
        };
        let plain = matches!(function.parameters, FunctionArguments::None)
            && function.within_group.is_empty()
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.over.is_none()
            && !function.uses_odbc_syntax;
        let arguments = match &function.args {
            FunctionArguments::List(list) if plain && list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
                let arguments = list.args.iter().map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                });
                arguments.collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        let Some(arguments) = arguments else {
            self.refuse(expr, format!("`{name}` takes plain arguments only"), None);
            return None;
        };
        let (least, most) = allowed.arguments;
        if !(least..=most).contains(&arguments.len()) {
            self.refuse(expr, format!("`{name}` does not take {} arguments", arguments.len()), None);
            return None;
        }
        Some(Term::Call(allowed.name, self.terms(arguments, depth)?))
    }
}

/// A function that depends on its arguments alone.
struct Allowed {
    name: &'static str,
    engines: &'static [Engine],
    /// Least and most.
    arguments: (usize, usize),
}

const ALL: &[Engine] = &[Engine::Postgres, Engine::Mysql, Engine::Sqlite];
const SERVERS: &[Engine] = &[Engine::Postgres, Engine::Mysql];
const NOT_POSTGRES: &[Engine] = &[Engine::Mysql, Engine::Sqlite];

const fn allowed(name: &'static str, engines: &'static [Engine], arguments: (usize, usize)) -> Allowed {
    Allowed { name, engines, arguments }
}

const FUNCTIONS: &[Allowed] = &[
    allowed("abs", ALL, (1, 1)),
    allowed("char_length", SERVERS, (1, 1)),
    allowed("coalesce", ALL, (2, 100)),
    allowed("concat", SERVERS, (1, 100)),
    allowed("greatest", SERVERS, (2, 100)),
    allowed("ifnull", NOT_POSTGRES, (2, 2)),
    allowed("instr", NOT_POSTGRES, (2, 2)),
    allowed("least", SERVERS, (2, 100)),
    allowed("left", SERVERS, (2, 2)),
    allowed("length", ALL, (1, 1)),
    allowed("lower", ALL, (1, 1)),
    allowed("ltrim", ALL, (1, 1)),
    allowed("mod", SERVERS, (2, 2)),
    allowed("nullif", ALL, (2, 2)),
    allowed("replace", ALL, (3, 3)),
    allowed("right", SERVERS, (2, 2)),
    allowed("round", ALL, (1, 2)),
    allowed("rtrim", ALL, (1, 1)),
    allowed("starts_with", &[Engine::Postgres], (2, 2)),
    allowed("strpos", &[Engine::Postgres], (2, 2)),
    allowed("substr", ALL, (2, 3)),
    allowed("trim", ALL, (1, 1)),
    allowed("upper", ALL, (1, 1)),
];

const TIME_FUNCTIONS: &[&str] = &[
    "age",
    "clock_timestamp",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "curtime",
    "date",
    "date_add",
    "date_part",
    "date_sub",
    "date_trunc",
    "datediff",
    "datetime",
    "getdate",
    "julianday",
    "localtime",
    "localtimestamp",
    "make_interval",
    "month",
    "now",
    "statement_timestamp",
    "strftime",
    "sysdate",
    "time",
    "timestampdiff",
    "to_timestamp",
    "transaction_timestamp",
    "unix_timestamp",
    "unixepoch",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "year",
];

/// Words that some engines take for a function without parentheses.
const TIME_WORDS: &[&str] = &["localtime", "localtimestamp", "session_user", "sysdate", "utc_date", "utc_timestamp"];

/// The expression can be true or false, as far as its outermost operation tells.
fn is_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_boolean(inner),
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::And
                | BinaryOperator::Or
                | BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::Spaceship
        ),
        Expr::UnaryOp { op, .. } => matches!(op, UnaryOperator::Not),
        Expr::Value(value) => matches!(value.value, Value::Boolean(_)),
        Expr::TypedString(_) | Expr::Substring { .. } | Expr::Trim { .. } | Expr::Ceil { .. } | Expr::Floor { .. } => {
            false
        }
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Bool | DataType::Boolean),
        _ => true,
    }
}

/// What a construct is called, with article.
fn name_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => "a subquery",
        Expr::AnyOp { .. } | Expr::AllOp { .. } => "`any` or `all`",
        Expr::Tuple(_) => "a row value",
        Expr::Array(_) | Expr::InUnnest { .. } => "an array",
        Expr::Interval(_) => "an interval",
        Expr::AtTimeZone { .. } => "a change of time zone",
        Expr::Extract { .. } => "a part of a date",
        Expr::Collate { .. } => "a collation",
        Expr::SimilarTo { .. } | Expr::RLike { .. } => "a regular expression",
        Expr::ILike { .. } => "`ilike` on this engine, or with `any`,",
        Expr::Like { .. } => "`like any`",
        Expr::InList { .. } => "an empty list",
        Expr::MatchAgainst { .. } => "a full-text search",
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => "a wildcard",
        Expr::Convert { .. } => "`convert`",
        Expr::Trim { .. } => "this form of `trim`",
        Expr::Ceil { .. } | Expr::Floor { .. } => "this form of rounding",
        Expr::Prefixed { .. } => "a literal with a character set",
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => "an access by subscript",
        Expr::Value(value) => match value.value {
            Value::Number(..) => "a number",
            Value::Null => "`null`",
            _ => "a text",
        },
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => "the result of this operator",
        Expr::Cast { .. } | Expr::Function(_) | Expr::Substring { .. } | Expr::TypedString(_) => "a value",
        _ => "this construct",
    }
}

/// The parser counts lines and characters; we count bytes.
struct Positions<'a> {
    sql: &'a str,
    lines: Vec<usize>,
}

fn line_starts(sql: &str) -> Vec<usize> {
    [0].into_iter().chain(sql.match_indices('\n').map(|(index, _)| index + 1)).collect()
}

impl Positions<'_> {
    fn byte(&self, location: Location) -> usize {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(start) = self.lines.get(number(location.line)) else { return self.sql.len() };
        let column = self.sql[*start..].char_indices().nth(number(location.column));
        column.map_or(self.sql.len(), |(index, _)| start + index)
    }

    /// All of the text where the parser kept no position.
    fn range(&self, span: Span) -> Range<usize> {
        if span.start.line == 0 {
            return 0..self.sql.len();
        }
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        start..end.max(start)
    }

    /// The parser writes the position of a mistake behind its message.
    fn of_message<'m>(&self, message: &'m str) -> (&'m str, Range<usize>) {
        let parsed = message.rsplit_once(" at Line: ").and_then(|(message, position)| {
            let (line, column) = position.split_once(", Column: ")?;
            let location = Location { line: line.parse().ok()?, column: column.parse().ok()? };
            let start = self.byte(location);
            let rest = &self.sql[start..];
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = word.max(rest.chars().next().map_or(0, char::len_utf8));
            Some((message, start..start + length))
        });
        parsed.unwrap_or((message, self.sql.len()..self.sql.len()))
    }
}

/// The first thing that the parser would not see: a comment, or a hint, which MySQL executes.
fn hidden(tokens: &[TokenWithSpan], positions: &Positions) -> Option<Range<usize>> {
    let mut end = 0;
    for TokenWithSpan { token, span } in tokens {
        let range = positions.range(*span);
        let comment =
            matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)));
        if comment {
            return Some(range);
        }
        if positions.sql.get(end..range.start).is_some_and(|gap| !gap.trim().is_empty()) {
            return Some(end..range.start);
        }
        end = range.end.max(end);
    }
    positions.sql.get(end..).is_some_and(|rest| !rest.trim().is_empty()).then_some(end..positions.sql.len())
}

fn lowercase(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Sqlite];

    fn quote(engine: Engine, name: &str) -> String {
        match engine {
            Engine::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    fn literal(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn render(expression: &Expression, engine: Engine) -> String {
        expression.render(&|name| quote(engine, name), &|text| literal(text), "t")
    }

    fn rendered(sql: &str, engine: Engine) -> String {
        render(&check(sql, engine).unwrap_or_else(|errors| panic!("{sql}: {errors:?}")), engine)
    }

    fn problem(sql: &str, engine: Engine) -> String {
        let errors = check(sql, engine).expect_err(sql);
        assert!(errors.iter().all(|error| sql.get(error.range.clone()).is_some()), "{sql}: {errors:?}");
        errors[0].problem.clone()
    }

    #[test]
    fn renders_what_it_read() {
        for (sql, expected) in [
            ("status = 'closed'", "(t.\"status\" = 'closed')"),
            ("Status != 'it''s' AND (a OR NOT b)", "(t.\"status\" <> 'it''s' AND (t.\"a\" OR NOT t.\"b\"))"),
            ("\"Order\".\"Total\" > 1.5e3", "(t.\"Total\" > 1.5e3)"),
            ("a in (1, - -2, null) or b is not null", "(t.\"a\" IN (1, - - 2, NULL) OR t.\"b\" IS NOT NULL)"),
            (
                "a between 1 and 2 and b not like 'x!%' escape '!'",
                "(t.\"a\" BETWEEN 1 AND 2 AND t.\"b\" NOT LIKE 'x!%' ESCAPE '!')",
            ),
            ("a::int + 1 = 2 * b % 3", "(CAST(t.\"a\" AS INT) + 1 = 2 * t.\"b\" % 3)"),
            (
                "data->>'k' = 'v' and a is distinct from b",
                "(t.\"data\" ->> 'k' = 'v' AND t.\"a\" IS DISTINCT FROM t.\"b\")",
            ),
            ("case a when 1 then true else b is true end", "(CASE t.\"a\" WHEN 1 THEN TRUE ELSE t.\"b\" IS TRUE END)"),
            ("substring(a from 2 for 3) = lower(trim(b))", "(substr(t.\"a\", 2, 3) = lower(trim(t.\"b\")))"),
            ("born < date '2000-01-01'", "(t.\"born\" < CAST('2000-01-01' AS DATE))"),
            ("名前 = '契約\n者'", "(t.\"名前\" = '契約\n者')"),
        ] {
            assert_eq!(rendered(sql, Engine::Postgres), expected);
        }
        assert_eq!(rendered("`a b` <=> \"x\" && c = 'd\\x'", Engine::Mysql), "(t.`a b` <=> 'x' AND t.`c` = 'd\\x')");
        assert_eq!(rendered("[a b] = 1 or \"c\" notnull", Engine::Sqlite), "(t.\"a b\" = 1 OR t.\"c\" IS NOT NULL)");
    }

    #[test]
    fn tells_columns_and_their_places() {
        let sql = "x = '名' and\n  customers.\"Y\" is null and X = 2";
        let expression = check(sql, Engine::Postgres).expect(sql);
        let columns: Vec<_> =
            expression.columns().iter().map(|column| (column.name.as_str(), &sql[column.range.clone()])).collect();
        assert_eq!(columns, [("x", "x"), ("Y", "customers.\"Y\""), ("x", "X")]);
        assert_eq!(expression.stranger("customers"), None);
        assert_eq!(expression.stranger("orders").map(|column| column.name.as_str()), Some("Y"));
    }

    #[test]
    fn refuses_everything_else() {
        let pg = |sql| problem(sql, Engine::Postgres);
        assert_eq!(pg("1=1; DROP TABLE users"), "a semicolon has no place in a condition");
        assert_eq!(pg("a = 1 -- x"), "comments have no place in a condition");
        assert_eq!(pg("a = /* x */ 1"), "comments have no place in a condition");
        assert_eq!(problem("a = 1 /*! or 1=1 */", Engine::Mysql), "comments have no place in a condition");
        assert_eq!(problem("a = 1 # x", Engine::Mysql), "comments have no place in a condition");
        assert_eq!(pg("a = 1) OR (1=1"), "unexpected `)` after the expression");
        assert_eq!(pg("id IN (SELECT 1)"), "a subquery is not allowed in a condition");
        assert_eq!(pg("exists (select 1)"), "a subquery is not allowed in a condition");
        assert_eq!(pg("a = (select 1)"), "a subquery is not allowed in a condition");
        assert_eq!(pg("pg_sleep(10) IS NULL"), "the function `pg_sleep` is not allowed in a condition");
        assert_eq!(pg("lower(a, b) = 'x'"), "`lower` does not take 2 arguments");
        assert_eq!(pg("count(*) filter (where a) > 1"), "the function `count` is not allowed in a condition");
        assert_eq!(pg("upper(distinct a) = 'x'"), "`upper` takes plain arguments only");
        assert_eq!(pg("created_at < now()"), "the function `now` is not allowed in a condition");
        assert_eq!(pg("created_at < current_date"), "the function `current_date` is not allowed in a condition");
        assert_eq!(pg("a < b - interval '1 day'"), "an interval is not allowed in a condition");
        assert_eq!(pg("extract(year from a) = 2000"), "a part of a date is not allowed in a condition");
        assert_eq!(pg("x = $1"), "the placeholder `$1` is not allowed in a condition");
        assert_eq!(problem("x = ?", Engine::Mysql), "the placeholder `?` is not allowed in a condition");
        assert_eq!(problem("@x = 1 or a = 1", Engine::Mysql), "variables are not allowed in a condition");
        assert_eq!(problem("a || b = 'x'", Engine::Mysql), "`||` means `or` in MySQL");
        assert_eq!(pg("a ~* 'x'"), "the operator `~*` is not allowed in a condition");
        assert_eq!(pg("(a, b) = (1, 2)"), "a row value is not allowed in a condition");
        assert_eq!(pg("a = any(array[1])"), "`any` or `all` is not allowed in a condition");
        assert_eq!(pg("a::regclass = b"), "this type is not allowed in a cast");
        assert_eq!(pg("a = E'x'"), "this form of literal is not allowed in a condition");
        assert_eq!(pg("a = x.y.z"), "a column takes at most its table's name before it");
        assert_eq!(pg("1 = 1"), "the condition names no column: it holds for all rows or for none");
        assert_eq!(pg("a + 1"), "the result of this operator is not a condition");
        assert_eq!(pg("'x'"), "a text is not a condition");
        assert!(pg("a = 'x' OR").starts_with("expected an expression"), "{}", pg("a = 'x' OR"));
        assert_eq!(pg(""), "expected an expression, found the end");
        assert!(pg("a = 'x").contains("unterminated string"), "{}", pg("a = 'x"));
    }

    #[test]
    fn tells_every_mistake_at_its_place() {
        let sql = "a < now() and b = $1 and 契 = (select 1) and c = '1'";
        let errors = check(sql, Engine::Postgres).expect_err(sql);
        let places: Vec<_> = errors.iter().map(|error| &sql[error.range.clone()]).collect();
        assert_eq!(places, ["now", "$1", "select 1"]);
        assert_eq!(errors[0].help.as_deref(), Some(TIME));
        let error = &check("a = 1 and\n  b = = 2", Engine::Postgres).expect_err("twice")[0];
        assert_eq!(error.range, 16..17);
    }

    #[test]
    fn long_and_deep_texts_are_errors() {
        assert_eq!(problem(&format!("a{}", "+a".repeat(3999)), Engine::Postgres), "more than 500 operators in a row");
        assert_eq!(
            problem(&format!("a{}", " is null".repeat(900)), Engine::Sqlite),
            "the condition is nested too deeply"
        );
        assert!(check(&format!("{}a{}", "(".repeat(3000), ")".repeat(3000)), Engine::Mysql).is_err());
        assert!(check(&"not ".repeat(1900), Engine::Postgres).is_err());
        assert!(check(&"-".repeat(7999), Engine::Sqlite).is_err());
        assert!(check(&format!("a = {}", "b".repeat(LONGEST)), Engine::Sqlite).is_err());
    }

    #[test]
    fn texts_stay_data() {
        for engine in ENGINES {
            for text in ["'", "\\", "\\'", "''; drop table x; --", "\u{0}", "%s $1 ? :x"] {
                let sql = format!("a = {}", literal(text));
                let expression = check(&sql, engine).unwrap_or_else(|errors| panic!("{sql}: {errors:?}"));
                assert_eq!(
                    expression.render(&|_| String::new(), &|text| format!("<{text}>"), "t"),
                    format!("(t. = <{text}>)")
                );
            }
        }
    }

    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("t.b".to_owned()),
            Just("null".to_owned()),
            Just("true".to_owned()),
            "[0-9]{1,3}(\\.[0-9]{1,2})?",
            "'([a-z%_ ]|''){0,4}'",
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                (two.clone(), "=|<>|<|<=|>|>=|\\+|-|\\*|/|%|and|or").prop_map(|((a, b), o)| format!("{a} {o} {b}")),
                inner.clone().prop_map(|a| format!("({a})")),
                inner.clone().prop_map(|a| format!("not {a}")),
                inner.clone().prop_map(|a| format!("- {a}")),
                inner.clone().prop_map(|a| format!("{a} is not null")),
                inner.clone().prop_map(|a| format!("cast({a} as decimal(10,2))")),
                two.clone().prop_map(|(a, b)| format!("{a} in ({b}, 1)")),
                two.clone().prop_map(|(a, b)| format!("{a} not between 1 and {b}")),
                two.clone().prop_map(|(a, b)| format!("case when {a} then {b} end")),
                two.prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), close in "[a-z ='\"`()\\[\\],.;$@?:/*!#<>|&~%0-9\\\\-]{0,40}") {
            for engine in ENGINES {
                let _ = check(&text, engine);
                let _ = check(&close, engine);
            }
        }

        #[test]
        fn what_was_rendered_renders_the_same(sql in expressions()) {
            for engine in ENGINES {
                if let Ok(expression) = check(&sql, engine) {
                    let once = render(&expression, engine);
                    prop_assert_eq!(rendered(&once, engine), format!("({once})"), "{}", sql);
                }
            }
        }

        #[test]
        fn nothing_of_the_text_is_left_outside(sql in expressions()) {
            for engine in ENGINES {
                if let Ok(expression) = check(&sql, engine) {
                    let bare = expression.render(&|_| "?".to_owned(), &|_| "?".to_owned(), "?");
                    let words = bare.split(|c: char| !c.is_alphabetic() && c != '_').filter(|word| !word.is_empty());
                    let ours = |word: &str| word.chars().all(char::is_uppercase) || FUNCTIONS.iter().any(|f| f.name == word);
                    for word in words {
                        prop_assert!(ours(word), "{} in {}", word, bare);
                    }
                }
            }
        }
    }
}
