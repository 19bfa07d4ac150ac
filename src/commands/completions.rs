//! `sunset completions SHELL`.

use super::console::Console;
use crate::{cli::Cli, outcome::Outcome};
use clap::CommandFactory as _;

pub fn run(shell: clap_complete::Shell, console: &mut Console) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sunset", &mut script);
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
