//! A git repository: one file for each checkpoint on a branch that grows by one commit a time, under
//! `<origin>/<size>.checkpoint`.
//!
//! The program `git` does the work, in a folder that is thrown away. The URL, which may hold a password, goes to it in the
//! environment and never on the command line. Nothing is forced: a branch that was rewritten does not take the commit.

use super::{
    Failure, Keeper, agree,
    folder::{file_name, size_of},
};
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

#[derive(Clone)]
pub(super) struct Repository {
    url: SecretString,
    branch: String,
    origin: String,
}

/// What was fetched.
struct Fetched {
    repository: Repository,
    directory: TempDir,
    /// There is such a branch.
    exists: bool,
}

impl Repository {
    pub fn new(url: &SecretString, branch: &str, origin: &str) -> Self {
        Self { url: url.clone(), branch: branch.to_owned(), origin: origin.to_owned() }
    }

    fn fetch(&self) -> Result<Fetched, Failure> {
        let directory = TempDir::new().map_err(|error| Failure::Temporary(error.to_string()))?;
        let mut fetched = Fetched { repository: self.clone(), directory, exists: false };
        fetched.git(&["init", "--quiet", "--bare", "."], None)?;
        let reference = format!("refs/heads/{}", self.branch);
        fetched.exists = !fetched.git(&["ls-remote", "anchor", &reference], None)?.is_empty();
        if fetched.exists {
            fetched.git(&["fetch", "--quiet", "anchor", &format!("{reference}:refs/heads/kept")], None)?;
        }
        Ok(fetched)
    }

    fn path(&self, size: u64) -> String {
        format!("{}/{}", self.origin, file_name(size))
    }
}

impl Fetched {
    /// Runs git and gives what it prints.
    fn git(&self, arguments: &[&str], input: Option<&str>) -> Result<String, Failure> {
        let output = self.run(arguments, input).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Invalid("the program `git` is not installed".to_owned()),
            _ => Failure::Temporary(format!("git: {error}")),
        })?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let said =
                    String::from_utf8_lossy(&output.stderr).replace(self.repository.url.expose_secret(), "its URL");
                let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing").to_owned();
                Err(Failure::Temporary(format!("git {}: {said}", arguments.first().copied().unwrap_or_default())))
            }
        }
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> io::Result<Output> {
        let settings = [
            ("remote.anchor.url", self.repository.url.expose_secret()),
            ("http.lowSpeedLimit", "1000"),
            ("http.lowSpeedTime", "30"),
            ("core.hooksPath", "/dev/null"),
        ];
        let mut command = Command::new("git");
        command.current_dir(self.directory.path()).args(arguments);
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        if std::env::var_os("GIT_SSH_COMMAND").is_none() {
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=10");
        }
        for person in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{person}_NAME"), "sunset").env(format!("GIT_{person}_EMAIL"), "sunset@localhost");
        }
        command.env("GIT_DIR", self.directory.path()).env("GIT_INDEX_FILE", self.directory.path().join("index"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.unwrap_or_default().as_bytes())?;
        }
        child.wait_with_output()
    }

    fn sizes(&self) -> Result<Vec<u64>, Failure> {
        if !self.exists {
            return Ok(Vec::new());
        }
        // files that a later commit took away were there all the same
        let names =
            self.git(&["log", "--format=", "--name-only", "refs/heads/kept", "--", &self.repository.origin], None)?;
        let prefix = format!("{}/", self.repository.origin);
        let mut sizes: Vec<u64> = names.lines().filter_map(|name| size_of(name.strip_prefix(&prefix)?)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        Ok(sizes)
    }

    fn notes(&self, size: u64) -> Result<Vec<String>, Failure> {
        if !self.exists {
            return Ok(Vec::new());
        }
        let path = self.repository.path(size);
        let wanted = ["log", "--format=%H", "--diff-filter=AM", "refs/heads/kept", "--", &path];
        let commits = self.git(&wanted, None)?;
        commits.lines().map(|commit| self.git(&["show", &format!("{commit}:{path}")], None)).collect()
    }

    fn keep(&self, size: u64, note: &str) -> Result<(), Failure> {
        let kept = self.notes(size)?;
        if !kept.is_empty() {
            return agree(&kept, size, note);
        }
        let object = self.git(&["hash-object", "-w", "--stdin"], Some(note))?;
        if self.exists {
            self.git(&["read-tree", "refs/heads/kept"], None)?;
        }
        let path = self.repository.path(size);
        self.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{},{path}", object.trim())], None)?;
        let tree = self.git(&["write-tree"], None)?;
        let message = format!("Checkpoint of {size} entries of {}", self.repository.origin);
        let mut commit = vec!["commit-tree", tree.trim(), "-m", &message];
        if self.exists {
            commit.extend(["-p", "refs/heads/kept"]);
        }
        let commit = self.git(&commit, None)?;
        let target = format!("{}:refs/heads/{}", commit.trim(), self.repository.branch);
        self.git(&["push", "--quiet", "anchor", &target], None).map(drop)
    }
}

/// Waits for git on a thread of its own.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Temporary(format!("git: {error}"))),
    }
}

#[async_trait]
impl Keeper for Repository {
    async fn sizes(&self) -> Result<Vec<u64>, Failure> {
        let own = self.clone();
        apart(move || own.fetch()?.sizes()).await
    }

    async fn notes(&self, size: u64) -> Result<Vec<String>, Failure> {
        let own = self.clone();
        apart(move || own.fetch()?.notes(size)).await
    }

    async fn keep(&self, size: u64, note: &str) -> Result<(), Failure> {
        let (own, note) = (self.clone(), note.to_owned());
        apart(move || own.fetch()?.keep(size, &note)).await
    }
}
