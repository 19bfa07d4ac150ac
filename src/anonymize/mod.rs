//! Techniques: what becomes of a column's value. One file per family.
//!
//! Every technique but the keyed ones has a fixpoint, `f(f(x)) = f(x)`, so "not yet done" can be asked in SQL:
//! `column is distinct from f(column)`.

use serde::{Deserialize, Serialize};

/// What becomes of one column (names after ISO/IEC 20889).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// Null.
    Suppress,
    /// A constant text; `{key}` in it stands for the row's primary key.
    Replace(String),
    /// Stars in place of all characters but some.
    Mask(Mask),
    Generalize(Generalize),
    /// The first characters only.
    Truncate(Truncate),
    /// Numbers above become this one.
    TopCode(f64),
    /// Numbers below become this one.
    BottomCode(f64),
    /// Keyed hash (HMAC-SHA-256), in hexadecimal. Pseudonymization only.
    Hash(Hash),
    /// A token of a fixed form, from a keyed hash. Pseudonymization only.
    Tokenize(Tokenize),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    #[serde(default)]
    pub keep_first: u32,
    #[serde(default)]
    pub keep_last: u32,
}

/// To what a value is coarsened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generalize {
    /// Dates: the month's first day.
    Month,
    /// Dates: the year's first day.
    Year,
    /// Dates: the first day of the decade.
    Decade,
    /// Numbers: the greatest multiple of this one that is not above.
    Bucket(f64),
    /// IP addresses: this many leading bits of IPv4, and of IPv6.
    IpPrefix { v4: u8, v6: u8 },
    /// Postal codes: this many leading characters.
    PostalCode(u32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truncate {
    pub length: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {
    #[serde(default)]
    pub prefix: String,
    /// Hexadecimal characters after the prefix, 8 to 64.
    pub length: u32,
}
