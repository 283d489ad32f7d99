//! One row group being gathered from columns of other places.
//!
//! In: rows of several [`Columns`], named by source and row, in their new order. Out: one
//! [`Columns`], with the properties that [`Info`] promotes as columns.
//!
//! Fixed columns and properties that have the same column on both sides are copied column by column.
//! Only rows with a JSON rest, or with a property that has no column here, are looked at one by one.

use super::info::{Group, Info, PromotedKind};
use crate::columns::{Coded, CodedBuilder, Columns, PropertyColumn, Values};
use crate::names::Names;
use crate::props::{self, Entry, ValueType};
use crate::row::Dim;
use crate::schema::TypeCounts;

/// The rows of one row group, as columns.
pub(crate) struct GroupBuilder {
    columns: Columns,
    event: CodedBuilder,
    dims: Vec<CodedBuilder>,
    promoted: Vec<Builder>,
}

enum Builder {
    Texts(CodedBuilder),
    Numbers(Vec<f64>),
    Bools(Vec<u8>),
}

/// A property of a source whose values go into the rest here.
struct Homeless<'a> {
    raw_key: String,
    values: &'a Values,
}

/// What is known of a key in rests, so that it is found out once for many rows.
struct Key {
    name: Box<str>,
    column: Option<usize>,
    /// Whether the key is written as we would write it.
    is_plain: bool,
    counts: TypeCounts,
}

/// Keys of rests as they are written, and how often each was there.
struct Keys {
    numbers: Names,
    list: Vec<Key>,
    /// The key found last, when there are too many to keep.
    other: Option<Key>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { numbers: Names::new(Info::LIST_MAX), list: Vec::new(), other: None }
    }
}

impl Keys {
    /// Find the key of an entry, and count the entry.
    fn find(&mut self, entry: &Entry<'_>, info: &mut Info) -> &Key {
        let counts = TypeCounts::one(entry.value_type());
        let new = |info: &Info| {
            let name = entry.key();
            let is_plain = is_quoted_form(&name, entry.raw_key);
            Key { column: info.column(&name), name: name.into(), is_plain, counts }
        };
        match self.numbers.number(entry.raw_key) {
            Some(number) if number < self.list.len() => {
                let key = &mut self.list[number];
                key.counts.add(&counts);
                key
            }
            Some(_) => self.list.push_mut(new(info)),
            None => {
                let key = self.other.insert(new(info));
                info.count_key(&key.name, counts);
                key
            }
        }
    }
}

impl GroupBuilder {
    pub(crate) fn new(info: &Info) -> Self {
        let promoted = info.promoted.iter().map(|promoted| match promoted.kind {
            PromotedKind::Text => Builder::Texts(CodedBuilder::default()),
            PromotedKind::Number => Builder::Numbers(Vec::new()),
            PromotedKind::Bool => Builder::Bools(Vec::new()),
        });
        Self {
            columns: Columns::default(),
            event: CodedBuilder::default(),
            dims: Dim::ALL.iter().map(|_| CodedBuilder::default()).collect(),
            promoted: promoted.collect(),
        }
    }

