//! Sorted rows in memory, as columns: a block for questions, and what a flush writes.
//!
//! In: chunks of rows, in any order. Out: columns, most made at once, those of properties when a
//! question asks for them; the figures of these rows that the catalog keeps.
//!
//! Deliberately elsewhere: when rows are sorted (`sorter`, and `Shared::runs` for a question).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashbrown::HashMap;
use tallymark_protocol::uuid7;

use super::RowRef;
use crate::block::{
    Block, Bounds, Column, ColumnKey, Property, Runs, Texts, TextsBuilder, session_number,
};
use crate::columns::{Coded, Columns, Dictionary, Rest};
use crate::error::ScanError;
use crate::options::Zones;
use crate::presence::{self, Stored};
use crate::props;
use crate::row::{self, Dim, Dims, IDENTITIES, Row, identity_code};
use crate::schema::SchemaCounter;

/// Sorted rows in memory, as columns.
#[derive(Debug)]
pub(crate) struct MemRun {
    bounds: Bounds,
    project: Vec<u32>,
    person: Vec<u64>,
    runs: Arc<Column>,
    ts: Arc<Column>,
    event: Arc<Column>,
    actor: Arc<Column>,
    order: Arc<Column>,
    /// Nothing at all when no row has one.
    writer: Vec<u64>,
    received: Vec<i64>,
    claimed: Vec<i64>,
    flags: Vec<u8>,
    session: Vec<u128>,
    dims: Vec<Arc<Column>>,
    props: String,
    props_ends: Vec<usize>,
    /// Columns made from the properties, when a question asked for them.
    made: Mutex<HashMap<ColumnKey, Arc<Column>>>,
    schema: OnceLock<SchemaCounter>,
    presence: OnceLock<Arc<Stored>>,
}

impl MemRun {
    /// Sort rows.
    pub(crate) fn sort(chunks: &[Arc<Vec<Row>>]) -> Self {
        let rows = in_order(chunks);
        let bounds = Bounds {
            rows: rows.len() as u32,
            first: rows.first().map_or((0, 0), |row| (row.project, row.person)),
            last: rows.last().map_or((0, 0), |row| (row.project, row.person)),
            ts_min_ms: rows.iter().map(|row| row.ts_ms).min().unwrap_or(i64::MAX),
            ts_max_ms: rows.iter().map(|row| row.ts_ms).max().unwrap_or(i64::MIN),
        };
        let texts = |text: &dyn Fn(&Row) -> Option<&str>| {
            let mut builder = TextsBuilder::default();
            rows.iter().for_each(|row| builder.push(text(row)));
            Arc::new(Column::of_texts(builder.finish()))
        };
        let is_person = rows.iter().all(|row| row.actor == row.person);
        let actors = (!is_person).then(|| Arc::new(rows.iter().map(|row| row.actor).collect()));
        let mut all_props = String::with_capacity(rows.iter().map(|row| row.props.len()).sum());
        let props_ends = rows.iter().map(|row| {
            all_props.push_str(&row.props);
            all_props.len()
        });
        Self {
            bounds,
            props_ends: props_ends.collect(),
            props: all_props,
            project: rows.iter().map(|row| row.project).collect(),
            person: rows.iter().map(|row| row.person).collect(),
            runs: Arc::new(Column::Runs(Runs::collect(
                rows.iter().map(|row| (row.project, row.person)),
            ))),
            ts: Arc::new(Column::of_times(&rows.iter().map(|row| row.ts_ms).collect::<Vec<_>>())),
            event: texts(&|row| Some(&row.event)),
            actor: Arc::new(Column::Actors(actors)),
            order: Arc::new(Column::Order(
                rows.iter().map(|row| (row.seq, row.event_id)).collect(),
            )),
            writer: if rows.iter().any(|row| row.writer != 0) {
                rows.iter().map(|row| row.writer).collect()
            } else {
                Vec::new()
            },
            received: rows.iter().map(|row| row.received_ms).collect(),
            claimed: rows.iter().map(|row| row.claimed_ms).collect(),
            flags: rows.iter().map(|row| row.flags).collect(),
            session: rows.iter().map(|row| row.session).collect(),
            dims: dim_columns(&rows),
            made: Mutex::default(),
            schema: OnceLock::new(),
            presence: OnceLock::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.project.len()
    }

    fn order(&self) -> &[(u32, u128)] {
        self.order.order()
    }

    fn props(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.props_ends[row - 1] };
        &self.props[start..self.props_ends[row]]
    }

