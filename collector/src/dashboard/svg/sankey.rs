//! Flows between columns of nodes: where people go, step by step. Every node can be a link.
//!
//! In: flows from a node of one column to a node of the next. Out: one drawing. Widths are in percent and heights in
//! pixels, as in all drawings; the ribbons lie in a stretched drawing of their own, the names are text over them.

use std::collections::BTreeMap;

use super::super::markup::{Markup, Num, Pct, Writer};

/// A flow out of column `column` into the next one.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The column it leaves, from 0.
    pub column: usize,
    /// The node it leaves.
    pub from: String,
    /// The node it enters.
    pub to: String,
    /// How much flows.
    pub size: f64,
}

/// A node, placed.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    name: String,
    size: f64,
    y: f64,
    height: f64,
}

const HEIGHT: f64 = 420.0;
/// Between nodes.
const GAP: f64 = 26.0;
/// Above the first node: its name stands there.
const TOP: f64 = 18.0;
/// Width of a node in thousandths.
const NODE: f64 = 10.0;

/// Draw flows. `href` gives the address of a node by its name, `note` what is said of a size.
pub fn draw(
    title: &str,
    flows: &[Flow],
    href: impl Fn(&str) -> String,
    note: impl Fn(f64) -> String,
) -> Markup {
    let columns = place(flows);
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"sankey"),
            ("role", &"group"),
            ("aria-label", &title),
            ("width", &"100%"),
            ("height", &Num(HEIGHT)),
        ],
    );
    ribbons(&mut w, flows, &columns, &note);
    for (index, column) in columns.iter().enumerate() {
        let x = left(index, columns.len());
        let last = index + 1 == columns.len();
        for node in column {
            w.open("a", &[("href", &href(&node.name)), ("class", &"node")]);
            w.element("title", &[], format!("{}: {}", node.name, note(node.size)));
            w.empty(
                "rect",
                &[
                    ("x", &Pct(x / 10.0)),
                    ("width", &Pct(NODE / 10.0)),
                    ("y", &Num(node.y)),
                    ("height", &Num(node.height)),
                    ("rx", &"2"),
                ],
            );
            let (at, anchor) = if last { (x + NODE, "end") } else { (x, "start") };
            w.element(
                "text",
                &[("x", &Pct(at / 10.0)), ("y", &Num(node.y - 5.0)), ("text-anchor", &anchor)],
                format!("{} {}", short(&node.name, columns.len(), index), note(node.size)),
            );
            w.close();
        }
    }
    w.close();
    w.finish()
}

/// Where a column stands, in thousandths.
fn left(index: usize, columns: usize) -> f64 {
    (1000.0 - NODE) * index as f64 / (columns.max(2) - 1) as f64
}

/// A name that fits between columns. Those of the last column go to the left and share their room with the
/// names before them.
fn short(name: &str, columns: usize, index: usize) -> String {
    let room = match columns {
        0..=3 => 22,
        4 => 15,
        _ => 10,
    };
    let room = if columns > 2 && index + 2 >= columns { room * 2 / 3 } else { room };
    match name.chars().count() {
        count if count <= room => name.to_owned(),
        _ => name.chars().take(room - 1).chain(['…']).collect(),
    }
}

