//! A table as rules name it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `database.table` or `database.schema.table`, as written in a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TablePath {
    pub database: String,
    pub schema: Option<String>,
    pub table: String,
}

impl fmt::Display for TablePath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{}.{schema}.{}", self.database, self.table),
            None => write!(f, "{}.{}", self.database, self.table),
        }
    }
}