    /// Project and event id of every row.
    pub(super) fn ids(&self, each: &mut dyn FnMut(u32, u128)) {
        self.project.iter().zip(self.order()).for_each(|(project, (_, id))| each(*project, *id));
    }

    /// Project and person of a row.
    pub(crate) fn who(&self, row: usize) -> (u32, u64) {
        (self.project[row], self.person[row])
    }

    pub(crate) fn ts_ms(&self, row: usize) -> i64 {
        self.ts.times().get(row)
    }

    /// When the first event of a project was.
    pub(crate) fn first_ms(&self, project: u32) -> Option<i64> {
        let rows = (0..self.len()).filter(|&row| self.project[row] == project);
        rows.map(|row| self.ts_ms(row)).min()
    }

    /// A whole row.
    pub(crate) fn row(&self, row: usize) -> RowRef<'_> {
        let (seq, event_id) = self.order()[row];
        let mut dims = [None; Dim::ALL.len()];
        for (dim, column) in dims.iter_mut().zip(&self.dims) {
            *dim = column.texts().get(row);
        }
        RowRef {
            project: self.project[row],
            person: self.person[row],
            actor: self.actor.actors().as_ref().map_or(self.person[row], |actors| actors[row]),
            base: self.base(row),
            ts_ms: self.ts.times().get(row),
            seq,
            writer: self.writer.get(row).copied().unwrap_or(0),
            event_id,
            received_ms: self.received[row],
            claimed_ms: self.claimed[row],
            flags: self.flags[row],
            event: self.event.texts().get(row).unwrap_or(""),
            session: self.session[row],
            dims,
            props: self.props(row),
        }
    }

    /// Who did what on which days, found once.
    pub(crate) fn presence(&self, zones: &Zones) -> Arc<Stored> {
        let find = || {
            let events = self.event.texts();
            let mut names = Vec::new();
            events.values.each(0, |name| names.push(name.to_owned()));
            let codes: Vec<u32> = (0..self.len()).map(|row| events.codes.get(row) - 1).collect();
            let ts_ms: Vec<i64> = (0..self.len()).map(|row| self.ts_ms(row)).collect();
            let Bounds { ts_min_ms, ts_max_ms, .. } = self.bounds;
            let mut builder = presence::Builder::new((ts_min_ms, ts_max_ms), zones);
            builder.add(&presence::Rows {
                projects: &self.project,
                persons: &self.person,
                ts_ms: &ts_ms,
                events: &codes,
                names: &names.iter().map(|name| &**name).collect::<Vec<_>>(),
                flags: &self.flags,
            });
            Arc::new(Stored::Memory(builder.finish()))
        };
        Arc::clone(self.presence.get_or_init(find))
    }

    /// Some of the rows, for a flush. `dictionaries` are [`MemRun::dictionaries`] of this run.
    pub(crate) fn columns(&self, rows: &[u32], dictionaries: &[Dictionary]) -> Columns {
        fn pick<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| column[row as usize]).collect()
        }
        let person = pick(&self.person, rows);
        let actor = match self.actor.actors() {
            Some(actors) => pick(actors, rows),
            None => person.clone(),
        };
        let coded = |column: &Column, values: &Dictionary| {
            if values.is_empty() {
                return Coded::default();
            }
            let texts = column.texts();
            let codes = rows.iter().map(|&row| texts.codes.get(row as usize)).collect();
            Coded { codes, values: Arc::clone(values) }
        };
        let mut rest = Rest::default();
        for (at, &row) in rows.iter().enumerate() {
            let props = self.props(row as usize);
            if props != "{}" {
                rest.set(at, |out| out.push_str(props));
            }
        }
        Columns {
            project: pick(&self.project, rows),
            person,
            actor,
            // Rows in memory are stored under the user they came with.
            origin: Vec::new(),
            ts: rows.iter().map(|&row| self.ts_ms(row as usize)).collect(),
            seq: rows.iter().map(|&row| self.order()[row as usize].0).collect(),
            writer: if self.writer.is_empty() { Vec::new() } else { pick(&self.writer, rows) },
            event_id: rows.iter().map(|&row| self.order()[row as usize].1).collect(),
            received: pick(&self.received, rows),
            claimed: pick(&self.claimed, rows),
            flags: pick(&self.flags, rows),
            event: coded(&self.event, &dictionaries[0]),
            session: pick(&self.session, rows),
            dims: self.dims.iter().zip(&dictionaries[1..]).map(|(d, v)| coded(d, v)).collect(),
            properties: Vec::new(),
            rest,
        }
    }

    /// The values of the event column and of each dimension.
    pub(crate) fn dictionaries(&self) -> Vec<Dictionary> {
        let columns = std::iter::once(&self.event).chain(&self.dims);
        let values = |column: &Arc<Column>| -> Dictionary {
            let mut values = Vec::new();
            column.texts().values.each(0, |value| values.push(Box::from(value)));
            values.into()
        };
        columns.map(values).collect()
    }

    /// Names and properties of these rows, counted once.
    pub(crate) fn schema(&self) -> &SchemaCounter {
        self.schema.get_or_init(|| {
            let mut rows: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
            let events = self.event.texts();
            for row in 0..self.len() {
                rows.entry((self.project[row], events.codes.get(row))).or_default().push(row);
            }
            let mut counter = SchemaCounter::default();
            for ((project, _), rows) in rows {
                let name = events.get(rows[0]).unwrap_or("");
                let rows = rows.iter().map(|&row| (self.ts_ms(row), self.props(row)));
                counter.add(project, name, rows);
            }
            counter
        })
    }

    fn make(&self, key: &ColumnKey) -> Column {
        match key {
            ColumnKey::Text(Property::Key(name)) => {
                let mut texts = TextsBuilder::default();
                for row in 0..self.len() {
                    let text = props::find(self.props(row), name).and_then(|entry| entry.text());
                    texts.push(text.as_deref());
                }
                Column::of_texts(texts.finish())
            }
            ColumnKey::Number(Property::Key(name)) => Column::of_numbers(
                (0..self.len())
                    .map(|row| {
                        props::find(self.props(row), name).map_or(f64::NAN, |entry| entry.number())
                    })
                    .collect(),
            ),
            ColumnKey::Text(Property::Session) => Column::of_texts(session_texts(&self.session)),
            ColumnKey::Text(Property::Identity) => Column::of_texts(identity_texts(&self.flags)),
            ColumnKey::Number(Property::Session | Property::Identity) => {
                Column::of_numbers(vec![f64::NAN; self.len()])
            }
            ColumnKey::Number(Property::Writer) if self.writer.is_empty() => {
                Column::of_numbers(vec![f64::NAN; self.len()])
            }
            ColumnKey::Number(Property::Writer) => {
                Column::of_numbers(self.writer.iter().map(|id| row::writer_number(*id)).collect())
            }
            ColumnKey::Number(Property::Seq) => {
                Column::of_numbers(self.order().iter().map(|(seq, _)| f64::from(*seq)).collect())
            }
            ColumnKey::Text(Property::Writer | Property::Seq) => {
                Column::of_texts(Texts { codes: vec![0; self.len()], values: Vec::new() })
            }
            ColumnKey::Session => {
                let rows = self.session.iter().zip(&self.flags);
                let numbers = rows.map(|(id, flags)| session_number(*id, *flags)).collect();
                Column::Sessions(Arc::new(numbers))
            }
            ColumnKey::Number(Property::Dim(dim)) => {
                Column::of_numbers(self.dims[*dim as usize].texts().numbers())
            }
            ColumnKey::Number(Property::Event) => Column::of_numbers(self.event.texts().numbers()),
            ColumnKey::Ties => {
                let actors = self.actor.actors().as_ref();
                Column::of_ties(self.runs.runs(), self.ts.times(), actors)
            }
            ColumnKey::Base => {
                let is_person = (0..self.len()).all(|row| self.base(row) == self.person[row]);
                let bases = || Arc::new((0..self.len()).map(|row| self.base(row)).collect());
                Column::Actors((!is_person).then(bases))
            }
            other => unreachable!("{other:?} is kept as it is"),
        }
    }

    /// The id that a row came with. Rows in memory are stored under the user they came with.
    fn base(&self, row: usize) -> u64 {
        let actors = self.actor.actors().as_ref();
        let actor = actors.map_or(self.person[row], |actors| actors[row]);
        row::base(self.person[row], actor, self.flags[row], 0)
    }
}

