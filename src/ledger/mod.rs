//! The evidence: append-only, hash-chained, signed, and free of personal data.
