//! Rows that are in the log but not yet in a segment.
//!
//! In: the rows of each group, after it is durable. Out: sorted blocks for questions and for the
//! flush.
//!
//! A table is a list of sorted runs and a short unsorted tail. When the tail reaches
//! [`RUN_ROWS`] it becomes a run (`sorter`); a question that meets a tail gets it sorted, and the sorted form
//! is kept until rows are added. Chunks of rows are shared, never changed, so a reader holds what
//! it saw while the writer goes on.
//!
//! Invariant: a reader sees whole groups, and all groups up to one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashbrown::HashMap;
use tallymark_protocol::uuid7;

use crate::block::{
    Block, Bounds, Column, ColumnKey, Property, Runs, Texts, TextsBuilder, session_number,
};
use crate::catalog::{RefusedRow, RestatedDay};
use crate::columns::{Coded, Columns, Dictionary, Rest};
use crate::error::ScanError;
use crate::options::Zones;
use crate::presence::{self, Stored};
use crate::props;
use crate::row::{self, Dim, Dims, IDENTITIES, Row, identity_code};
use crate::schema::SchemaCounter;

/// Rows at which a tail is sorted for good: sorting stays a matter of milliseconds.
pub(crate) const RUN_ROWS: usize = 64 * 1024;

/// Rows of some groups, up to one moment.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    runs: Vec<Arc<MemRun>>,
    tail: Vec<Arc<Vec<Row>>>,
    tail_rows: usize,
    /// The first so many chunks of the tail, sorted for a question.
    tail_sorted: Option<(usize, Arc<MemRun>)>,
    refused: Vec<RefusedRow>,
    restated: Arc<BTreeSet<RestatedDay>>,
    rows: usize,
    bytes: usize,
}

impl Memtable {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 && self.refused.is_empty()
    }

    pub(crate) fn refused(&self) -> &[RefusedRow] {
        &self.refused
    }

    /// Add a group.
    pub(crate) fn push(&mut self, rows: Vec<Row>, refused: Vec<RefusedRow>) {
        self.bytes += rows_bytes(&rows);
        self.bytes += refused.iter().map(refused_bytes).sum::<usize>();
        self.rows += rows.len();
        let restated = rows.iter().filter_map(RestatedDay::of);
        restated.for_each(|day| {
            if !self.restated.contains(&day) {
                Arc::make_mut(&mut self.restated).insert(day);
            }
        });
        self.refused.extend(refused);
        if !rows.is_empty() {
            self.tail_rows += rows.len();
            self.tail.push(Arc::new(rows));
        }
    }

    /// Rows that are not sorted yet.
    pub(crate) fn tail_rows(&self) -> usize {
        self.tail_rows
    }

    /// The tail, when it is long enough to be sorted for good.
    pub(crate) fn full_tail(&self) -> Option<Vec<Arc<Vec<Row>>>> {
        (self.tail_rows >= RUN_ROWS).then(|| self.tail.clone())
    }

    /// Put the sorted form in the place of the chunks it was made of, the oldest ones.
    pub(crate) fn replace_tail(&mut self, chunks: usize, run: Arc<MemRun>) {
        self.tail.drain(..chunks);
        self.tail_rows -= run.len();
        self.tail_sorted = None;
        self.runs.push(run);
    }

    /// Everything in it at this moment.
    pub(crate) fn view(&self) -> MemView {
        let sorted = self.tail_sorted.clone().filter(|(chunks, _)| *chunks == self.tail.len());
        MemView {
            runs: self.runs.clone(),
            tail: self.tail.clone(),
            sorted: sorted.map(|(_, run)| run),
            restated: Arc::clone(&self.restated),
        }
    }

    /// Remember the sorted tail of a view for the next question.
    pub(crate) fn keep_sorted(&mut self, chunks: usize, run: &Arc<MemRun>) {
        if self.tail.len() == chunks && self.tail_rows == run.len() {
            self.tail_sorted = Some((chunks, Arc::clone(run)));
        }
    }
}

/// A memtable as it was at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemView {
    pub runs: Vec<Arc<MemRun>>,
    pub tail: Vec<Arc<Vec<Row>>>,
    /// The tail as a run, if somebody made it before.
    pub sorted: Option<Arc<MemRun>>,
    /// Days that its rows change after they were closed.
    pub restated: Arc<BTreeSet<RestatedDay>>,
}

impl MemView {
    pub(crate) fn rows(&self) -> usize {
        let tail: usize = self.tail.iter().map(|chunk| chunk.len()).sum();
        self.runs.iter().map(|run| run.len()).sum::<usize>() + tail
    }

    /// The tail as a run, made now if need be; `None` when there is no tail.
    pub(crate) fn sorted_tail(&mut self) -> Option<Arc<MemRun>> {
        if self.tail.is_empty() {
            return None;
        }
        Some(Arc::clone(self.sorted.get_or_insert_with(|| Arc::new(MemRun::sort(&self.tail)))))
    }

