//! Arguments, telemetry, exit code; nothing else.

use clap::Parser as _;
use std::process::ExitCode;
use sunset::{cli::Cli, commands, outcome::Outcome, signals::Signals};

fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(run());
            // whoever was asked to end at once does not wait for what is cut off
            runtime.shutdown_background();
            outcome.into()
        }
        Err(_) => Outcome::Unexpected.into(),
    }
}

async fn run() -> Outcome {
    let Ok(signals) = Signals::listen() else { return Outcome::Unexpected };
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { Outcome::Done } else { Outcome::Invalid };
        }
    };
    commands::telemetry::start(&cli);
    commands::dispatch(cli, signals).await
}