    /// The columns that are copied as they are.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(super) fn rows(&self) -> usize {
        self.columns.len()
    }

    /// Add rows, in order.
    pub(crate) fn gather(&mut self, order: &[(u32, u32)], sources: &[&Columns], info: &mut Info) {
        macro_rules! copy {
            ($($column:ident),*) => { $(
                let from: Vec<_> = sources.iter().map(|source| &source.$column[..]).collect();
                let rows = order.iter().map(|&(from_source, row)| {
                    from[from_source as usize][row as usize]
                });
                self.columns.$column.extend(rows);
            )* }
        }
        let before = self.rows();
        // Numbers that most rows do not have: without any there is no column.
        macro_rules! copy_if_any {
            ($($column:ident),*) => { $(
                let from: Vec<&[u64]> = sources.iter().map(|source| &source.$column[..]).collect();
                if !self.columns.$column.is_empty() || from.iter().any(|some| !some.is_empty()) {
                    self.columns.$column.resize(before, 0);
                    copy(order, from, &mut self.columns.$column, 0, |number| *number != 0);
                }
            )* }
        }
        copy!(project, person, actor, ts, seq, event_id, received, claimed, flags, session);
        copy_if_any!(origin, writer);
        let events: Vec<&Coded> = sources.iter().map(|source| &source.event).collect();
        self.event.gather(order, &events);
        let none = Coded::default();
        for (at, dim) in self.dims.iter_mut().enumerate() {
            let dims: Vec<&Coded> =
                sources.iter().map(|source| source.dims.get(at).unwrap_or(&none)).collect();
            dim.gather(order, &dims);
        }
        self.gather_promoted(order, sources, info);
        self.gather_rest(before, order, sources, info);
    }

    /// Properties with a column of the same type on both sides.
    fn gather_promoted(&mut self, order: &[(u32, u32)], sources: &[&Columns], info: &mut Info) {
        for (at, builder) in self.promoted.iter_mut().enumerate() {
            let key = info.promoted[at].key.clone();
            let columns: Vec<Option<&Values>> =
                sources.iter().map(|source| source.property(&key)).collect();
            let counts = builder.gather(order, &columns);
            if counts.total() > 0 {
                info.count_key(&key, counts);
            }
        }
    }

    /// Values that have another column here, or none, and the rest of every row.
    fn gather_rest(
        &mut self,
        before: usize,
        order: &[(u32, u32)],
        sources: &[&Columns],
        info: &mut Info,
    ) {
        let homeless: Vec<Vec<Homeless<'_>>> =
            sources.iter().map(|source| self.homeless(source, info)).collect();
        let mut both = homeless.iter().zip(sources);
        if both.all(|(homeless, source)| homeless.is_empty() && source.rest.is_empty()) {
            return;
        }
        let (mut rest, mut value) = (String::new(), String::new());
        let mut keys = Keys::default();
        for (at, &(from, row)) in (before..).zip(order) {
            let (source, row) = (sources[from as usize], row as usize);
            rest.clear();
            for Homeless { raw_key, values } in &homeless[from as usize] {
                if values.has(row) {
                    value.clear();
                    values.push_json(row, &mut value);
                    let entry = Entry { raw_key, raw_value: &value };
                    self.push_entry(entry, at, &mut rest, &mut keys, info);
                }
            }
            let text = source.rest.get(row);
            match props::entries(text) {
                Some(entries) => {
                    entries.for_each(|entry| {
                        self.push_entry(entry, at, &mut rest, &mut keys, info);
                    });
                }
                // Not an object; kept as it is, and nothing has a column.
                None if !text.is_empty() => {
                    self.columns.rest.set(at, |out| out.push_str(text));
                    continue;
                }
                None => {}
            }
            if !rest.is_empty() {
                rest.push('}');
                self.columns.rest.set(at, |out| out.push_str(&rest));
            }
        }
        keys.list.iter().for_each(|key| info.count_key(&key.name, key.counts));
    }

    /// The columns of a source that have no column of the same type here.
    fn homeless<'a>(&self, source: &'a Columns, info: &Info) -> Vec<Homeless<'a>> {
        let is_homeless = |column: &&PropertyColumn| {
            info.column(&column.key).is_none_or(|at| !self.promoted[at].takes(&column.values))
        };
        let quoted = |column: &'a PropertyColumn| {
            let mut raw_key = String::new();
            props::quote(&column.key, &mut raw_key);
            Homeless { raw_key, values: &column.values }
        };
        source.properties.iter().filter(is_homeless).map(quoted).collect()
    }

    fn push_entry(
        &mut self,
        entry: Entry<'_>,
        at: usize,
        rest: &mut String,
        keys: &mut Keys,
        info: &mut Info,
    ) {
        let key = keys.find(&entry, info);
        if let Some(column) = key.column {
            // A key that may be in the rest already stays there: the last one counts.
            let is_repeated = rest.contains(entry.raw_key);
            if !is_repeated && key.is_plain && self.promoted[column].take(at, &entry) {
                return;
            }
            info.promoted[column].misfits += 1;
        }
        rest.push(if rest.is_empty() { '{' } else { ',' });
        rest.push_str(entry.raw_key);
        rest.push(':');
        rest.push_str(entry.raw_value);
    }

    pub(super) fn describe(&self) -> Group {
        let columns = &self.columns;
        let last = self.rows() - 1;
        Group {
            rows: self.rows() as u32,
            first: (columns.project[0], columns.person[0]),
            last: (columns.project[last], columns.person[last]),
            ts_min_ms: columns.ts.iter().copied().min().unwrap_or(i64::MAX),
            ts_max_ms: columns.ts.iter().copied().max().unwrap_or(i64::MIN),
        }
    }

    pub(crate) fn finish(self, info: &Info) -> Columns {
        let properties = info.promoted.iter().zip(self.promoted).map(|(promoted, builder)| {
            let values = match builder {
                Builder::Texts(texts) => Values::Texts(texts.finish()),
                Builder::Numbers(numbers) => Values::Numbers(numbers),
                Builder::Bools(bools) => Values::Bools(bools),
            };
            PropertyColumn { key: promoted.key.as_str().into(), values }
        });
        Columns {
            event: self.event.finish(),
            dims: self.dims.into_iter().map(CodedBuilder::finish).collect(),
            properties: properties.collect(),
            ..self.columns
        }
    }
}

