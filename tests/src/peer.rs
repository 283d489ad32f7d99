//! Another engine, asked the same things: `tests/differential/peer.py` in a process of its own.
//!
//! The peer reads one JSON value a line and writes one a line. It needs Python with the packages
//! of `tests/requirements.txt`; `cargo xtask test` makes that environment in `.venv`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// ClickHouse's engine (chdb) behind a pipe.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Start the engine.
    ///
    /// # Panics
    /// When Python or a package is missing, saying which command installs them.
    pub fn start() -> Peer {
        let script = root().join("tests/differential/peer.py");
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts; `cargo xtask test differential` installs what it needs");
        let to = child.stdin.take().expect("standard input is piped");
        let from = BufReader::new(child.stdout.take().expect("standard output is piped"));
        Peer { child, to, from }
    }

    /// Run a statement; the rows of its answer, each an array of values.
    ///
    /// # Panics
    /// When the engine refuses it, with the statement and the engine's words.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Value>> {
        writeln!(self.to, "{}", json!({ "sql": sql })).expect("the peer listens");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the peer answers");
        let answer: Value = serde_json::from_str(&line).expect("the peer answers in JSON");
        assert!(answer["error"].is_null(), "{sql}\n{}", answer["error"]);
        serde_json::from_value(answer["rows"].clone()).expect("rows are arrays")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Python of the test environment: `TALLYMARK_PYTHON`, else `.venv`.
pub fn python() -> PathBuf {
    std::env::var_os("TALLYMARK_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from)
}
