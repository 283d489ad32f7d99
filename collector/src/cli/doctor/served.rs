//! What a running server says of itself over HTTP: whether its metrics are read, whether events arrive and what stops them,
//! and whether an error report gets through.
//!
//! In: the address it listens on. Out: findings. Each says what to do next.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tallymark_protocol::uuid7;

use super::Finding;
use crate::cli::monitoring::begin;

/// Longer than any of these requests takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds without an event that are worth a word; the alert has the same.
const QUIET_S: f64 = 600.0;

/// Ask the server at this address, whose metrics begin with this prefix.
pub fn check(listen: SocketAddr, prefix: &str, now_ms: i64) -> Vec<Finding> {
    let address = reachable(listen);
    let metrics = match ask(address, "GET", "/metrics?format=json", "") {
        Ok((200, body)) => {
            without(&begin(prefix), serde_json::from_str(&body).unwrap_or(Value::Null))
        }
        Ok((401 | 403, _)) => {
            let detail = format!(
                "http://{address}/metrics asks for a token: give Prometheus one with `authorization` in its scrape"
            );
            return vec![Finding::warning("metrics", detail)];
        }
        Ok((status, _)) => {
            let detail = format!("http://{address}/metrics answers {status}; the log says why");
            return vec![Finding::wrong("metrics", detail)];
        }
        Err(error) => {
            let detail = format!(
                "http://{address}/metrics cannot be asked: {error}; --listen says where the server is"
            );
            return vec![Finding::wrong("metrics", detail)];
        }
    };
    let mut findings = vec![of_metrics(address, &metrics)];
    findings.extend(of_events(&metrics, now_ms));
    findings
}

/// Whether anybody reads the metrics. This question was one collection itself.
fn of_metrics(address: SocketAddr, metrics: &Value) -> Finding {
    match number(metrics, "metrics_collections_total") {
        None => Finding::wrong(
            "metrics",
            format!("http://{address}/metrics has none of ours: is it our server?"),
        ),
        Some(count) if count < 2.0 => Finding::warning(
            "metrics",
            format!(
                "http://{address}/metrics works, and nobody has read it since the start: \
                 deploy/prometheus/prometheus.yml is a scrape that can be used as it is"
            ),
        ),
        Some(count) => {
            Finding::ok("metrics", format!("read {} times since the start", count - 1.0))
        }
    }
}

/// Whether events arrive, and what stops them.
fn of_events(metrics: &Value, now_ms: i64) -> Vec<Finding> {
    let accepted = number(metrics, "events_accepted_total").unwrap_or(0.0);
    let last = number(metrics, "last_event_timestamp_seconds").unwrap_or(0.0);
    let quiet_s = (now_ms as f64 / 1e3 - last).max(0.0);
    let mut findings = vec![if accepted == 0.0 {
        Finding::warning(
            "events",
            "none was stored since the start; `doctor --send WRITE_KEY` tries the way in",
        )
    } else if quiet_s > QUIET_S {
        Finding::warning(
            "events",
            format!(
                "{accepted} since the start, the last {} minutes ago",
                (quiet_s / 60.0).floor()
            ),
        )
    } else {
        Finding::ok(
            "events",
            format!("{accepted} since the start, the last {} s ago", quiet_s.floor()),
        )
    }];
    if number(metrics, "store_read_only") == Some(1.0) {
        findings
            .push(Finding::wrong("events", "none is taken: the disk is full or cannot be written"));
    }
    for (family, what) in [("events_refused_total", "events"), ("problems_total", "requests")] {
        for (code, count) in codes(metrics, family) {
            if let Some(advice) = advice(&code) {
                let detail = format!("{count} {what} were refused with {code}: {advice}");
                findings.push(Finding::warning("events", detail));
            }
        }
    }
    findings
}

