//! What Sunset itself keeps: ledger entries, row tags, holds.
