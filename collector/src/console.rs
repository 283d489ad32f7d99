//! Where a command prints: this terminal, or the terminal at the other end of the control socket.
//!
//! Invariant: answers and remarks never mix: `out` is standard output, the rest standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

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
    /// Since when something is going on, and when a line about it was last written.
    since: Option<Instant>,
    told: Duration,
}

/// Where there is no bar, a line as often as this.
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Default for Terminal {
    fn default() -> Self {
        let out = io::BufWriter::with_capacity(64 * 1024, io::stdout());
        Self { out, bar: None, since: None, told: Duration::ZERO }
    }
}

impl Progress {
    /// How many events, how many of them a second, and how long the rest will take.
    fn text(&self, elapsed: Duration) -> String {
        let rate = self.rows as f64 / elapsed.as_secs_f64().max(0.001);
        let (rows, rate) = (grouped(self.rows), grouped(rate as u64));
        let left = match self.done {
            0 => String::new(),
            done => {
                let left = self.total.saturating_sub(done) as f64 / done as f64;
                let seconds = (elapsed.as_secs_f64() * left).round() as u64;
                format!(", {}:{:02} left", seconds / 60, seconds % 60)
            }
        };
        format!("{rows} events, {rate}/s{left}")
    }

    fn percent(&self) -> u64 {
        let percent = u128::from(self.done) * 100 / u128::from(self.total.max(1));
        u64::try_from(percent).unwrap_or(100).min(100)
    }
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
        let elapsed = self.since.get_or_insert_with(Instant::now).elapsed();
        if !io::stderr().is_terminal() {
            if elapsed.saturating_sub(self.told) < LINE_EVERY {
                return Ok(());
            }
            self.told = elapsed;
            return self.note(&format!("{} %: {}", progress.percent(), progress.text(elapsed)));
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(progress.total);
            let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.text(elapsed));
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_yet(0, 0, "0 % 0 events, 0/s")]
    #[case::a_quarter(25, 1_500_000, "25 % 1,500,000 events, 150,000/s, 0:30 left")]
    #[case::minutes(1, 999, "1 % 999 events, 99/s, 16:30 left")]
    #[case::all(100, 6_000_000, "100 % 6,000,000 events, 600,000/s, 0:00 left")]
    fn progress_after_ten_seconds(#[case] done: u64, #[case] rows: u64, #[case] want: &str) {
        let progress = Progress { done, total: 100, rows };
        let text = progress.text(Duration::from_secs(10));
        assert_eq!(format!("{} % {text}", progress.percent()), want);
    }
}
