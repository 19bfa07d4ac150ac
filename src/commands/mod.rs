//! One file per command, one function each.

pub mod ask_again;
pub mod attest;
pub mod completions;
pub mod confirm;
pub mod console;
pub mod coverage;
#[cfg(feature = "demo")]
pub mod demo;
pub mod dsrdelete;
pub mod grants;
pub mod hold;
pub mod init;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod pause;
mod person;
pub mod plan;
pub mod recipes;
pub mod request;
pub mod restored;
pub mod run;
#[cfg(feature = "demo")]
pub mod sandbox;
pub mod schema;
pub mod serve;
pub mod status;
pub mod telemetry;
pub mod validate;
pub mod why;

pub use crate::outcome::Stop;

use crate::{
    cli::{Cli, Command},
    outcome::Outcome,
    run::outcome_of,
    settings::Settings,
    signals::Signals,
};
use console::Console;

/// Runs the command. What goes wrong on the way becomes an outcome here and a message.
pub async fn dispatch(cli: Cli, signals: Signals) -> Outcome {
    let mut console = Console::new(&cli.global);
    let result = match &cli.command {
        Command::Run(args) => run::run(&cli.global, args, signals, &mut console).await,
        Command::Request(crate::cli::RequestCommand::Run { id }) => {
            request::serve(&cli.global, *id, signals, &mut console).await
        }
        Command::Serve(args) => serve::run(&cli.global, args, signals, &mut console).await,
        #[cfg(feature = "demo")]
        Command::Sandbox(args) => sandbox::run(args, signals, &mut console).await,
        command => {
            signals.end_at_once();
            perform(&cli, command, &mut console).await
        }
    };
    result.unwrap_or_else(|error| {
        let outcome = outcome_of(&error);
        console.error(&format!("{error:#}"));
        outcome
    })
}

/// Runs a command that may end at any moment.
async fn perform(cli: &Cli, command: &Command, console: &mut Console) -> anyhow::Result<Outcome> {
    match command {
        // They have an end of their own.
        Command::Run(_) | Command::Serve(_) => Ok(Outcome::Unexpected),
        #[cfg(feature = "demo")]
        Command::Sandbox(_) => Ok(Outcome::Unexpected),
        Command::Validate(args) => validate::run(&cli.global, args, console).await,
        Command::Plan(args) => plan::run(&cli.global, args, console).await,
        Command::Status => status::run(&cli.global, console).await,
        Command::Why(args) => why::run(&cli.global, args, console).await,
        Command::Pause(args) => pause::pause(&cli.global, args, console).await,
        Command::Resume(args) => pause::resume(&cli.global, args, console).await,
        Command::Hold(command) => hold::run(&cli.global, command, console).await,
        Command::Attest(args) => attest::run(&cli.global, args, console).await,
        Command::Restored(args) => restored::run(&cli.global, args, console).await,
        Command::AskAgain(args) => ask_again::run(&cli.global, args, console).await,
        Command::Recipes(args) => recipes::run(&cli.global, args, console).await,
        Command::Request(command) => request::run(&cli.global, command, console).await,
        Command::Confirm(args) => confirm::run(&cli.global, args, console).await,
        Command::Ledger(command) => {
            // an exported file is verified anywhere, without a job
            let alone = matches!(
                command,
                crate::cli::LedgerCommand::Verify { file: Some(_), .. }
                    | crate::cli::LedgerCommand::Verify { proof: Some(_), .. }
            );
            let settings = settings(cli, console, alone);
            match settings {
                Ok(settings) => ledger::run(command, settings.as_ref(), cli.global.format, console).await,
                Err(error) => Err(error),
            }
        }
        Command::Keys(command) => {
            let alone = matches!(command, crate::cli::KeysCommand::New { .. });
            match settings(cli, console, alone) {
                Ok(settings) => keys::run(command, settings.as_ref(), cli.global.format, console).await,
                Err(error) => Err(error),
            }
        }
        Command::Schema(args) => console.print(&schema::run(args.kind)).map(|()| Outcome::Done).map_err(Into::into),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&cli.global, args, console).await,
        Command::Grants(args) => grants::run(&cli.global, args, console).await,
        Command::Coverage => coverage::run(&cli.global, console).await,
        Command::Init(args) => init::run(&cli.global, args, console).await,
        Command::Dsrdelete => dsrdelete::run(&cli.global, console),
        Command::Completions { shell } => completions::run(*shell, console),
    }
}

/// The settings of the job's ledger; `None` where the command does without and there are none.
fn settings(cli: &Cli, console: &mut Console, alone: bool) -> anyhow::Result<Option<Settings>> {
    if alone {
        // a job beside the file adds the keys that it trusts; one that is broken adds nothing
        return Ok(job::ledger_beside(&cli.global).map(|job| job.settings));
    }
    job::load_ledger(&cli.global, console).map(|job| Some(job.settings))
}
