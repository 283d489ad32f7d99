//! Running other programs: quiet when all is well, with everything they said when not.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A program with its arguments, to run in a folder.
pub fn command<S: AsRef<OsStr>>(folder: &Path, program: &str, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

/// The cargo that runs us.
pub fn cargo<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Command {
    command(folder, &std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), arguments)
}

/// Run to the end and give what was printed; its words are shown only when it fails.
///
/// # Errors
/// When the program is missing or fails.
pub fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("`{shown}` does not start"))?;
    if !output.status.success() {
        let (out, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{shown}` failed ({}):\n{out}{error}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Run to the end with its output going where ours goes.
///
/// # Errors
/// When the program is missing or fails.
pub fn loud(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("`{shown}` does not start"))?;
    anyhow::ensure!(status.success(), "`{shown}` failed ({status})");
    Ok(())
}

/// Say what happens, do it, say how long it took.
///
/// # Errors
/// Those of the work.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("· {what} …");
    let from = Instant::now();
    let done = work().with_context(|| format!("this went wrong: {what}"))?;
    println!("  {}", seconds(from.elapsed()));
    Ok(done)
}

/// A duration as people read it.
pub fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..=99 => format!("{:.1} s", took.as_secs_f64()),
        long => format!("{} min {:02} s", long / 60, long % 60),
    }
}

/// Where a program is, if it is anywhere on the path.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A process that ends when this is dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
