//! Forms in which values of different columns are compared: where one person writes one address in several ways.

use super::{Binding, TableName};
use serde::{Deserialize, Serialize};

/// What a value is, as far as its spellings are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The characters themselves, without blanks around them.
    Text,
    /// An e-mail address: capitals and characters of full width make no difference.
    Email,
    /// A phone number: signs between digits, and how the country is written, make no difference.
    Phone,
    /// A whole number: leading zeros make no difference.
    Number,
}

impl Form {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Text, Self::Email, Self::Phone, Self::Number];

    /// As the settings call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Number => "number",
        }
    }

    /// The form of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|form| form.word() == word)
    }
}

/// A link of a person's subject as it was when the hold was added. What the person's values were then is known by a keyed tag
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonLink {
    /// As `sunset.yaml` has it.
    pub table: String,
    /// What is compared, in words.
    pub columns: String,
    /// The id of the key that made the tag.
    pub tag_key: String,
    pub tag: String,
    /// The country of numbers without one, where phone numbers are compared; older holds do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_code: Option<String>,
    /// The table's full name; older holds do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TableName>,
    /// What the table and its columns are found again by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}
