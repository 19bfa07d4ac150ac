//! The log: one line per action on standard error, pretty on a terminal, JSON elsewhere. It holds no row's values.

use crate::cli::{Cli, Command};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts the log. `SUNSET_LOG` overrides what `-q` and `-v` say, in tracing-subscriber's filter syntax.
pub fn start(Cli { global, command }: &Cli) {
    let terminal = io::stderr().is_terminal();
    let for_people = terminal || is_demo(command);
    // a person at a terminal sees tables and bars; the log is for those who ask, and for the night
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) if for_people => "sunset=warn",
        (false, 0 | 1) => "sunset=info",
        (false, _) => "sunset=debug",
    };
    let filter = EnvFilter::try_from_env("SUNSET_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // Whatever is asked for: libraries would show URLs, headers and statements, with identifiers and keys in them.
    let ours = filter_fn(|metadata| metadata.target().split("::").next() == Some("sunset"));
    let registry = tracing_subscriber::registry().with(filter).with(ours);
    // a second start (in tests) changes nothing
    let _ = if terminal {
        registry.with(fmt::layer().with_writer(io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    };
}

#[cfg(feature = "demo")]
fn is_demo(command: &Command) -> bool {
    matches!(command, Command::Demo(_))
}

#[cfg(not(feature = "demo"))]
fn is_demo(_: &Command) -> bool {
    false
}
