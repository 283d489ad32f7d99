//! What a traced collector did with its disk and its answers, in order, and whether the order keeps
//! the promises: read from the log of `strace -f -y`.
//!
//! Three laws:
//!
//! 1. before an answer that acknowledges a batch, the bytes of the batch were written to a log file,
//!    and after that write a sync of the same file began and ended well;
//! 2. a file is synced after its last write before it gets its name;
//! 3. after a rename, the next thing the renaming thread does with files is to sync the folder.
//!
//! A tracer lets no call go on before it has noted it, so an order in the log is an order in time.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::marks;

/// The system calls to trace, and how: whole buffers, paths behind descriptors.
pub const OPTIONS: [&str; 5] = ["-y", "-s", "1000000", "-e", CALLS];
const CALLS: &str = "trace=write,pwrite64,pwritev,fdatasync,fsync,fallocate,rename,renameat,renameat2,\
                     ftruncate,sendto,sendmsg,writev";

/// One call of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    thread: u32,
    name: String,
    /// Arguments as strace prints them.
    arguments: String,
    /// Line on which it began and line on which it ended.
    began: usize,
    ended: usize,
    /// What it gave back; `None` when the process ended inside it.
    result: Option<i64>,
    injected: bool,
}

/// What a trace was found to say.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Answers that acknowledge a batch.
    pub acknowledged: usize,
    /// Renames of files.
    pub renames: usize,
    /// Calls that the tracer made fail.
    pub injected: usize,
    /// Broken promises, in words.
    pub violations: Vec<String>,
}

/// Read a trace and judge it. Batches are those of a [`Load`](crate::Load): the bytes of one are
/// known by the [`marks`] of its nonce.
///
/// # Panics
/// When the log cannot be read.
pub fn judge(log: &Path) -> Verdict {
    let bytes = std::fs::read(log).expect("strace wrote a log");
    let calls = parse(&String::from_utf8_lossy(&bytes));
    let injected = calls.iter().filter(|call| call.injected).count();
    let mut verdict = Verdict { injected, ..Verdict::default() };
    acknowledged_after_sync(&calls, &mut verdict);
    renamed_after_sync(&calls, &mut verdict);
    verdict
}

/// How many calls a trace that is still being written made fail.
pub fn injected_so_far(log: &Path) -> usize {
    let bytes = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).matches("(INJECTED)").count()
}