impl Builder {
    /// Whether the values of such a column can be copied.
    fn takes(&self, values: &Values) -> bool {
        matches!(
            (self, values),
            (Self::Texts(_), Values::Texts(_))
                | (Self::Numbers(_), Values::Numbers(_))
                | (Self::Bools(_), Values::Bools(_))
        )
    }

    /// Add rows: values of columns of our type, the rest absent.
    fn gather(&mut self, order: &[(u32, u32)], columns: &[Option<&Values>]) -> TypeCounts {
        let mut counts = TypeCounts::default();
        match self {
            Self::Texts(texts) => {
                let none = Coded::default();
                let coded: Vec<&Coded> = columns
                    .iter()
                    .map(|column| match column {
                        Some(Values::Texts(texts)) => texts,
                        _ => &none,
                    })
                    .collect();
                counts.texts = texts.gather(order, &coded) as u64;
            }
            Self::Numbers(numbers) => {
                let of = columns.iter().map(|column| match column {
                    Some(Values::Numbers(numbers)) => &numbers[..],
                    _ => &[],
                });
                counts.numbers = copy(order, of.collect(), numbers, f64::NAN, |n| !n.is_nan());
            }
            Self::Bools(bools) => {
                let of = columns.iter().map(|column| match column {
                    Some(Values::Bools(bools)) => &bools[..],
                    _ => &[],
                });
                counts.bools = copy(order, of.collect(), bools, 0, |b| *b != 0);
            }
        }
        counts
    }

    /// Take a value for a row that is there, if it comes back from the column exactly as it was
    /// written.
    fn take(&mut self, at: usize, entry: &Entry<'_>) -> bool {
        // A key that occurs twice: the second one stays in the rest.
        match (self, entry.value_type()) {
            (Self::Texts(texts), ValueType::Text) if !texts.has(at) => {
                let Some(text) = entry.text() else { return false };
                let fits = is_quoted_form(&text, entry.raw_value);
                if fits {
                    texts.set(at, &text);
                }
                fits
            }
            (Self::Numbers(numbers), ValueType::Number) if numbers[at].is_nan() => {
                let (number, raw) = (entry.number(), entry.raw_value);
                let fits = props::is_plainly_shortest(raw)
                    || number.is_finite() && props::text_of_number(number) == raw;
                if fits {
                    numbers[at] = number;
                }
                fits
            }
            (Self::Bools(bools), ValueType::Bool) if bools[at] == 0 => {
                bools[at] = 1 + u8::from(entry.raw_value == "true");
                true
            }
            _ => false,
        }
    }
}

/// Add rows of plain columns; how many have a value.
fn copy<T: Copy>(
    order: &[(u32, u32)],
    columns: Vec<&[T]>,
    out: &mut Vec<T>,
    absent: T,
    is_present: impl Fn(&T) -> bool,
) -> u64 {
    let before = out.len();
    if columns.iter().all(|column| column.is_empty()) {
        out.resize(before + order.len(), absent);
        return 0;
    }
    let value = |&(from, row): &(u32, u32)| {
        columns[from as usize].get(row as usize).copied().unwrap_or(absent)
    };
    out.extend(order.iter().map(value));
    out[before..].iter().filter(|value| is_present(value)).count() as u64
}

/// Whether writing `text` as JSON gives `raw`.
fn is_quoted_form(text: &str, raw: &str) -> bool {
    // Without these nothing in it is an escape, and nothing has to be one.
    if !raw.bytes().any(|byte| byte < 0x20 || byte == b'\\') {
        return true;
    }
    let mut quoted = String::with_capacity(raw.len());
    props::quote(text, &mut quoted);
    quoted == raw
}
