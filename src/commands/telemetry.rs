//! The log: one line per action on standard error, pretty on a terminal, JSON elsewhere. It holds no row's values.

use crate::cli::{Cli, Command};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts the log. `SUNSET_LOG` overrides what `-q` and `-v` say, in tracing-subscriber's filter syntax.
pub fn start(Cli { global, command }: &Cli) {
    let terminal = io::stderr().is_terminal();
    let for_people = terminal || matches!(command, Command::Demo(_));
    // a person at a terminal sees tables and bars; the log is for those who ask, and for the night
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) if for_people => "sunset=warn",
        (false, 0 | 1) => "sunset=info",
        (false, _) => "sunset=debug",
    };
    // Whatever is asked for: what is below HTTP would show URLs and headers, with identifiers and keys in them.
    const SILENT: [&str; 6] = ["h2=off", "hyper=off", "hyper_util=off", "reqwest=off", "rustls=off", "tower=off"];
    let filter = EnvFilter::try_from_env("SUNSET_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let filter = SILENT.iter().filter_map(|silent| silent.parse().ok()).fold(filter, EnvFilter::add_directive);
    let registry = tracing_subscriber::registry().with(filter);
    // a second start (in tests) changes nothing
    let _ = if terminal {
        registry.with(fmt::layer().with_writer(io::stderr).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    };
}
