//! The collector as a process: start, ask, kill, start again on the same data.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::event::{Event, batch};
use crate::http::{Client, Reply};
use crate::launch::{Launch, Mounts};

/// How long a start may take before a test gives up on it.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A running collector with a data folder of its own; both end when this is dropped.
#[derive(Debug)]
pub struct TestCollector {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    launch: Launch,
    client: Client,
}

/// A start that came to nothing.
#[derive(Debug)]
pub struct NotReady {
    /// The process that was.
    pub pid: u32,
    /// What it wrote to its log, and every process before it.
    pub log: String,
}

impl std::fmt::Display for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the collector was not ready within {START_PATIENCE:?}; its log:\n{}", self.log)
    }
}

/// What `tallymark project create --json` printed.
#[derive(Debug, Clone)]
pub struct TestProject {
    /// Names the project on the command line.
    pub slug: String,
    /// Public, may only send events.
    pub write_key: String,
    /// Secret, may ask.
    pub secret_key: String,
    /// The key of the hashes made in the browser.
    pub salt: String,
}

impl TestCollector {
    /// A collector with its defaults, on an empty data folder.
    pub fn start() -> TestCollector {
        TestCollector::start_with(&[])
    }

    /// A collector with these settings in its environment.
    pub fn start_with(environment: &[(&str, &str)]) -> TestCollector {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        TestCollector::launch(folder, Launch::with(environment))
    }

    /// A collector started this way, on whatever data is in the folder.
    pub fn launch(folder: TempDir, launch: Launch) -> TestCollector {
        let (child, address) = spawn(folder.path(), &launch).unwrap_or_else(|end| panic!("{end}"));
        TestCollector { child, address, folder, launch, client: Client::default() }
    }

