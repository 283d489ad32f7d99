//! Handing commands to a running server, over a socket in the data folder.
//!
//! The client sends one frame, a [`Task`] as JSON. The server answers with frames until the one that
//! ends the command. A frame is a kind (one byte), a length (four bytes, big endian) and that many
//! bytes. Who may use the socket is a matter of the folder's permissions.
//!
//! Invariant: a command whose client went away ends at its next output.
//!
//! Deliberately elsewhere: what commands do (`task`).

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Handle;

use crate::app::App;
use crate::console::{Console, Progress, Terminal};
use crate::task::Task;

const OUT: u8 = 1;
const NOTE: u8 = 2;
const PROGRESS: u8 = 3;
const DONE: u8 = 4;
const FAILED: u8 = 5;

/// Bytes of a task or of a piece of output. Questions are the largest tasks.
const FRAME_BYTES_MAX: u32 = 16 << 20;
/// Commands at one time.
const COMMANDS_MAX: usize = 8;
/// Progress is sent this often at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Take commands for `app` until the process ends.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(app: App, handle: Handle) -> io::Result<()> {
    let path = app.folder.control_socket();
    // We hold the store's lock, so a socket that is there belongs to nobody.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(COMMANDS_MAX));
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else {
                let _ =
                    write_frame(&mut &stream, FAILED, b"too many commands are running; try again");
                continue;
            };
            let (app, handle) = (app.clone(), handle.clone());
            handle.clone().spawn_blocking(move || {
                let _place = place;
                if let Err(error) = answer(&app, &handle, stream) {
                    tracing::info!(%error, "a command's caller went away");
                }
            });
        }
    })?;
    Ok(())
}

fn answer(app: &App, handle: &Handle, stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut stream = stream;
    let (_, bytes) = read_frame(&mut stream)?;
    let mut console = Remote { stream, last_progress: None };
    let outcome = serde_json::from_slice::<Task>(&bytes)
        .context("this server is of another version than the command")
        .and_then(|task| task.run(app, handle, &mut console));
    match outcome {
        Ok(()) => write_frame(&mut console.stream, DONE, b""),
        Err(error) => write_frame(&mut console.stream, FAILED, format!("{error:#}").as_bytes()),
    }
}

/// Hand a task to the server that owns the folder. `None` when there is none.
///
/// # Errors
/// When the connection breaks before the command has ended.
pub fn hand_over(
    socket: &Path,
    task: &Task,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<ExitCode>> {
    let Ok(mut stream) = UnixStream::connect(socket) else { return Ok(None) };
    let broken = "the server stopped before the command had ended";
    write_frame(&mut stream, 0, &serde_json::to_vec(task)?).context(broken)?;
    loop {
        let (kind, bytes) = read_frame(&mut stream).context(broken)?;
        match kind {
            OUT => terminal.out(&bytes)?,
            NOTE => terminal.note(&String::from_utf8_lossy(&bytes))?,
            PROGRESS => {
                if let Ok(progress) = serde_json::from_slice(&bytes) {
                    terminal.progress(progress)?;
                }
            }
            DONE => return Ok(Some(ExitCode::SUCCESS)),
            _ => anyhow::bail!("{}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// The terminal at the other end.
struct Remote {
    stream: UnixStream,
    last_progress: Option<Instant>,
}

impl Console for Remote {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(1 << 20).try_for_each(|chunk| write_frame(&mut self.stream, OUT, chunk))
    }

    fn note(&mut self, line: &str) -> io::Result<()> {
        write_frame(&mut self.stream, NOTE, line.as_bytes())
    }

    fn progress(&mut self, progress: Progress) -> io::Result<()> {
        let now = Instant::now();
        if self.last_progress.is_some_and(|last| now - last < PROGRESS_EVERY) {
            return Ok(());
        }
        self.last_progress = Some(now);
        write_frame(&mut self.stream, PROGRESS, &serde_json::to_vec(&progress)?)
    }
}

fn write_frame(stream: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut frame = Vec::with_capacity(bytes.len() + 5);
    frame.push(kind);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    stream.write_all(&frame)
}

fn read_frame(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0u8; 5];
    stream.read_exact(&mut head)?;
    let [kind, a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_reads_as_it_was_written(kind: u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut wire = Vec::new();
            write_frame(&mut wire, kind, &bytes).unwrap();
            prop_assert_eq!(read_frame(&mut &wire[..]).unwrap(), (kind, bytes));
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_memory_is_taken() {
        assert!(read_frame(&mut &[OUT, 255, 255, 255, 255][..]).is_err());
    }
}
