//! Where a command prints: this terminal, or the terminal at the other end of the control socket.
//!
//! Invariant: answers and remarks never mix: `out` is standard output, the rest standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

/// How far a long command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes or items behind us.
    pub done: u64,
    /// All of them.
    pub total: u64,
    /// Events seen.
    pub rows: u64,
}

/// A place to print to. An error means that nobody is there any more: stop.
pub trait Console: Send {
    /// Part of the answer.
    ///
    /// # Errors
    /// When it cannot be written.
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A remark, one line.
    ///
    /// # Errors
    /// When it cannot be written.
    fn note(&mut self, line: &str) -> io::Result<()>;

    /// How far we are. Called often; shown a few times per second.
    ///
    /// # Errors
    /// When it cannot be written.
    fn progress(&mut self, progress: Progress) -> io::Result<()>;
}

/// This process's own standard output and error.
pub struct Terminal {
    out: io::BufWriter<io::Stdout>,
    bar: Option<ProgressBar>,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { out: io::BufWriter::with_capacity(64 * 1024, io::stdout()), bar: None }
    }
}

impl Terminal {
    /// Take the progress bar away and write what is buffered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(&mut self) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.out.flush()
    }
}

impl Console for Terminal {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn note(&mut self, line: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| writeln!(io::stderr(), "{line}")),
            None => writeln!(io::stderr(), "{line}"),
        }
    }

    fn progress(&mut self, progress: Progress) -> io::Result<()> {
        if !io::stderr().is_terminal() {
            return Ok(());
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(progress.total);
            let look = "{bar:32} {percent:>3} %  {msg}  {elapsed_precise}";
            bar.set_style(
                ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(format!("{} events", progress.rows));
        Ok(())
    }
}

/// Keeps what was printed; for tests.
#[cfg(test)]
#[derive(Default)]
pub struct Captured {
    /// Standard output.
    pub out: Vec<u8>,
    /// Remarks.
    pub notes: Vec<String>,
}

#[cfg(test)]
impl Console for Captured {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }
    fn note(&mut self, line: &str) -> io::Result<()> {
        self.notes.push(line.to_owned());
        Ok(())
    }
    fn progress(&mut self, _: Progress) -> io::Result<()> {
        Ok(())
    }
}
