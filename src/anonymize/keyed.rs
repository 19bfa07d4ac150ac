//! Keyed hashes: HMAC-SHA-256 (RFC 2104), whole or as a token of a fixed form. Whoever has the key can link pseudonym
//! and person, so this is pseudonymization.
//!
//! Servers compute it from their SHA-256, which takes no extension: `sha256(outer || sha256(inner || value))`. They are
//! given the two pads of a key that is derived for one scope, never the pseudonym key itself. The pads are secrets all
//! the same; they travel as [`Value::Bytes`], which no plan file holds.

use super::{Context, Family, Misfit, Sql, Tokenize, kept_as_text, text_only};
use crate::{
    catalog::{Column, Engine, Table},
    diagnostic::Code,
    sql::Value,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Hexadecimal digits of a SHA-256.
const DIGITS: u32 = 64;

/// Fewer digits make equal tokens likely: 64 bits give a chance of one in four thousand among a hundred million values.
const UNIQUE_DIGITS: u32 = 16;

pub(super) struct Pseudonym<'a> {
    prefix: &'a str,
    digits: u32,
}

impl<'a> Pseudonym<'a> {
    pub fn hash() -> Self {
        Self { prefix: "", digits: DIGITS }
    }

    pub fn token(tokenize: &'a Tokenize) -> Self {
        Self { prefix: &tokenize.prefix, digits: tokenize.length.min(DIGITS) }
    }
}

impl Family for Pseudonym<'_> {
    fn label(&self) -> String {
        match (self.prefix, self.digits) {
            ("", DIGITS) => "keyed hash (pseudonym)".into(),
            ("", digits) => format!("token of {digits} hexadecimal digits (pseudonym)"),
            (prefix, digits) => format!("token of `{prefix}` and {digits} hexadecimal digits (pseudonym)"),
        }
    }

    fn misfits(&self, column: &Column, table: &Table, engine: Engine) -> Vec<Misfit> {
        let longest = self.prefix.chars().count() + self.digits as usize;
        let help = "widen the column, or use `tokenize` with fewer digits";
        let mut misfits: Vec<_> = text_only(column).into_iter().chain(Misfit::length(column, longest, help)).collect();
        misfits.extend(kept_as_text(column, engine));
        if table.is_unique(&column.name) && self.digits < UNIQUE_DIGITS {
            let problem = format!("column `{}` is unique, and short tokens can be equal", column.name);
            let help = format!("use at least {UNIQUE_DIGITS} digits");
            misfits.push(Misfit { code: Code::UniqueColumn, problem, help });
        }
        misfits
    }

    fn expression(&self, _: &Column, context: &Context) -> Option<Sql> {
        let key = scope_key(context)?;
        let pad = |byte: u8| {
            let mut pad = vec![byte; 64];
            pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
            Value::Bytes(pad)
        };
        let value = &context.column_sql;
        let mut args = vec![pad(0x5C), pad(0x36)];
        let digits = match context.engine {
            Engine::Postgres => format!(
                "encode(sha256(\u{1}::bytea || sha256(\u{1}::bytea || convert_to({value}::text, 'UTF8'))), 'hex')"
            ),
            Engine::Mysql => {
                let value = format!("cast(convert({value} using utf8mb4) as binary)");
                format!("sha2(concat(\u{1}, unhex(sha2(concat(\u{1}, {value}), 256))), 256)")
            }
            Engine::Sqlite => return None,
        };
        let digits = if self.digits < DIGITS { format!("left({digits}, {})", self.digits) } else { digits };
        let text = match (self.prefix, context.engine) {
            ("", _) => digits,
            (_, Engine::Mysql) => format!("concat(\u{1}, {digits})"),
            _ => format!("\u{1}::text || {digits}"),
        };
        if !self.prefix.is_empty() {
            args.insert(0, Value::Text(self.prefix.to_owned()));
        }
        Some(Sql { text, args })
    }

    fn apply(&self, value: &str, _: &Column, _: &str, context: &Context) -> Option<String> {
        let digits = hex::encode(authenticate(&scope_key(context)?, value.as_bytes())?);
        Some(format!("{}{}", self.prefix, digits.get(..self.digits as usize)?))
    }

    fn merges_values(&self) -> bool {
        false
    }

    fn is_keyed(&self) -> bool {
        true
    }
}

/// The key of one scope.
fn scope_key(context: &Context) -> Option<[u8; 32]> {
    authenticate(context.pseudonym_key?, context.scope.as_bytes())
}

/// Always there: HMAC takes keys of any length.
fn authenticate(key: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac.finalize().into_bytes().into())
}
