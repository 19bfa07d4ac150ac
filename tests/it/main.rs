//! Tests against real engines.

mod techniques;