/// The nodes of every column, largest first, in their places.
fn place(flows: &[Flow]) -> Vec<Vec<Node>> {
    let count = flows.iter().map(|flow| flow.column + 2).max().unwrap_or(0);
    let mut sizes: Vec<BTreeMap<&str, (f64, f64)>> = vec![BTreeMap::new(); count];
    for flow in flows {
        sizes[flow.column].entry(&flow.from).or_default().0 += flow.size;
        sizes[flow.column + 1].entry(&flow.to).or_default().1 += flow.size;
    }
    // A node is as large as the larger of what enters and what leaves it.
    let nodes = |column: &BTreeMap<&str, (f64, f64)>| {
        let mut nodes: Vec<Node> = column
            .iter()
            .map(|(name, (out, into))| Node {
                name: (*name).to_owned(),
                size: out.max(*into),
                y: 0.0,
                height: 0.0,
            })
            .collect();
        nodes.sort_by(|a, b| b.size.total_cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        nodes
    };
    let mut columns: Vec<Vec<Node>> = sizes.iter().map(nodes).collect();
    let scale = |column: &Vec<Node>| {
        let room = HEIGHT - TOP - GAP * column.len().saturating_sub(1) as f64;
        room.max(40.0) / column.iter().map(|node| node.size).sum::<f64>().max(f64::MIN_POSITIVE)
    };
    let unit = columns.iter().map(scale).fold(f64::INFINITY, f64::min);
    for column in &mut columns {
        let mut y = TOP;
        for node in column {
            (node.y, node.height) = (y, (node.size * unit).max(2.0));
            y += node.height + GAP;
        }
    }
    columns
}

fn ribbons(w: &mut Writer, flows: &[Flow], columns: &[Vec<Node>], note: &impl Fn(f64) -> String) {
    let view = format!("0 0 1000 {}", Num(HEIGHT));
    w.open(
        "svg",
        &[
            ("viewBox", &view),
            ("preserveAspectRatio", &"none"),
            ("width", &"100%"),
            ("height", &Num(HEIGHT)),
            ("aria-hidden", &"true"),
        ],
    );
    let mut filled: BTreeMap<(usize, &str, bool), f64> = BTreeMap::new();
    let mut sorted: Vec<&Flow> = flows.iter().collect();
    sorted.sort_by(|a, b| b.size.total_cmp(&a.size));
    for flow in sorted {
        let find =
            |column: usize, name: &str| columns[column].iter().find(|node| node.name == name);
        let (Some(from), Some(to)) =
            (find(flow.column, &flow.from), find(flow.column + 1, &flow.to))
        else {
            continue;
        };
        let height = flow.size / from.size * from.height;
        let mut slot = |column: usize, node: &Node, leaves: bool| {
            let name = if leaves { flow.from.as_str() } else { flow.to.as_str() };
            let used = filled.entry((column, name, leaves)).or_default();
            let y = node.y + *used;
            *used += height;
            y
        };
        let (y1, y2) = (slot(flow.column, from, true), slot(flow.column + 1, to, false));
        let (x1, x2) =
            (left(flow.column, columns.len()) + NODE, left(flow.column + 1, columns.len()));
        let middle = f64::midpoint(x1, x2);
        let d = format!(
            "M{x1} {a}C{m} {a} {m} {b} {x2} {b}V{c}C{m} {c} {m} {e} {x1} {e}Z",
            x1 = Num(x1),
            x2 = Num(x2),
            m = Num(middle),
            a = Num(y1),
            b = Num(y2),
            c = Num(y2 + height),
            e = Num(y1 + height)
        );
        w.open("path", &[("class", &"ribbon"), ("d", &d)]);
        w.element("title", &[], format!("{} → {}: {}", flow.from, flow.to, note(flow.size)));
        w.close();
    }
    w.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(column: usize, from: &str, to: &str, size: f64) -> Flow {
        Flow { column, from: from.into(), to: to.into(), size }
    }

    #[test]
    fn nodes_are_as_large_as_what_flows_and_never_overlap() {
        let columns =
            place(&[flow(0, "/", "/a", 60.0), flow(0, "/", "/b", 40.0), flow(1, "/a", "/c", 10.0)]);
        assert_eq!(columns.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
        let [a, b] = &columns[1][..] else { panic!() };
        assert_eq!((&*a.name, a.size, b.size), ("/a", 60.0, 40.0));
        assert!(a.y + a.height + GAP <= b.y + 1e-9 && b.y + b.height <= HEIGHT + 1e-9);
    }

    #[test]
    fn a_hostile_name_stays_a_name_and_nothing_is_nothing() {
        let evil = "\"><script>";
        let svg =
            draw("x", &[flow(0, evil, "b", 1.0)], |name| format!("?at={name}"), |n| n.to_string())
                .to_string();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"), "{svg}");
        assert!(
            draw("x", &[], |_| String::new(), |n| n.to_string()).to_string().starts_with("<svg")
        );
    }
}
