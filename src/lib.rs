//! Sunset: a retention and deletion batch job runner.
