//! Starting points, periods and cut-offs: calendar arithmetic, no input.
