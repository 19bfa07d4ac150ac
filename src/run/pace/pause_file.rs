//! `pause_file`: while the file is there, no batch begins. (pt-archiver's sentinel, gh-ost's throttle flag file.)

use super::{Answer, Failure, Setup, Throttle, Turn};
use crate::file;
use async_trait::async_trait;
use std::{
    io::{ErrorKind, Read as _},
    path::PathBuf,
};

/// No reason is longer, in bytes.
const LONGEST: u64 = 200;

struct PauseFile {
    path: PathBuf,
}

pub(super) fn open(setup: &Setup<'_>) -> Option<Box<dyn Throttle>> {
    Some(Box::new(PauseFile { path: setup.pace.pause_file.clone()? }))
}

#[async_trait]
impl Throttle for PauseFile {
    fn name(&self) -> &'static str {
        "pause_file"
    }

    /// Somebody wants it so.
    fn impatience(&self, reason: String) -> Failure {
        Failure::TimeIsUp(reason)
    }

    async fn ask(&mut self, _: &Turn) -> Result<Answer, Failure> {
        let mut text = Vec::new();
        let read = match file::open(&self.path) {
            Ok(file) => file.take(LONGEST).read_to_end(&mut text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Answer::Go),
            Err(error) => Err(error),
        };
        let path = self.path.display();
        let reason = match read {
            Ok(_) => {
                let text = String::from_utf8_lossy(&text);
                let line: String =
                    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
                let colon = if line.trim().is_empty() { "" } else { ": " };
                format!("the pause file {path} is there{colon}{}", line.trim())
            }
            // a file that is there pauses, whoever may read it
            Err(error) => format!("the pause file {path} cannot be read: {}", error.kind()),
        };
        Ok(Answer::Wait { reason, until: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(path: &std::path::Path) -> String {
        match (PauseFile { path: path.to_owned() }).ask(&Turn::default()).await.unwrap() {
            Answer::Wait { reason, .. } => reason.replace(&path.display().to_string(), "F"),
            answer => format!("{answer:?}"),
        }
    }

    #[tokio::test]
    async fn a_files_first_line_is_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pause");
        assert_eq!(asked(&path).await, "Go");
        for (text, reason) in [
            ("", "the pause file F is there"),
            ("index rebuild on orders\nuntil noon\n", "the pause file F is there: index rebuild on orders"),
            ("\u{1b}[31mred\u{7}", "the pause file F is there: [31mred"),
            (&"x".repeat(5000), &format!("the pause file F is there: {}", "x".repeat(200))),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(asked(&path).await, reason);
        }
        // whatever stands there
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(asked(&path).await.contains("cannot be read"));
    }
}