    /// Where it listens now; changes with every restart.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(&self.launch.data)
    }

    /// The same folder where the process has mounts of its own, as seen from outside.
    pub fn data_inside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.child.id());
        Path::new(&root).join(self.data().strip_prefix("/").expect("a data folder's path is whole"))
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A folder beside the data folder for a test's own files.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The client, to share with threads.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Run one command of the binary on this data folder.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = match &self.launch.mounts {
            Mounts::Shared => Command::new(binary()),
            Mounts::Own => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &self.child.id().to_string(), "--"]);
                command.arg(binary());
                command
            }
        };
        command.args(arguments).arg("--data").arg(self.data());
        command.envs(self.launch.environment.iter().map(|(k, v)| (k, v)));
        command.output().expect("the binary starts")
    }

    /// Run one command that must succeed, and give what it printed.
    ///
    /// # Panics
    /// When it fails, with its standard error.
    pub fn command_ok(&self, arguments: &[&str]) -> String {
        printed(&self.command(arguments), arguments)
    }

    /// All events of a project as JSON lines, by the export command.
    ///
    /// # Panics
    /// When the command fails.
    pub fn export_all(&self, project: &TestProject) -> String {
        let slug = project.slug.as_str();
        let range = ["--from", "2020-01-01", "--to", "2035-01-01"];
        let what = ["export", "--project", slug, "--format", "jsonl"];
        self.command_ok(&[&what[..], &range].concat())
    }

    /// A new project.
    pub fn project(&self, slug: &str) -> TestProject {
        self.project_in(slug, "UTC")
    }

    /// A new project with a time zone.
    pub fn project_in(&self, slug: &str, tz: &str) -> TestProject {
        let create = ["project", "create", slug, "--slug", slug, "--tz", tz, "--json"];
        let printed = self.command_ok(&create);
        let made: Value = serde_json::from_str(printed.trim()).expect("--json prints JSON");
        let text = |field: &str| {
            made[field].as_str().unwrap_or_else(|| panic!("`{field}` in {printed}")).to_owned()
        };
        TestProject {
            slug: text("slug"),
            write_key: text("write_key"),
            secret_key: text("secret_key"),
            salt: text("salt"),
        }
    }

    /// `GET path` with the project's secret key.
    pub fn get(&self, project: &TestProject, path: &str) -> Reply {
        self.client.get(self.address, path, Some(&project.secret_key)).expect("the server answers")
    }

    /// `POST path` with these headers and bytes.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.client.post(self.address, path, headers, body).expect("the server answers")
    }

    /// Send these events with the write key.
    pub fn send(&self, project: &TestProject, events: &[Event]) -> Reply {
        let body = batch(&project.write_key, events).to_string();
        self.post("/v1/batch", &[("content-type", "text/plain")], body.as_bytes())
    }

    /// Send a body with the secret key, as a customer's server does.
    pub fn send_as_server(&self, project: &TestProject, events: &[Event]) -> Reply {
        let mut body = batch(&project.write_key, events);
        body.as_object_mut().expect("a batch is an object").remove("key");
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post("/v1/batch", &headers, body.to_string().as_bytes())
    }

    /// Ask a question with the secret key, whatever the answer is.
    pub fn ask(&self, project: &TestProject, kind: &str, question: &Value) -> Reply {
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post(&format!("/v1/query/{kind}"), &headers, question.to_string().as_bytes())
    }

    /// Ask a question that must have an answer.
    ///
    /// # Panics
    /// When the answer is no 200, with its text.
    pub fn query(&self, project: &TestProject, kind: &str, question: &Value) -> Value {
        let reply = self.ask(project, kind, question);
        assert_eq!(reply.status, 200, "{kind} {question} was refused: {}", reply.text);
        reply.json()
    }

    /// SIGKILL, as the kernel does it when memory ends.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// SIGTERM, as a service manager does it; waits until the process is gone.
    ///
    /// # Panics
    /// When it takes longer than ten seconds or ends with a failure.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
        assert!(sent.success(), "SIGTERM could not be sent");
        let status = self.wait_for_end(Duration::from_secs(10));
        let status = status.expect("SIGTERM took more than 10 s");
        assert!(status.success(), "SIGTERM ended in {status}; {}", self.log_tail());
    }

    /// Wait until the process has ended by itself, for at most so long.
    pub fn wait_for_end(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let from = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return Some(status);
            }
            if from.elapsed() > at_most {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Start again on the same data; gives the time until it was ready.
    pub fn restart(&mut self) -> Duration {
        let from = Instant::now();
        let started = spawn(self.folder.path(), &self.launch);
        (self.child, self.address) = started.unwrap_or_else(|end| panic!("{end}"));
        from.elapsed()
    }

    /// Start again in another way.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_as(&mut self, launch: Launch) -> Result<(), NotReady> {
        self.launch = launch;
        (self.child, self.address) = spawn(self.folder.path(), &self.launch)?;
        Ok(())
    }

    /// Whether the process lives.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// The most memory the process ever held, in bytes (`VmHWM`).
    pub fn peak_memory_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    /// The memory the process holds now, in bytes (`VmRSS`).
    pub fn memory_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// What the process has open: paths, and names of the kernel's for sockets and the like.
    pub fn open_files(&self) -> Vec<PathBuf> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let open = open.expect("a live process lists its files").filter_map(Result::ok);
        // One that is closed in the meantime is none.
        open.filter_map(|file| std::fs::read_link(file.path()).ok()).collect()
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a live process has a status");
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("{name} is a number of kB"))
    }

    /// Everything the process wrote to its log so far, all restarts included.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(log_path(self.folder.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for TestCollector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "collector's log ends:\n{}", self.log_tail());
        }
    }
}

/// What a command that must succeed printed.
fn printed(output: &Output, arguments: &[&str]) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tallymark {arguments:?} failed: {error}");
    String::from_utf8(output.stdout.clone()).expect("commands print UTF-8")
}

/// Start the binary and wait until it is ready. `Err` with its log when it ends or takes too long.
fn spawn(folder: &Path, launch: &Launch) -> Result<(Child, SocketAddr), NotReady> {
    let log = std::fs::File::options().create(true).append(true).open(log_path(folder));
    let binary = binary();
    let mut command = match launch.wrapper.split_first() {
        None => Command::new(binary),
        Some((wrapper, arguments)) => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(binary);
            command
        }
    };
    let mut child = command
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
        .arg(folder.join(&launch.data))
        .envs(launch.environment.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("the log file can be opened"))
        .spawn()
        .expect("the binary, or the program it is started behind, starts");
    let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
    let (send, ready) = mpsc::channel();
    // Reads to the end: a process whose pipe nobody empties would stop.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let until = Instant::now() + START_PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(line) = ready.recv_timeout(left) else {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
            return Err(NotReady { pid: child.id(), log });
        };
        let address = serde_json::from_str::<Value>(&line).ok().and_then(|ready| {
            ready["address"].as_str().and_then(|text| text.parse::<SocketAddr>().ok())
        });
        if let Some(address) = address {
            return Ok((child, address));
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("collector.log")
}

/// The binary under test.
///
/// # Panics
/// When there is none, saying how to build it.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TALLYMARK_BIN") {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let built = ["fast", "release", "debug"]
        .map(|profile| target.join(profile).join("tallymark"))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    built.expect("no tallymark binary: run `cargo xtask build`").1
}