    /// Project and event id of every row.
    pub(crate) fn ids(&self, each: &mut dyn FnMut(u32, u128)) {
        for run in &self.runs {
            (0..run.len()).for_each(|row| each(run.project[row], run.order()[row].1));
        }
        for row in self.tail.iter().flat_map(|chunk| chunk.iter()) {
            each(row.project, row.event_id);
        }
    }
}

/// Memory that rows take, about: what bounds on memory are counted in. Dimensions that neighbours
/// share count once.
pub(crate) fn rows_bytes(rows: &[Row]) -> usize {
    let each =
        rows.iter().enumerate().map(|(i, row)| row_bytes(row, i.checked_sub(1).map(|i| &rows[i])));
    each.sum()
}

/// Memory that a row takes in addition to what it shares with the one before it.
pub(crate) fn row_bytes(row: &Row, before: Option<&Row>) -> usize {
    /// A [`Row`] on its own, or its parts in the columns of a run.
    const FIXED: usize = 200;
    let shares = before.is_some_and(|before| Arc::ptr_eq(&before.dims, &row.dims));
    let dims =
        |dims: &Dims| size_of::<Dims>() + dims.iter().flatten().map(|dim| dim.len()).sum::<usize>();
    FIXED + row.props.len() + if shares { 0 } else { dims(&row.dims) }
}

/// Memory that a refused row takes, about.
pub(crate) fn refused_bytes(row: &RefusedRow) -> usize {
    64 + row.code.len() + row.raw.len()
}

/// One row of a block, borrowed.
#[derive(Debug, Clone)]
pub(crate) struct RowRef<'a> {
    pub project: u32,
    pub person: u64,
    pub actor: u64,
    /// The id that the event came with, before anybody was joined.
    pub base: u64,
    pub ts_ms: i64,
    pub seq: u32,
    pub event_id: u128,
    pub received_ms: i64,
    pub claimed_ms: i64,
    pub flags: u8,
    pub event: &'a str,
    pub session: u128,
    pub dims: [Option<&'a str>; Dim::ALL.len()],
    pub props: &'a str,
}

/// A row that belongs to somebody else than it is stored under.
#[derive(Debug)]
pub(crate) struct Aside {
    pub row: Row,
    /// See [`RowRef::base`].
    pub base: u64,
}

impl Aside {
    pub(crate) fn row_ref(&self) -> RowRef<'_> {
        RowRef { base: self.base, ..RowRef::of(&self.row) }
    }
}

impl<'a> RowRef<'a> {
    fn of(row: &'a Row) -> Self {
        let mut dims = [None; Dim::ALL.len()];
        dims.iter_mut().zip(row.dims.iter()).for_each(|(to, from)| *to = from.as_deref());
        Self {
            project: row.project,
            person: row.person,
            actor: row.actor,
            base: row.person,
            ts_ms: row.ts_ms,
            seq: row.seq,
            event_id: row.event_id,
            received_ms: row.received_ms,
            claimed_ms: row.claimed_ms,
            flags: row.flags,
            event: &row.event,
            session: row.session,
            dims,
            props: &row.props,
        }
    }

    pub(crate) fn to_row(&self) -> Row {
        Row {
            project: self.project,
            person: self.person,
            actor: self.actor,
            ts_ms: self.ts_ms,
            seq: self.seq,
            event_id: self.event_id,
            received_ms: self.received_ms,
            claimed_ms: self.claimed_ms,
            flags: self.flags,
            event: self.event.into(),
            session: self.session,
            dims: Arc::new(self.dims.map(|dim| dim.map(Into::into))),
            props: self.props.into(),
        }
    }

    /// What rows are sorted by.
    pub(crate) fn sort_key(&self) -> SortKey {
        (self.project, self.person, self.ts_ms, self.seq, self.event_id)
    }
}

/// Project, person, time, device sequence, event id.
pub(crate) type SortKey = (u32, u64, i64, u32, u128);

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

    /// Rows and text bytes by project and hour of receipt.
    pub(crate) fn usage(&self, sums: &mut BTreeMap<(u32, i64), (u64, u64)>) {
        const HOUR_MS: i64 = 3_600_000;
        for row in 0..self.len() {
            let hour = self.received[row].div_euclid(HOUR_MS) * HOUR_MS;
            let sum = sums.entry((self.project[row], hour)).or_default();
            let event_len = self.event.texts().get(row).map_or(0, str::len);
            *sum = (sum.0 + 1, sum.1 + (event_len + self.props(row).len()) as u64);
        }
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

/// The rows in the order of their [`SortKey`]. Its first parts are copied beside the reference:
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