/// The rows in the order of their [`SortKey`](super::SortKey). Its first parts are copied beside the reference:
/// they nearly always decide, and rows lie scattered in memory.
fn in_order(chunks: &[Arc<Vec<Row>>]) -> Vec<&Row> {
    let rows = chunks.iter().flat_map(|chunk| chunk.iter());
    let mut rows: Vec<_> = rows.map(|row| ((row.project, row.person, row.ts_ms), row)).collect();
    rows.sort_unstable_by(|(a_key, a), (b_key, b)| {
        a_key.cmp(b_key).then_with(|| (a.seq, a.event_id).cmp(&(b.seq, b.event_id)))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A column per dimension. Texts are looked up once per set of dimensions that rows share.
fn dim_columns(rows: &[&Row]) -> Vec<Arc<Column>> {
    let mut known: HashMap<*const Dims, usize> = HashMap::new();
    let mut sets: Vec<&Dims> = Vec::new();
    let set_of_row = rows.iter().map(|row| {
        *known.entry(Arc::as_ptr(&row.dims)).or_insert_with(|| {
            sets.push(&row.dims);
            sets.len() - 1
        })
    });
    let set_of_row: Vec<usize> = set_of_row.collect();
    let column = |dim: usize| {
        let mut texts = TextsBuilder::default();
        let codes: Vec<u32> = sets.iter().map(|set| texts.code_of(set[dim].as_deref())).collect();
        let codes = set_of_row.iter().map(|set| codes[*set]).collect();
        Arc::new(Column::of_texts(Texts { codes, ..texts.finish() }))
    };
    (0..Dim::ALL.len()).map(column).collect()
}

/// Session ids as hyphenated texts; id 0 is absent.
pub(crate) fn session_texts(sessions: &[u128]) -> Texts {
    let mut texts = TextsBuilder::default();
    let mut last = (0, String::new());
    for &session in sessions {
        if session != last.0 {
            last = (session, uuid7::format(session));
        }
        texts.push((session != 0).then_some(&*last.1));
    }
    texts.finish()
}

/// Whose ids the persons of rows are, by the rows' flags.
pub(crate) fn identity_texts(flags: &[u8]) -> Texts {
    Texts {
        codes: flags.iter().map(|&flags| identity_code(flags).into()).collect(),
        values: IDENTITIES.map(Into::into).into(),
    }
}

impl Block for MemRun {
    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn sample_persons(&self, project: u32, samples: &mut Vec<(u64, u64)>) {
        const SAMPLES: usize = 32;
        let runs = self.runs.runs();
        let within = runs.within(project, 0, u64::MAX);
        let rows = runs.starts[within.end] - runs.starts[within.start];
        let step = within.len().div_ceil(SAMPLES).max(1);
        let persons = runs.persons[within].iter().step_by(step);
        let each = u64::from(rows) / persons.len().max(1) as u64 + 1;
        samples.extend(persons.map(|&person| (person, each)));
    }

    fn column(&self, key: &ColumnKey) -> Result<Arc<Column>, ScanError> {
        let kept = match key {
            ColumnKey::Runs => &self.runs,
            ColumnKey::Ts => &self.ts,
            ColumnKey::Event | ColumnKey::Text(Property::Event) => &self.event,
            ColumnKey::Actor => &self.actor,
            ColumnKey::Order => &self.order,
            ColumnKey::Text(Property::Dim(dim)) => &self.dims[*dim as usize],
            made => {
                let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(column) = lock().get(made) {
                    return Ok(Arc::clone(column));
                }
                let column = Arc::new(self.make(made));
                lock().insert(made.clone(), Arc::clone(&column));
                return Ok(column);
            }
        };
        Ok(Arc::clone(kept))
    }
}
