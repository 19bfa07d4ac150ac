//! Where commands write: results to standard output, everything else to standard error.

use crate::{
    cli::{Colour, Global},
    diagnostic::{self, Diagnostic, Sources},
    output::Format,
    run::Progress,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal, Write},
    sync::Mutex,
    time::Duration,
};

pub struct Console {
    pub format: Format,
    pub quiet: bool,
    colour: bool,
    terminal: bool,
}

impl Console {
    pub fn new(global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let colour = match global.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { format: global.format, quiet: global.quiet, colour, terminal }
    }

    /// A command's result.
    ///
    /// # Errors
    /// Standard output is gone. A closed pipe is not an error: the reader has seen enough.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// A word to whoever looks on; not with `--quiet`.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// What went wrong.
    pub fn error(&mut self, text: &str) {
        let (red, plain) = if self.colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        self.complain(&format!("{red}error{plain}: {text}"));
    }

    fn complain(&mut self, text: &str) {
        // a closed standard error leaves nobody to tell
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Diagnostics in the asked format: machines read them from standard output, people from standard error.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn diagnostics(&mut self, found: &[Diagnostic], sources: &Sources) -> io::Result<()> {
        match self.format {
            Format::Json => self.print(&diagnostic::render_json(found, sources)),
            Format::Sarif => self.print(&diagnostic::render_sarif(found, sources)),
            Format::Text | Format::Markdown => {
                if !found.is_empty() {
                    let text = diagnostic::render_text(found, sources, self.colour);
                    self.complain(text.trim_end());
                }
                Ok(())
            }
        }
    }

    /// Shows how far a run is: a bar on a terminal, nothing elsewhere (the log tells there).
    pub fn progress(&self) -> Box<dyn Progress> {
        if self.terminal && !self.quiet { Box::new(Bar(Mutex::new(None))) } else { Box::new(crate::run::Silent) }
    }
}

/// For commands that write their result as they go.
impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

/// One bar per rule.
struct Bar(Mutex<Option<ProgressBar>>);

impl Progress for Bar {
    fn begin(&self, rule: &str, rows: u64) {
        let template = "{msg} {prefix}{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(rows).with_style(style).with_message(rule.to_owned());
        if let Ok(mut current) = self.0.lock() {
            *current = Some(bar);
        }
    }

    fn advance(&self, rows: u64) {
        if let Ok(current) = self.0.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.inc(rows);
        }
    }

    fn wait(&self, reason: &str, waited: Duration) {
        if let Ok(current) = self.0.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.set_prefix(format!("waiting {} s: {reason} ", waited.as_secs()));
        }
    }

    fn go_on(&self) {
        if let Ok(current) = self.0.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.set_prefix("");
        }
    }

    fn end(&self) {
        if let Ok(mut current) = self.0.lock()
            && let Some(bar) = current.take()
        {
            bar.finish_and_clear();
        }
    }
}
