//! `tallymark monitoring …`: the scrape, the alert rules and Grafana's dashboard, with the names that metrics have here.
//!
//! The files are those of `deploy/`, which name metrics as they are called by default; the setting `metrics_prefix` calls them
//! something else.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::config::Config;

/// Which file to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MonitoringFile {
    /// Prometheus: what to scrape.
    Scrape,
    /// Prometheus: what somebody should look at.
    Alerts,
    /// Grafana: a dashboard.
    Grafana,
}

/// What the names of metrics begin with by default, as in the files.
const DEFAULT: &str = "tallymark_";

/// How a metric is called under a prefix.
pub fn begin(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!("{prefix}_") }
}

fn text(file: MonitoringFile, prefix: &str) -> String {
    let text = match file {
        MonitoringFile::Scrape => include_str!("../../../deploy/prometheus/prometheus.yml"),
        MonitoringFile::Alerts => include_str!("../../../deploy/prometheus/alerts.yml"),
        MonitoringFile::Grafana => include_str!("../../../deploy/grafana/tallymark.json"),
    };
    text.replace(DEFAULT, &begin(prefix))
}

/// Print a file.
pub fn print(file: MonitoringFile, config: &Config) -> ExitCode {
    print!("{}", text(file, &config.metrics_prefix.0));
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_it_is("tallymark", "time() - tallymark_last_event_timestamp_seconds > 600")]
    #[case::another("acme", "time() - acme_last_event_timestamp_seconds > 600")]
    #[case::none("", "time() - last_event_timestamp_seconds > 600")]
    fn alerts_name_metrics_as_they_are_called_here(#[case] prefix: &str, #[case] want: &str) {
        let alerts = text(MonitoringFile::Alerts, prefix);
        assert!(alerts.contains(&format!("expr: {want}\n")), "{alerts}");
        assert_eq!(alerts.contains("tallymark_"), prefix == "tallymark");
        let grafana = text(MonitoringFile::Grafana, prefix);
        assert_eq!(grafana.contains("tallymark_"), prefix == "tallymark");
        serde_json::from_str::<serde_json::Value>(&grafana).unwrap();
        // The job and the names of alerts are ours, whatever metrics are called.
        assert!(alerts.contains("job=\"tallymark\"") && alerts.contains("alert: TallymarkDown"));
    }
}
