//! The collector as a process: started, asked, and looked at from outside.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::fetch;
use crate::shell::{Running, quiet};

/// A collector at work.
pub(super) struct Collector {
    process: Running,
    /// Where it listens.
    pub address: String,
}

impl Collector {
    /// Start one on a data folder, with some settings, and wait until it is ready.
    pub fn start(binary: &Path, data: &Path, settings: &[&str]) -> anyhow::Result<Collector> {
        let mut serve = Command::new(binary);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"]).arg(data);
        serve.args(settings);
        let (process, ready) = started(&mut serve)?;
        let address = ready["address"].as_str().context("the collector says where it listens")?;
        Ok(Collector { process, address: address.to_owned() })
    }

    /// Stop it as an operator does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = self.process.0.wait()?;
        anyhow::ensure!(status.success(), "the collector ended with {status}");
        Ok(())
    }

    /// Ask a question: the answer, and how long it took until that was read.
    pub fn ask(
        &self,
        key: &str,
        kind: &str,
        question: &Value,
    ) -> anyhow::Result<(Value, Duration)> {
        let url = format!("http://{}/v1/query/{kind}", self.address);
        let from = Instant::now();
        let answer = fetch::post_text(&url, key, question)?;
        let took = from.elapsed();
        let answer = serde_json::from_str(&answer);
        Ok((answer.with_context(|| format!("{url} answered no JSON"))?, took))
    }

    /// A gauge of its own metrics.
    pub fn metric(&self, name: &str) -> anyhow::Result<String> {
        let text = fetch::get(&format!("http://{}/metrics", self.address), "")?;
        let is_it =
            |line: &&str| line.split([' ', '{']).next().is_some_and(|of| of.ends_with(name));
        let line =
            text.lines().find(is_it).with_context(|| format!("there is no metric {name}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    /// Bytes resident now.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// Wait until a start has read what it reads by itself; how long that took.
    pub fn settle(&self) -> anyhow::Result<Duration> {
        /// So long nothing grows, nor is read: of rows that few have much is read and little kept.
        const STILL: Duration = Duration::from_millis(500);
        let from = Instant::now();
        let (mut most, mut since) = ([0; 2], from);
        while since.elapsed() < STILL {
            let now = [self.resident_bytes()?, self.bytes_read()?];
            if now.iter().zip(most).any(|(now, most)| *now > most + (1 << 20)) {
                (most, since) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(since - from)
    }

    /// The most bytes that were resident since the start or the last [`Self::forget_peak`].
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Bytes that it has read so far, from the disk or the page cache.
    pub fn bytes_read(&self) -> anyhow::Result<u64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.process.0.id()))?;
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
        read.context("the kernel counts what a process reads")
    }

    /// Begin a new peak.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        // 5 is "reset the peak resident set size", see proc(5).
        std::fs::write(format!("/proc/{}/clear_refs", self.process.0.id()), "5")
            .context("the kernel resets the peak of a process")
    }

    fn status(&self, field: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.with_context(|| format!("a process has a {field}"))? * 1024)
    }
}

/// What `project create` prints.
pub(super) fn create_project(binary: &Path, data: &Path) -> anyhow::Result<Value> {
    let mut create = Command::new(binary);
    create.args(["project", "create", "Bench", "--slug", "bench", "--json", "--data"]);
    Ok(serde_json::from_str(&quiet(create.arg(data))?)?)
}

/// Start a server and read the JSON line that says it is ready.
pub(super) fn started(command: &mut Command) -> anyhow::Result<(Running, Value)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    let process = Running(child);
    let ready =
        lines.by_ref().map_while(Result::ok).find_map(|line| serde_json::from_str(&line).ok());
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok((process, ready.context("the server ended before it was ready")?))
}

/// Bytes of all files in a folder.
pub(super) fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |path: PathBuf| match path.metadata() {
        Ok(meta) if meta.is_dir() => bytes_of(&path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(|entry| size(entry.path())).sum()
}

/// The Parquet files of a folder, in order.
pub(super) fn parquet_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "parquet"));
    ensure!(!files.is_empty(), "{} has no Parquet files", folder.display());
    files.sort();
    Ok(files)
}