/// Wait until the tracer has written the end of this process, which it notes last.
///
/// # Panics
/// When it has not after ten seconds.
pub fn wait_for_end(log: &Path, pid: u32) {
    let until = Instant::now() + Duration::from_secs(10);
    // `4711  +++ killed by SIGKILL +++`, the process id in a column of its own.
    let is_end = |line: &str| {
        let rest = line.strip_prefix(&pid.to_string());
        rest.is_some_and(|rest| rest.trim_start().starts_with("+++ "))
    };
    let has_ended = || {
        let bytes = std::fs::read(log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).lines().rev().any(is_end)
    };
    while !has_ended() {
        assert!(Instant::now() < until, "strace does not come to an end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Law 1.
fn acknowledged_after_sync(calls: &[Call], verdict: &mut Verdict) {
    let log_file = |call: &&Call| call.file().is_some_and(|file| file.ends_with(".wal"));
    let writes: Vec<_> = calls
        .iter()
        .filter(|call| call.name.starts_with("pwrite") && call.is_fine())
        .filter(log_file)
        .collect();
    let syncs: Vec<_> = calls
        .iter()
        .filter(|call| ["fdatasync", "fsync"].contains(&&*call.name) && call.is_fine())
        .filter(log_file)
        .collect();
    for answer in calls.iter().filter(|call| call.is_answer()) {
        let Some(nonce) = answer.nonce() else { continue };
        verdict.acknowledged += 1;
        let marks = marks(nonce);
        // A compressor may take a few letters of a text from another one, those at its ends above all: what stands there is
        // followed by the same in every event. Eight in a row occur nowhere else all the same.
        let stretches = || marks.iter().flat_map(|mark| (0..=8).map(|from| &mark[from..from + 8]));
        let holds_marks =
            |write: &&&Call| stretches().any(|stretch| write.arguments.contains(stretch));
        let mut covering = writes.iter().rev().filter(|write| write.ended < answer.began);
        let Some(write) = covering.find(holds_marks) else {
            verdict.violations.push(format!("{nonce} was acknowledged and never written"));
            continue;
        };
        let is_covered = syncs.iter().any(|sync| {
            sync.file() == write.file() && write.ended < sync.began && sync.ended < answer.began
        });
        if !is_covered {
            verdict.violations.push(format!(
                "{nonce} was acknowledged on line {} without a sync of its write on line {}",
                answer.began, write.began
            ));
        }
    }
}

/// Laws 2 and 3.
fn renamed_after_sync(calls: &[Call], verdict: &mut Verdict) {
    let mut last_write: HashMap<String, &Call> = HashMap::new();
    let mut last_sync: HashMap<String, &Call> = HashMap::new();
    for (at, call) in calls.iter().enumerate() {
        match &*call.name {
            name if name.starts_with("pwrite") || name == "write" || name == "ftruncate" => {
                if let Some(file) = call.file() {
                    last_write.insert(file.to_owned(), call);
                }
            }
            "fdatasync" | "fsync" if call.is_fine() => {
                if let Some(file) = call.file() {
                    last_sync.insert(file.to_owned(), call);
                }
            }
            name if name.starts_with("rename") && call.is_fine() => {
                let Some((from, to)) = call.renamed() else { continue };
                verdict.renames += 1;
                let (write, sync) = (last_write.remove(from), last_sync.get(from));
                if write.is_some_and(|write| sync.is_none_or(|sync| sync.began < write.ended)) {
                    verdict.violations.push(format!("{from} got its name {to} before a sync"));
                }
                let folder = Path::new(to).parent().map(|folder| folder.to_string_lossy());
                let next = calls[at + 1..].iter().find(|next| {
                    next.thread == call.thread && next.file().is_some_and(|f| f.starts_with('/'))
                });
                // Without a next call the process ended here, and promised nothing after.
                let is_synced = next
                    .is_none_or(|next| next.name == "fsync" && next.file() == folder.as_deref());
                if !is_synced {
                    verdict.violations.push(format!("{to} was renamed, its folder not synced"));
                }
            }
            _ => {}
        }
    }
}

impl Call {
    /// The path behind the descriptor that is the first argument.
    fn file(&self) -> Option<&str> {
        let (descriptor, rest) = self.arguments.split_once('<')?;
        descriptor.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        // A path of a deleted file ends in `>(deleted)`.
        Some(rest.split_once('>')?.0)
    }

    fn is_fine(&self) -> bool {
        self.result.is_some_and(|result| result >= 0)
    }

    fn is_answer(&self) -> bool {
        ["sendto", "sendmsg", "writev", "write"].contains(&&*self.name)
            && self.arguments.contains("HTTP/1.1 200 ")
    }

    /// The nonce of a receipt.
    fn nonce(&self) -> Option<&str> {
        let (_, rest) = self.arguments.split_once(r#"{\"nonce\":\""#)?;
        Some(rest.split_once('\\')?.0)
    }

    /// The old and the new path.
    fn renamed(&self) -> Option<(&str, &str)> {
        let mut quoted = self.arguments.split('"').skip(1).step_by(2);
        Some((quoted.next()?, quoted.next()?))
    }
}

/// Calls in the order in which they began.
fn parse(log: &str) -> Vec<Call> {
    let mut calls: BTreeMap<usize, Call> = BTreeMap::new();
    let mut unfinished: HashMap<u32, usize> = HashMap::new();
    for (line_number, line) in log.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u32>() else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let begun = unfinished.remove(&thread).and_then(|began| calls.get_mut(&began));
            if let Some(call) = begun {
                call.end(resumed, line_number);
            }
        } else if let Some((name, arguments)) = rest.split_once('(') {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !name.bytes().all(is_name) {
                continue;
            }
            let mut call = Call {
                thread,
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                began: line_number,
                ended: usize::MAX,
                result: None,
                injected: false,
            };
            if arguments.ends_with("<unfinished ...>") {
                unfinished.insert(thread, line_number);
            } else {
                call.end(arguments, line_number);
            }
            calls.insert(line_number, call);
        }
    }
    calls.into_values().collect()
}

impl Call {
    fn end(&mut self, text: &str, line: usize) {
        self.ended = line;
        self.injected = text.ends_with("(INJECTED)");
        let result = text.rsplit_once(" = ").map(|(_, result)| result);
        self.result = result.and_then(|text| text.split(' ').next()?.parse().ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(log: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::write(&file, log).unwrap();
        judge(&file).violations
    }

    const ANSWER: &str = r#"7 writev(9<socket:[1]>, [{iov_base="HTTP/1.1 200 OK\r\n\r\n{\"nonce\":\"n1\",\"ok\":1}", iov_len=9}], 1) = 9"#;
    fn write() -> String {
        let mark = &marks("n1")[2];
        format!(r#"8 pwrite64(5</d/wal/1.wal>, "..{mark}..", 14, 32) = 14"#)
    }

    #[test]
    fn an_answer_after_write_and_sync_is_in_order() {
        let log = [&*write(), "8 fdatasync(5</d/wal/1.wal>) = 0", ANSWER].join("\n");
        assert!(verdict(&log).is_empty());
    }

    #[test]
    fn a_write_is_known_though_the_ends_of_all_its_marks_were_compressed() {
        let inner = marks("n1").map(|mark| mark[1..15].to_owned()).join(r"\1\4");
        let write = format!(r#"8 pwrite64(5</d/wal/1.wal>, "..{inner}..", 14, 32) = 14"#);
        let log = [&*write, "8 fdatasync(5</d/wal/1.wal>) = 0", ANSWER].join("\n");
        assert!(verdict(&log).is_empty());
    }

    #[test]
    fn answers_before_the_sync_has_ended_are_found() {
        let write = &*write();
        for log in [
            [write, ANSWER, "8 fdatasync(5</d/wal/1.wal>) = 0"].join("\n"),
            [
                write,
                "8 fdatasync(5</d/wal/1.wal>) = -1 EIO (Input/output error) (INJECTED)",
                ANSWER,
            ]
            .join("\n"),
            [write, "8 fdatasync(5</d/wal/2.wal>) = 0", ANSWER].join("\n"),
            ["8 fdatasync(5</d/wal/1.wal>) = 0", write, ANSWER].join("\n"),
            ["8 fdatasync(5</d/wal/1.wal>) = 0", ANSWER].join("\n"),
            [
                write,
                "8 fdatasync(5</d/wal/1.wal> <unfinished ...>",
                ANSWER,
                "8 <... fdatasync resumed>) = 0",
            ]
            .join("\n"),
        ] {
            assert_eq!(verdict(&log).len(), 1, "{log}");
        }
    }

    #[test]
    fn a_rename_needs_a_synced_file_before_and_a_synced_folder_after() {
        let write = r#"8 write(5</d/tmp/1>, "x", 1) = 1"#;
        let rename = r#"8 rename("/d/tmp/1", "/d/seg/1") = 0"#;
        let (file, folder) = ("8 fsync(5</d/tmp/1>) = 0", "8 fsync(6</d/seg>) = 0");
        assert!(verdict(&[write, file, rename, folder].join("\n")).is_empty());
        assert!(verdict(&[write, file, rename].join("\n")).is_empty(), "killed right after");
        assert_eq!(verdict(&[write, rename, folder].join("\n")).len(), 1);
        assert_eq!(verdict(&[file, write, rename, folder].join("\n")).len(), 1);
        assert_eq!(verdict(&[write, file, rename, write].join("\n")).len(), 1);
    }
}
