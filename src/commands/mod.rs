//! One file per command, one function each.

pub mod completions;
pub mod console;
pub mod hold;
pub mod job;
pub mod plan;
pub mod run;
pub mod status;
pub mod telemetry;
pub mod validate;
pub mod why;

use crate::{
    cli::{Cli, Command},
    database, ledger,
    outcome::Outcome,
    store,
};
use console::Console;

/// Runs the command. What goes wrong on the way becomes an outcome here and a message.
pub async fn dispatch(cli: Cli) -> Outcome {
    let mut console = Console::new(&cli.global);
    let result = match &cli.command {
        Command::Validate(args) => validate::run(&cli.global, args, &mut console).await,
        Command::Plan(args) => plan::run(&cli.global, args, &mut console).await,
        Command::Run(args) => run::run(&cli.global, args, &mut console).await,
        Command::Status => status::run(&cli.global, &mut console).await,
        Command::Why(args) => why::run(&cli.global, args, &mut console).await,
        Command::Hold(command) => hold::run(&cli.global, command, &mut console).await,
        Command::Completions { shell } => completions::run(*shell, &mut console),
        _ => Err(anyhow::anyhow!("not there yet")),
    };
    result.unwrap_or_else(|error| {
        let outcome = outcome_of(&error);
        console.error(&format!("{error:#}"));
        outcome
    })
}

/// A command cannot go on, and it is known what that means for whoever called.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Stop {
    pub outcome: Outcome,
    pub message: String,
}

impl Stop {
    /// Arguments, rules, settings or credentials are wrong.
    pub fn invalid(message: impl Into<String>) -> anyhow::Error {
        Self { outcome: Outcome::Invalid, message: message.into() }.into()
    }

    /// A person must decide.
    pub fn refused(message: impl Into<String>) -> anyhow::Error {
        Self { outcome: Outcome::Refused, message: message.into() }.into()
    }
}

/// What an error means, by the first cause that knows.
fn outcome_of(error: &anyhow::Error) -> Outcome {
    error
        .chain()
        .find_map(|cause| {
            let stop = cause.downcast_ref::<Stop>().map(|stop| stop.outcome);
            let database = || cause.downcast_ref::<database::Error>().map(|error| error.kind.outcome());
            let ledger = || cause.downcast_ref::<ledger::Error>().map(ledger::Error::outcome);
            let store = || cause.downcast_ref::<store::Error>().map(store::Error::outcome);
            let key = || cause.downcast_ref::<ledger::KeyError>().map(|_| Outcome::Invalid);
            stop.or_else(database).or_else(ledger).or_else(store).or_else(key)
        })
        .unwrap_or(Outcome::Unexpected)
}
