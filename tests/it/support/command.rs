//! The program itself, as its users call it.

use std::path::Path;
use std::process::Command;

/// What became of one call.
#[derive(Debug)]
pub struct Called {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Called {
    /// What it printed; the test ends here if it failed.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }
}

/// Calls `sunset --jobs JOBS …` with `CORE_URL` set.
pub fn sunset(jobs: &Path, core_url: &str, arguments: &[&str]) -> Called {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sunset"));
    command.arg("--jobs").arg(jobs).args(arguments).env("CORE_URL", core_url).env("TZ", "Asia/Tokyo");
    // tests do not depend on the day on which they run
    command.env("SUNSET_PRESENT", "2099-01-01T00:00:00Z");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Called { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}
