//! The figures as Markdown, for `bench/RESULTS.md`.

use super::ours::{First, Ours};
use super::questions::Question;
use super::{Measured, Peer};

/// All tables: questions and cost by size, then how time grows with the events.
pub(super) fn tables(all: &[Measured]) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in all {
        lines.extend(if measured.peers.is_empty() { alone(measured) } else { of_size(measured) });
        lines.extend(cost(measured));
    }
    if all.len() > 1 {
        lines.extend(growth(all));
    }
    lines
}

/// `1 M`, `300 M`, or the number as it is.
pub(super) fn count(events: u64) -> String {
    match events {
        n if n > 0 && n % 1_000_000 == 0 => format!("{} M", n / 1_000_000),
        n => n.to_string(),
    }
}

fn of_size(measured: &Measured) -> Vec<String> {
    let Measured { events, questions, ours, ours_loaded, peers } = measured;
    let mut lines = vec![
        format!("\n### {} events\n", count(*events)),
        "Their time divided by ours: above 1 we are faster, **below 1 they are**. Seconds are the best; \
         *first* is ours after a restart, where it was asked before it, and in brackets which part that is of a bar: \
         twice ours, and once what it takes only to read the bytes that the first one read; **above 1 it took longer**; \
         *from the disk* is the same with nothing in the page cache, *never asked* where it is a new question as well. \
         Questions in italics follow what each person does."
            .to_owned(),
        String::new(),
        "| question | ClickHouse | DuckDB | ours | first | from the disk | never asked | ClickHouse, order | DuckDB |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for (at, question) in questions.iter().enumerate() {
        let mine = ours.warm[at];
        let (clickhouse, order) = clickhouse(peers, |peer| peer.seconds[at]);
        let duckdb = duckdb(peers).map_or(f64::NAN, |peer| peer.seconds[at]);
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {}, {order} | {} |",
            title(question),
            times(clickhouse / mine),
            times(duckdb / mine),
            seconds(mine),
            firsts(ours, at),
            seconds(clickhouse),
            seconds(duckdb),
        ));
    }
    let (load, order) = clickhouse(peers, |peer| peer.load);
    let duck_load = duckdb(peers).map_or(f64::NAN, |peer| peer.load);
    lines.push(format!(
        "| load | {} | {} | {} | | | | {}, {order} | {} |",
        times(load / ours_loaded.seconds),
        times(duck_load / ours_loaded.seconds),
        seconds(ours_loaded.seconds),
        seconds(load),
        seconds(duck_load),
    ));
    lines
}

/// What a first question took, and which part that is of twice a warm one and the reading.
fn first(of: &First, warm: f64) -> String {
    let part = of.seconds / (2.0 * warm + of.reading);
    let mark = if part > 1.0 { "**" } else { "" };
    format!("{} ({mark}{part:.2}{mark})", seconds(of.seconds))
}

/// All first ones of a question.
fn firsts(ours: &Ours, at: usize) -> String {
    let all = [&ours.first, &ours.from_disk, &ours.unasked];
    all.map(|of| first(&of[at], ours.warm[at])).join(" | ")
}

/// The title, in italics where the question follows what each person does.
fn title(question: &Question) -> String {
    if question.follows_persons { format!("*{}*", question.title) } else { question.title.into() }
}

/// Our times, where nobody else was asked.
fn alone(measured: &Measured) -> Vec<String> {
    let Measured { events, questions, ours, .. } = measured;
    let mut lines = vec![
        format!("\n### {} events, ours alone\n", count(*events)),
        "| question | seconds | first | from the disk | never asked |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (at, question) in questions.iter().enumerate() {
        let warm = seconds(ours.warm[at]);
        lines.push(format!("| {} | {warm} | {} |", question.title, firsts(ours, at)));
    }
    lines
}

/// Disk and memory.
fn cost(measured: &Measured) -> Vec<String> {
    let Measured { events, questions, ours, ours_loaded, peers } = measured;
    let each = |bytes: u64| format!("{:.1}", bytes as f64 / *events as f64);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let (clickhouse, order) = clickhouse(peers, |peer| peer.bytes as f64);
    let (most, worst) = ours
        .adds
        .iter()
        .zip(questions)
        .max_by_key(|(adds, _)| **adds)
        .map_or((0, ""), |(adds, question)| (*adds, question.title));
    let mut disk = format!("Bytes an event on disk: ours {}", each(ours_loaded.bytes));
    if ours_loaded.id_bytes > 0 {
        disk += &format!(
            " ({} when the ids of events are dropped)",
            each(ours_loaded.bytes - ours_loaded.id_bytes)
        );
    }
    if !peers.is_empty() {
        disk += &format!(
            ", ClickHouse {} ({order}), DuckDB {}",
            each(clickhouse as u64),
            each(duckdb(peers).map_or(0, |peer| peer.bytes)),
        );
    }
    disk += ".";
    vec![
        String::new(),
        disk,
        format!(
            "Import: {:.0} events/s end to end. A start reads {} within {:.1} s by itself, then the first \
             questions were asked. Memory: {} after all questions; a question adds {} at most ({worst}).",
            *events as f64 / ours_loaded.seconds,
            mib(ours.resting),
            ours.settling,
            mib(ours.caches_warm),
            mib(most),
        ),
    ]
}

/// Nanoseconds an event by question and size: what does not rise grows no faster than the events.
fn growth(all: &[Measured]) -> Vec<String> {
    let sizes: Vec<_> = all.iter().map(|measured| count(measured.events)).collect();
    let mut lines = vec![
        "\n### Growth\n".to_owned(),
        "Nanoseconds of ours an event, warm: what does not rise from left to right grows no faster \
         than the events."
            .to_owned(),
        String::new(),
        format!("| question | {} |", sizes.join(" | ")),
        format!("|---|{}", "---|".repeat(sizes.len())),
    ];
    for (at, question) in all[0].questions.iter().enumerate() {
        let cells = all.iter().map(|measured| {
            format!("{:.2}", measured.ours.warm[at] * 1e9 / measured.events as f64)
        });
        lines.push(format!("| {} | {} |", question.title, cells.collect::<Vec<_>>().join(" | ")));
    }
    lines
}

/// The better of ClickHouse's two orders, and its name.
fn clickhouse(peers: &[Peer], figure: impl Fn(&Peer) -> f64) -> (f64, &'static str) {
    let orders = peers
        .iter()
        .filter_map(|peer| Some((figure(peer), peer.name.strip_prefix("clickhouse-")?)));
    orders.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, "none"))
}

fn duckdb(peers: &[Peer]) -> Option<&Peer> {
    peers.iter().find(|peer| peer.name == "duckdb")
}

/// A ratio, bold where we lose.
fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 0.995 => format!("**{ratio:.2}**"),
        ratio if ratio < 10.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.0}"),
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{s:.4}"),
        s if s < 9.95 => format!("{s:.2}"),
        s => format!("{s:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_defeats_are_bold() {
        assert_eq!([0.0023, 0.35, 155.2].map(seconds), ["0.0023", "0.35", "155"]);
        assert_eq!([0.5, 1.0, 8.25, 41.0].map(times), ["**0.50**", "1.0", "8.2", "41"]);
        assert_eq!([1_000_000, 300_000_000, 1_500].map(count), ["1 M", "300 M", "1500"]);
    }
}
