//! `tallymark doctor`: what is wrong, and what to do about it.
//!
//! Looks only; changes nothing, unless it is asked to send an error report. Exit code 1 when something is wrong.

mod served;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde::Serialize;

use crate::catalog::SqliteCatalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::folder::{Folder, FolderError};
use crate::meta::Meta;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into() }
    }
    fn warning(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, detail: detail.into() }
    }
    fn wrong(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, detail: detail.into() }
    }
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Send an error report with this write key to the running server, to try the way in.
    #[arg(long, value_name = "WRITE_KEY")]
    send: Option<String>,
}

/// Look at everything and print it.
pub async fn run(
    args: DoctorArgs,
    folder: &Folder,
    config: &Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    if let Err(error) = folder.must_exist() {
        findings.push(Finding::wrong("data folder", error.to_string()));
    } else {
        findings.push(check_folder(folder));
        findings.push(check_pepper(folder));
        findings.push(check_space(folder.root()));
        findings.push(check_meta(folder).await);
        findings.push(check_catalog(folder).await);
        findings.push(check_port(folder, config));
        findings.extend(check_served(folder, config, args.send.as_deref()));
    }
    findings.push(check_clock(Clock::System.now_ms()));
    for finding in &findings {
        if as_json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            let mark = match finding.verdict {
                Verdict::Ok => "ok     ",
                Verdict::Warning => "warning",
                Verdict::Wrong => "WRONG  ",
            };
            println!("{mark}  {:<12} {}", finding.check, finding.detail);
        }
    }
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn check_folder(folder: &Folder) -> Finding {
    let probe = folder.root().join(".doctor");
    let path = folder.root().display();
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Finding::ok("data folder", format!("{path} can be written")),
        Err(error) => Finding::wrong(
            "data folder",
            format!("{path} cannot be written: {error}; give it to the user that runs tallymark"),
        ),
    }
}

fn check_pepper(folder: &Folder) -> Finding {
    if !folder.pepper_file().exists() {
        return Finding::warning("pepper", "none yet; the first project or start makes one");
    }
    match folder.pepper() {
        Ok(_) => Finding::ok(
            "pepper",
            "32 bytes, readable by its owner only; keep a copy apart from backups",
        ),
        Err(error @ FolderError::PepperExposed { .. }) => {
            Finding::wrong("pepper", error.to_string())
        }
        Err(error) => Finding::wrong("pepper", error.to_string()),
    }
}

/// Below this the store stops taking events soon.
const LOW_KIB: u64 = 1024 * 1024;

fn check_space(root: &Path) -> Finding {
    // POSIX `df` prints 1024-byte blocks in fixed columns: no system call of ours, no unsafe code.
    let printed = Command::new("df").arg("-Pk").arg(root).output();
    let free_kib = printed.ok().and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()
    });
    match free_kib {
        Some(kib) if kib < LOW_KIB / 4 => Finding::wrong(
            "disk",
            format!("{} MiB free; events are refused soon: free some space", kib / 1024),
        ),
        Some(kib) if kib < LOW_KIB => Finding::warning("disk", format!("{} MiB free", kib / 1024)),
        Some(kib) => Finding::ok("disk", format!("{} GiB free", kib / 1024 / 1024)),
        None => Finding::warning("disk", "free space could not be read"),
    }
}

async fn check_meta(folder: &Folder) -> Finding {
    let checked = async {
        let meta = Meta::open(&folder.meta_db()).await?;
        let faults = meta.check().await?;
        Ok::<_, crate::meta::MetaError>((faults, meta.directory()))
    };
    match checked.await {
        Ok((faults, directory)) if faults.is_empty() => {
            let projects = directory.projects();
            match projects.iter().find(|project| !directory.has_key(project.id)) {
                Some(project) => Finding::warning(
                    "keys",
                    format!(
                        "the project {} has no key; tallymark key create makes one",
                        project.slug
                    ),
                ),
                None => {
                    Finding::ok("keys", format!("{} projects, each with a key", projects.len()))
                }
            }
        }
        Ok((faults, _)) => {
            Finding::wrong("keys", format!("{}; restore a backup", faults.join("; ")))
        }
        Err(error) => Finding::wrong("keys", error.to_string()),
    }
}

