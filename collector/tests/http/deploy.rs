//! What is shipped to run a collector: every metric, setting and route that it names is there. Proxies and Prometheus
//! read it in the end-to-end tests (`deploy`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tallymark::access::rules::RULES;
use tallymark::config::SETTINGS;

use super::*;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Words of a text that begin so, made of letters, digits and underscores.
fn words<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with(begin)).collect()
}

/// Where a program is, if it is installed.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Every series that a collector shows which has met something of everything.
async fn series() -> BTreeSet<String> {
    let service = service().await;
    service
        .batch(json!([
            event(1),
            with(event(2), "name", ""),
            with(event(3), "props", json!({ "to": "ann@example.org" }))
        ]))
        .await;
    service.count("opened").await;
    service.get("/nothing", None).await;
    let text = String::from_utf8(service.get("/metrics", None).await.bytes).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned))
        .collect()
}

/// The expressions of the dashboard.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("grafana/tallymark.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "every panel has a number of its own");
    let mut places = BTreeSet::new();
    for panel in panels {
        assert!(!panel["title"].as_str().unwrap().is_empty());
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        let place = &panel["gridPos"];
        assert!(places.insert((place["x"].as_u64(), place["y"].as_u64())), "{panel}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Shows S3-27.
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_name_only_metrics_that_there_are() {
    let series = series().await;
    let alerts = read("prometheus/alerts.yml");
    let named = [dashboard().join("\n"), alerts];
    let named: BTreeSet<&str> = named.iter().flat_map(|text| words(text, "tallymark_")).collect();
    assert!(named.len() > 15, "{named:?}");
    let unknown: Vec<_> = named.iter().filter(|name| !series.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {series:?}");
}

/// Shows S4-76: its three figures of the monitoring itself, and the alert.
#[tokio::test(flavor = "multi_thread")]
async fn the_monitoring_says_of_itself_that_it_works() {
    let service = service().await;
    let figures = async || {
        let all = service.get("/metrics?format=json", None).await.json();
        [
            "metrics_collections_total",
            "error_reports_total",
            "events_accepted_total",
            "last_event_timestamp_seconds",
        ]
        .map(|name| all[format!("tallymark_{name}")].as_f64().unwrap())
    };
    assert_eq!(figures().await, [1.0, 0.0, 0.0, (NOW / 1000) as f64]);
    service.app.clock.advance(600_000);
    let errors = with(event(1), "name", "$error");
    let receipt = service.batch(json!([errors, event(2)])).await.json();
    assert_eq!(receipt["ok"], 2, "{receipt}");
    assert_eq!(figures().await, [2.0, 1.0, 2.0, (NOW / 1000 + 600) as f64]);
    // A resend is no sign of life.
    service.app.clock.advance(600_000);
    service.batch(json!([event(2)])).await;
    assert_eq!(figures().await, [3.0, 1.0, 2.0, (NOW / 1000 + 600) as f64]);
    let alerts = read("prometheus/alerts.yml");
    assert!(alerts.contains("expr: time() - tallymark_last_event_timestamp_seconds > 600\n"));
}

/// Shows S4-34.
#[test]
fn the_sample_of_a_scrape_can_be_used_as_it_is() {
    let scrape = read("prometheus/prometheus.yml");
    for line in [
        "  scrape_interval: 30s\n",
        "  scrape_timeout: 10s\n",
        "  - alerts.yml\n",
        "metrics_path: /metrics\n",
    ] {
        assert!(scrape.contains(line), "{line}");
    }
    assert!(SETTINGS.iter().any(|setting| scrape.contains(setting.default)), "the usual port");
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts = read("prometheus/alerts.yml");
    let alerts: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 9);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["expr: ", "severity: ", "summary: ", "action: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let brackets =
            |open: char, close: char| alert.matches(open).count() == alert.matches(close).count();
        assert!(brackets('(', ')') && brackets('[', ']') && brackets('{', '}'), "{name}");
    }
}

#[test]
fn files_for_running_it_name_only_settings_and_routes_that_there_are() {
    let settings: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.env_name()).collect();
    for file in ["tallymark.service", "Caddyfile", "nginx.conf", "container/Containerfile"] {
        let text = read(file);
        for name in words(&text, "TALLYMARK_").into_iter().filter(|name| *name != "TALLYMARK_") {
            let known = settings.contains(name) || name == "TALLYMARK_DATA";
            assert!(known, "{file}: there is no setting {name}");
        }
    }
    for file in ["Caddyfile", "nginx.conf"] {
        let text = read(file);
        for key in ["public_url", "trusted_proxies"] {
            assert!(
                text.contains(&format!("#   {key} = \""))
                    && settings.contains(&format!("TALLYMARK_{}", key.to_uppercase()))
            );
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{file}");
        // What pages need, and nothing else, is below the path of their own site.
        for route in ["/v1/batch", "/v1/flags/", "/sdk/"] {
            assert!(text.contains(route), "{file} {route}");
            assert!(RULES.iter().any(|rule| rule.path.starts_with(route)), "{route}");
        }
    }
    let container = read("container/Containerfile");
    let steps: Vec<&str> = container.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        !steps.contains(&"RUN") && !steps.contains(&"ADD"),
        "nothing runs and nothing is downloaded"
    );
}

#[test]
fn systemd_takes_the_unit() {
    let Some(analyze) = find("systemd-analyze") else {
        println!("systemd-analyze is not installed: the unit is not checked");
        return;
    };
    // The only thing of the unit that is not on this machine is the binary.
    let folder = tempfile::tempdir().unwrap();
    let here = std::env::current_exe().unwrap();
    let unit =
        read("tallymark.service").replace("/usr/local/bin/tallymark", here.to_str().unwrap());
    let file = folder.path().join("tallymark.service");
    std::fs::write(&file, unit).unwrap();
    let checked = Command::new(analyze).args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    let about_us: Vec<&str> =
        said.lines().filter(|line| line.contains("tallymark.service")).collect();
    assert!(about_us.is_empty(), "{said}");
}

#[test]
fn the_root_of_an_image_has_all_that_the_binary_needs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rootfs");
    let binary = env!("CARGO_BIN_EXE_tallymark");
    let made =
        Command::new(deploy().join("container/rootfs")).arg(binary).arg(&root).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Its own loader, with these libraries only, finds everything.
    let listed = Command::new("ldd").arg(binary).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let needed = listed.split_whitespace().filter(|word| word.starts_with('/'));
    let mut count = 0;
    for library in needed {
        assert!(root.join(library.trim_start_matches('/')).is_file(), "{library}");
        count += 1;
    }
    assert!(count > 2, "{listed}");
    match Command::new("chroot").arg(&root).args(["/usr/local/bin/tallymark", "--version"]).output()
    {
        Ok(said) if said.status.success() => {
            assert!(String::from_utf8_lossy(&said.stdout).starts_with("tallymark "));
        }
        // Only root may try it.
        said => println!("not run in the folder: {said:?}"),
    }
}
