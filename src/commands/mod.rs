//! One file per command, one function each.

pub mod completions;
pub mod confirm;
pub mod console;
pub mod demo;
pub mod dsrdelete;
pub mod grants;
pub mod hold;
pub mod init;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod plan;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod status;
pub mod telemetry;
pub mod validate;
pub mod why;

use crate::{
    cli::{Cli, Command},
    database,
    ledger::{self as evidence, KeyError},
    outcome::Outcome,
    settings::Settings,
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
        Command::Confirm(args) => confirm::run(&cli.global, args, &mut console).await,
        Command::Ledger(command) => {
            // an exported file is verified anywhere, without a job
            let alone = matches!(command, crate::cli::LedgerCommand::Verify { file: Some(_), .. });
            let settings = settings(&cli, &mut console, alone);
            match settings {
                Ok(settings) => ledger::run(command, settings.as_ref(), cli.global.format, &mut console).await,
                Err(error) => Err(error),
            }
        }
        Command::Keys(command) => {
            let alone = matches!(command, crate::cli::KeysCommand::New { .. });
            match settings(&cli, &mut console, alone) {
                Ok(settings) => keys::run(command, settings.as_ref(), cli.global.format, &mut console).await,
                Err(error) => Err(error),
            }
        }
        Command::Schema(args) => console.print(&schema::run(args.kind)).map(|()| Outcome::Done).map_err(Into::into),
        Command::Demo(args) => demo::run(&cli.global, args, &mut console).await,
        Command::Grants(args) => grants::run(&cli.global, args, &mut console).await,
        Command::Init(args) => init::run(&cli.global, args, &mut console).await,
        Command::Sandbox(args) => sandbox::run(args, &mut console).await,
        Command::Dsrdelete => dsrdelete::run(&cli.global, &mut console),
        Command::Completions { shell } => completions::run(*shell, &mut console),
    };
    result.unwrap_or_else(|error| {
        let outcome = outcome_of(&error);
        console.error(&format!("{error:#}"));
        outcome
    })
}

/// The job's settings; `None` where the command does without and there are none.
fn settings(cli: &Cli, console: &mut Console, alone: bool) -> anyhow::Result<Option<Settings>> {
    if alone {
        // a job beside the file adds the keys that it trusts; one that is broken adds nothing
        return Ok(crate::job::load(&cli.global.jobs, crate::diagnostic::Severity::Error).ok().map(|job| job.settings));
    }
    job::load(&cli.global, console).map(|job| Some(job.settings))
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
            let ledger = || cause.downcast_ref::<evidence::Error>().map(evidence::Error::outcome);
            let store = || cause.downcast_ref::<store::Error>().map(store::Error::outcome);
            let key = || cause.downcast_ref::<KeyError>().map(|_| Outcome::Invalid);
            let file = || {
                use std::io::ErrorKind::{AlreadyExists, InvalidData, NotFound, PermissionDenied};
                let kind = cause.downcast_ref::<std::io::Error>()?.kind();
                matches!(kind, AlreadyExists | InvalidData | NotFound | PermissionDenied).then_some(Outcome::Invalid)
            };
            stop.or_else(database).or_else(ledger).or_else(store).or_else(key).or_else(file)
        })
        .unwrap_or(Outcome::Unexpected)
}