async fn check_catalog(folder: &Folder) -> Finding {
    if !folder.catalog_db().exists() {
        return Finding::ok("catalog", "none yet");
    }
    let catalog = match SqliteCatalog::open(&folder.catalog_db()).await {
        Ok(catalog) => catalog,
        Err(error) => return Finding::wrong("catalog", error.to_string()),
    };
    let (faults, segments) = match (catalog.check().await, catalog.segments().await) {
        (Ok(faults), Ok(segments)) => (faults, segments),
        (Err(error), _) => return Finding::wrong("catalog", error.to_string()),
        (_, Err(error)) => return Finding::wrong("catalog", error.to_string()),
    };
    if !faults.is_empty() {
        return Finding::wrong("catalog", format!("{}; restore a backup", faults.join("; ")));
    }
    let bad = segments.iter().find(|segment| {
        let length = std::fs::metadata(folder.root().join(segment.path())).map(|file| file.len());
        length.ok() != Some(segment.bytes)
    });
    match bad {
        Some(segment) => Finding::wrong(
            "catalog",
            format!(
                "{} is missing or has another length; restore it from a backup",
                segment.path()
            ),
        ),
        None => {
            let rows: u64 = segments.iter().map(|segment| segment.rows).sum();
            Finding::ok(
                "catalog",
                format!("{} segments with {rows} events, all there", segments.len()),
            )
        }
    }
}

/// What the server says over HTTP, if there is one.
fn check_served(folder: &Folder, config: &Config, write_key: Option<&str>) -> Vec<Finding> {
    match (is_serving(folder), write_key) {
        (false, None) => Vec::new(),
        (false, Some(_)) => {
            vec![Finding::wrong("error report", "there is no server to send it to")]
        }
        (true, _) if !config.tls_cert.is_empty() => {
            let detail = "speaks TLS, so its metrics are not looked at here; GET /metrics has them";
            vec![Finding::warning("metrics", detail)]
        }
        (true, write_key) => {
            let now_ms = Clock::System.now_ms();
            let sent = write_key.map(|key| served::send(config.listen, key, now_ms));
            sent.into_iter()
                .chain(served::check(config.listen, &config.metrics_prefix.0, now_ms))
                .collect()
        }
    }
}

fn is_serving(folder: &Folder) -> bool {
    std::os::unix::net::UnixStream::connect(folder.control_socket()).is_ok()
}

fn check_port(folder: &Folder, config: &Config) -> Finding {
    match (TcpListener::bind(config.listen), is_serving(folder)) {
        (_, true) => Finding::ok("server", "is running and takes commands"),
        (Ok(_), false) => {
            Finding::ok("server", format!("is not running; {} is free", config.listen))
        }
        (Err(error), false) => Finding::wrong(
            "server",
            format!(
                "is not running, and {} cannot be had: {error}; --listen names another",
                config.listen
            ),
        ),
    }
}

/// 2026-01-01: the program is younger.
const NOT_BEFORE_MS: i64 = 1_767_225_600_000;
/// 2100-01-01.
const NOT_AFTER_MS: i64 = 4_102_444_800_000;

fn check_clock(now_ms: i64) -> Finding {
    let shown =
        jiff::Timestamp::from_millisecond(now_ms).map(|now| now.to_string()).unwrap_or_default();
    if (NOT_BEFORE_MS..NOT_AFTER_MS).contains(&now_ms) {
        Finding::ok("clock", shown)
    } else {
        Finding::wrong("clock", format!("shows {shown}; set it, events are stamped with it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_1970_is_wrong() {
        assert_eq!(check_clock(0).verdict, Verdict::Wrong);
        assert_eq!(check_clock(NOT_BEFORE_MS).verdict, Verdict::Ok);
    }

    #[tokio::test]
    async fn a_new_folder_is_sound_and_a_lost_segment_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        folder.pepper().unwrap();
        assert_eq!(check_folder(&folder).verdict, Verdict::Ok);
        assert_eq!(check_pepper(&folder).verdict, Verdict::Ok);
        assert_eq!(check_meta(&folder).await.verdict, Verdict::Ok);
        drop(SqliteCatalog::open(&folder.catalog_db()).await.unwrap());
        assert_eq!(check_catalog(&folder).await.verdict, Verdict::Ok);
    }
}
