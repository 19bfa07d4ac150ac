//! `sunset sandbox`: stand-ins of the recipients' APIs on this machine, until it is stopped.

use super::console::Console;
use crate::{cli::SandboxArgs, outcome::Outcome, sandbox::Sandbox, signals::Signals};
use anyhow::Context as _;

pub async fn run(args: &SandboxArgs, mut signals: Signals, console: &mut Console) -> anyhow::Result<Outcome> {
    let sandbox = Sandbox::start(args.port, !args.no_limits)
        .await
        .with_context(|| format!("port {} on 127.0.0.1 cannot be used", args.port))?;
    let address = sandbox.address();
    console.print(&format!(
        "# Stand-ins of recipients, on this machine alone. For sunset.yaml:\n{}\n# What was asked: curl \
         http://{address}/_sandbox/calls\n# One call that fails: curl -d '{{\"vendor\": \"stripe\", \"status\": 429}}' \
         http://{address}/_sandbox/faults\n",
        sandbox.settings()
    ))?;
    tokio::select! {
        () = sandbox.wait() => {}
        () = signals.next() => {}
    }
    Ok(Outcome::Done)
}
