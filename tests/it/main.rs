//! Integration tests, in one binary.

mod ledger;