/// What to do about a code that keeps events out; nothing for codes that do not.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "key_missing" | "key_malformed" | "key_unknown" => {
            "the key of a page or server is not one of this installation, was revoked or is over; `tallymark key list`"
        }
        "origin_refused" => {
            "the page's origin is not among those of the project; `tallymark project set SLUG --origins …`"
        }
        "secret_key_in_browser" => {
            "a page uses a secret key; give it the write key, and revoke this one"
        }
        "scope_missing" => "the key may not do this; make one with the scope that is needed",
        "rate_limited" => "a key sends faster than `ingest_rate_per_s`",
        "busy" => "more comes than is worked on; see `ingest_concurrency` and `queue_bytes`",
        "disk_full" | "not_stored" => "the disk is full or cannot be written",
        "in_future" | "too_old" => {
            "clocks of senders are wrong, or events waited for longer than 30 days"
        }
        "person_erased" => "somebody who was erased is still sent by a server",
        "raw_id_refused" | "user_invalid" | "device_invalid" => {
            "a page sends ids that are not hashed; use the SDK"
        }
        "nobody_known" => "a server names neither user_id nor device_id",
        "event_name_invalid" | "event_unreadable" | "props_invalid" | "event_too_large"
        | "event_id_invalid" => "GET /v1/quarantine shows these events and what is wrong with them",
        _ => return None,
    })
}

/// Codes of a family with their counts, the largest first.
fn codes(metrics: &Value, family: &str) -> Vec<(String, f64)> {
    let begin = format!("{family}{{code=\"");
    let all = metrics.as_object().into_iter().flatten();
    let mut codes: Vec<(String, f64)> = all
        .filter_map(|(name, count)| {
            let code = name.strip_prefix(&begin)?.strip_suffix("\"}")?;
            Some((code.to_owned(), count.as_f64().filter(|count| *count > 0.0)?))
        })
        .collect();
    codes.sort_by(|a, b| b.1.total_cmp(&a.1));
    codes
}

/// Metrics by their names without the prefix.
fn without(begin: &str, metrics: Value) -> Value {
    let Value::Object(metrics) = metrics else { return Value::Null };
    let ours = metrics.into_iter();
    ours.filter_map(|(name, value)| Some((name.strip_prefix(begin)?.to_owned(), value))).collect()
}

fn number(metrics: &Value, name: &str) -> Option<f64> {
    metrics[name].as_f64()
}

/// Send an error report as a page would, with its contexts, and say what became of it.
pub fn send(listen: SocketAddr, write_key: &str, now_ms: i64) -> Finding {
    let address = reachable(listen);
    let mut random = [0u8; 10];
    if let Err(error) = getrandom::fill(&mut random) {
        return Finding::wrong("error report", format!("the system gives no randomness: {error}"));
    }
    let id = uuid7::format(uuid7::make(u64::try_from(now_ms).unwrap_or(0), random));
    let props = json!({ "error_name": "TallymarkDoctor", "message": "A report to try the way in.", "level": "info",
        "handled": true, "occurrences": 1, "component": "doctor", "source": "cli", "business_event": "doctor.tried" });
    let event = json!({ "id": id, "name": "$error", "at": now_ms, "props": props });
    let body = json!({ "key": write_key, "nonce": "doctor", "sent_at": now_ms, "events": [event] })
        .to_string();
    match ask(address, "POST", "/v1/batch", &body) {
        Ok((200, receipt)) => match serde_json::from_str::<Value>(&receipt) {
            Ok(receipt) if receipt["ok"] == 1 => Finding::ok(
                "error report",
                format!(
                    "stored with its context as event {id}; `GET /v1/events?event=$error` shows it"
                ),
            ),
            Ok(receipt) => Finding::wrong(
                "error report",
                format!("refused: {}", receipt["rejected"][0]["code"]),
            ),
            Err(error) => {
                Finding::wrong("error report", format!("an answer that is no receipt: {error}"))
            }
        },
        Ok((status, body)) => {
            let problem = serde_json::from_str(&body).unwrap_or(Value::Null);
            let detail = problem["detail"].as_str().unwrap_or("no reason given");
            Finding::wrong("error report", format!("answered {status}: {detail}"))
        }
        Err(error) => {
            Finding::wrong("error report", format!("http://{address} cannot be asked: {error}"))
        }
    }
}

/// An address that listens for all is asked on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One request; its status and body.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.take(16 << 20).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::app::App;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::folder::Folder;
    use crate::front::Front;
    use crate::meta::audit::Deed;
    use crate::meta::organisations::MAIN;
    use crate::meta::projects::NewProject;
    use crate::{admin, server};
    use rstest::rstest;

    fn said(findings: &[Finding]) -> Vec<(&'static str, Verdict, &str)> {
        findings.iter().map(|one| (one.check, one.verdict, one.detail.as_str())).collect()
    }

    /// Shows S4-73, S4-74 and S4-75: a real server on a port.
    #[rstest]
    #[case::as_usual("tallymark")]
    #[case::another("acme")]
    #[case::none("")]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_running_server_is_asked_for_its_metrics_and_tried_with_a_report(
        #[case] prefix: &'static str,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.set("metrics_prefix", prefix).unwrap();
        let limits = server::Limits::from(&config);
        let app =
            App::open(Folder::at(dir.path().join("data")), config, Clock::System).await.unwrap();
        let new = NewProject {
            organisation: MAIN,
            name: "Shop".into(),
            slug: "shop".into(),
            tz: "UTC".into(),
        };
        let now_ms = app.clock.now_ms();
        let deed = Deed { actor: "test", action: "create", note: "", at_ms: now_ms };
        let made = admin::projects::create(&app.meta, &app.pepper, &new, deed).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let serving = server::serve(
            listener,
            None,
            Front::new(app.clone()),
            limits,
            app.telemetry.clone(),
            stopped,
        );
        let serving = tokio::spawn(serving);
        let key = made.write_key.reveal().to_owned();

        let work = tokio::task::spawn_blocking(move || {
            let before = check(address, prefix, now_ms);
            let wrong_key = send(address, "tm_pk_live_nonsense", now_ms);
            let sent = send(address, &key, now_ms);
            let after = check(address, prefix, now_ms);
            let alone = check(SocketAddr::from(([127, 0, 0, 1], 1)), prefix, now_ms);
            (before, wrong_key, sent, after, alone)
        });
        let (before, wrong_key, sent, after, alone) = work.await.unwrap();
        let before = said(&before);
        assert_eq!(
            (before[0].0, before[0].1, before[1].1),
            ("metrics", Verdict::Warning, Verdict::Warning)
        );
        assert!(
            before[0].2.contains("nobody has read it") && before[1].2.contains("--send"),
            "{before:?}"
        );
        assert_eq!(wrong_key.verdict, Verdict::Wrong, "{wrong_key:?}");
        assert_eq!(sent.verdict, Verdict::Ok, "{sent:?}");
        let after = said(&after);
        assert_eq!((after[0].1, after[1].1), (Verdict::Ok, Verdict::Ok), "{after:?}");
        assert!(after.iter().any(|(.., detail)| detail.contains("key_malformed")), "{after:?}");
        assert_eq!(said(&alone)[0].1, Verdict::Wrong);
        drop(stop);
        serving.await.unwrap();
    }

    #[test]
    fn what_stops_events_is_named_with_what_to_do() {
        let now_s = 1_800_000_000.0;
        let metrics = json!({
            "metrics_collections_total": 9.0,
            "events_accepted_total": 5.0,
            "last_event_timestamp_seconds": now_s - 1_260.0,
            "store_read_only": 1.0,
            "problems_total{code=\"origin_refused\"}": 3.0,
            "problems_total{code=\"not_found\"}": 70.0,
            "events_refused_total{code=\"too_old\"}": 2.0,
        });
        let findings = of_events(&metrics, (now_s * 1e3) as i64);
        let said: Vec<&str> = findings.iter().map(|one| one.detail.as_str()).collect();
        assert!(said[0].contains("21 minutes ago"), "{said:?}");
        assert!(said[1].contains("disk"), "{said:?}");
        assert!(said[2].contains("too_old") && said[3].contains("--origins"), "{said:?}");
        assert_eq!(said.len(), 4, "what does not keep events out is not named: {said:?}");
    }
}
