//! Sorted rows as columns: the one form in which the driver meets memtables and segments.
//!
//! A *block* is a piece of a memtable or one row group of a segment, sorted by (project, person,
//! time, device sequence, event id). Its columns are decoded one by one, when a question needs them.
//!
//! Invariant: all columns of a block have the same length, and a person of a project has one run
//! in a block.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use parquet::bloom_filter::Sbbf;
use serde::{Deserialize, Serialize};
use tallymark_analysis::columns::{Codes, Numbers, Times};
use tallymark_analysis::events::{NO_SESSION, UNNAMED_SESSION};

use crate::error::ScanError;
use crate::presence::DayList;
use crate::row::{Dim, flags};
pub(crate) use crate::values::{SharedValues, Values};

/// A column of a block, by what a question wants to see. Those of all rows can be written down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ColumnKey {
    /// Who: [`Runs`].
    Runs,
    /// Event time.
    Ts,
    /// Event names.
    Event,
    /// The device.
    Actor,
    /// The id that the event came with, before anybody was joined: `None` when it is the person
    /// everywhere.
    Base,
    /// The device, where it decides the order of a person's events in one millisecond: `None` when
    /// no such events are of different devices.
    Ties,
    /// Device sequence and event id: needed only where two blocks hold the same millisecond.
    Order,
    /// A property as text.
    Text(Property),
    /// What the codes of a file are in the column of a property as text: a row for each text of the file's
    /// dictionary.
    Table(Property),
    /// A property as number.
    Number(Property),
    /// Whether these rows are few: [`Column::AreFew`].
    #[serde(skip)]
    AreFew(Arc<Having>),
    /// A column of those rows alone, where they are few.
    #[serde(skip)]
    OfFew(Arc<Having>, Box<ColumnKey>),
    /// Which texts of a property there may be.
    #[serde(skip)]
    Bloom(Property),
    /// A list of the segment's presence, by its number there; the group is the number of the part.
    #[serde(skip)]
    Presence(u32),
    /// The session as a kernel sees it: [`session_number`].
    Session,
}

/// The rows that have one of some texts as a property.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Having {
    pub property: Property,
    pub texts: Box<[Box<str>]>,
}

/// A property by its name in questions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Box<str>", into = "Box<str>")]
pub(crate) enum Property {
    /// `event`.
    Event,
    /// `session`, as the hyphenated text of the id.
    Session,
    /// `identity`: whose id the person is.
    Identity,
    /// `$writer`: the page load, as a number only. No text names it, so nothing shows it.
    Writer,
    /// `$n`: the event's number in its page load, likewise.
    Seq,
    /// A built-in dimension.
    Dim(Dim),
    /// A key of the caller's properties.
    Key(Box<str>),
}

impl Property {
    /// What a name means.
    pub(crate) fn of_name(name: &str) -> Self {
        match (name, Dim::find(name)) {
            ("event", _) => Self::Event,
            ("session", _) => Self::Session,
            ("identity", _) => Self::Identity,
            ("$writer", _) => Self::Writer,
            ("$n", _) => Self::Seq,
            (_, Some(dim)) => Self::Dim(dim),
            _ => Self::Key(name.into()),
        }
    }
}

impl From<Box<str>> for Property {
    fn from(name: Box<str>) -> Self {
        Self::of_name(&name)
    }
}

impl From<Property> for Box<str> {
    fn from(property: Property) -> Self {
        match property {
            Property::Event => "event".into(),
            Property::Session => "session".into(),
            Property::Identity => "identity".into(),
            Property::Writer => "$writer".into(),
            Property::Seq => "$n".into(),
            Property::Dim(dim) => dim.name().into(),
            Property::Key(name) => name,
        }
    }
}

/// A decoded column.
#[derive(Debug)]
pub(crate) enum Column {
    Runs(Runs),
    Times(Arc<Times>),
    Texts(TextColumn),
    Numbers(Arc<Numbers>),
    AreFew(bool),
    /// `None`: every actor is equal to its person.
    Actors(Option<Arc<Vec<u64>>>),
    Order(Vec<(u32, u128)>),
    Days(Arc<DayList>),
    Sessions(Arc<Vec<u64>>),
    Bloom(Sbbf),
}

/// The session of a row as kernels know it: a name's number, or what it means to have none. Two
/// names of one person give one number with a probability of 2⁻⁶⁴.
pub(crate) fn session_number(id: u128, row_flags: u8) -> u64 {
    /// Ids differ in one half or the other: odd numbers keep both, and small ids apart.
    const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
    match id {
        0 if row_flags & (flags::SERVER | flags::IMPORTED) == flags::SERVER => NO_SESSION,
        0 => UNNAMED_SESSION,
        id => {
            let halves = ((id >> 64) as u64, id as u64);
            let mixed = halves.0.wrapping_mul(ODD[0]) ^ halves.1.wrapping_mul(ODD[1]);
            mixed.max(UNNAMED_SESSION + 1)
        }
    }
}

impl Column {
    pub(crate) fn of_times(times: &[i64]) -> Self {
        Self::Times(Arc::new(Times::new(times)))
    }

    pub(crate) fn of_numbers(numbers: Vec<f64>) -> Self {
        Self::Numbers(Arc::new(Numbers::new(numbers)))
    }

    /// Of so many rows none has a number.
    pub(crate) fn no_numbers(rows: usize) -> Self {
        Self::Numbers(Arc::new(Numbers::of_present(Vec::new(), Vec::new(), rows)))
    }

    pub(crate) fn of_texts(texts: Texts) -> Self {
        let codes = Codes::new(texts.codes.into_iter(), texts.values.len() + 1);
        let values = Arc::new(Values::Own(texts.values));
        Self::Texts(TextColumn { codes: Arc::new(codes), values })
    }

    /// The devices, if one of these rows is told from its neighbour by them alone.
    pub(crate) fn of_ties(runs: &Runs, ts: &Times, actors: Option<&Arc<Vec<u64>>>) -> Self {
        let ties = actors.filter(|actors| {
            runs.starts.windows(2).any(|run| {
                (run[0] as usize + 1..run[1] as usize)
                    .any(|row| actors[row] != actors[row - 1] && ts.get(row) == ts.get(row - 1))
            })
        });
        Self::Actors(ties.cloned())
    }
}

/// A text column for questions.
#[derive(Debug, Clone)]
pub(crate) struct TextColumn {
    pub codes: Arc<Codes>,
    pub values: Arc<Values>,
}

impl TextColumn {
    /// The text of a row of a column that has its values to itself.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        let code = self.codes.get(row) as usize;
        match &*self.values {
            Values::Own(values) => (code != 0).then(|| &*values[code - 1]),
            Values::Shared(_) => unreachable!("only columns in memory are read by row"),
        }
    }

    /// The column with every value read as a number.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let mut by_code = vec![f64::NAN];
        self.values.each(0, |value| by_code.push(crate::props::number_of_text(value)));
        (0..self.codes.len()).map(|row| by_code[self.codes.get(row) as usize]).collect()
    }
}

/// Who the rows belong to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Runs {
    /// Where each project's runs begin, in order.
    pub projects: Vec<(u32, u32)>,
    /// One person per run.
    pub persons: Vec<u64>,
    /// First row of each run, and the number of rows at the end.
    pub starts: Vec<u32>,
}

impl Runs {
    /// Build from rows in order.
    pub(crate) fn collect(rows: impl Iterator<Item = (u32, u64)>) -> Self {
        let mut runs = Self::default();
        let mut last = None;
        let mut count = 0;
        for (project, person) in rows {
            if last.is_none_or(|(before, _)| before != project) {
                runs.projects.push((project, runs.persons.len() as u32));
            }
            if last != Some((project, person)) {
                runs.persons.push(person);
                runs.starts.push(count);
            }
            last = Some((project, person));
            count += 1;
        }
        runs.starts.push(count);
        runs
    }

    /// The persons of each project.
    pub(crate) fn persons_by_project(&self) -> impl Iterator<Item = (u32, &[u64])> {
        let behind = self.projects.iter().skip(1).map(|(_, first)| *first as usize);
        let ends = behind.chain(std::iter::once(self.persons.len()));
        let persons = |(&(project, first), end): (&(u32, u32), usize)| {
            (project, &self.persons[first as usize..end])
        };
        self.projects.iter().zip(ends).map(persons)
    }

    /// Put together runs of projects and of persons, each with the row behind it.
    pub(crate) fn of(projects: &[(u32, u32)], persons: &[(u64, u32)]) -> Self {
        let mut runs = Self::default();
        let (mut start, mut persons) = (0, persons.iter());
        for &(project, project_end) in projects {
            runs.projects.push((project, runs.persons.len() as u32));
            while start < project_end {
                let Some(&(person, end)) = persons.as_slice().first() else { break };
                runs.persons.push(person);
                runs.starts.push(start);
                start = end.min(project_end);
                if start == end {
                    persons.next();
                }
            }
        }
        runs.starts.push(start);
        runs
    }

    /// The runs of a project whose persons are in a range, both ends included.
    pub(crate) fn within(&self, project: u32, first: u64, last: u64) -> std::ops::Range<usize> {
        let Ok(at) = self.projects.binary_search_by_key(&project, |&(project, _)| project) else {
            return 0..0;
        };
        let start = self.projects[at].1 as usize;
        let end = self.projects.get(at + 1).map_or(self.persons.len(), |&(_, run)| run as usize);
        let persons = &self.persons[start..end];
        let from = start + persons.partition_point(|&person| person < first);
        let to = start + persons.partition_point(|&person| person <= last);
        from..to
    }
}

/// A text column being made: codes into its own values. Code 0 is absent, code `i` is
/// `values[i - 1]`.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub codes: Vec<u32>,
    pub values: Vec<Box<str>>,
}

/// Makes a [`Texts`] row by row.
#[derive(Debug, Default)]
pub(crate) struct TextsBuilder {
    texts: Texts,
    codes: HashMap<Box<str>, u32>,
    last: u32,
}

impl TextsBuilder {
    /// Go on with values that have codes already.
    pub(crate) fn continue_from(values: Vec<Box<str>>) -> Self {
        let codes = (1..).zip(&values).map(|(code, value)| (value.clone(), code)).collect();
        Self { texts: Texts { codes: Vec::new(), values }, codes, last: 0 }
    }

    pub(crate) fn push(&mut self, text: Option<&str>) {
        let code = self.code_of(text);
        self.texts.codes.push(code);
    }

    /// The code of a text, made if need be, without a row.
    pub(crate) fn code_of(&mut self, text: Option<&str>) -> u32 {
        text.map_or(0, |text| self.code(text))
    }

    /// The code of a text. Neighbours are often equal, and are found without hashing.
    fn code(&mut self, text: &str) -> u32 {
        if self.last != 0 && &*self.texts.values[self.last as usize - 1] == text {
            return self.last;
        }
        self.last = match self.codes.get(text) {
            Some(&code) => code,
            None => {
                self.texts.values.push(text.into());
                let code = self.texts.values.len() as u32;
                self.codes.insert(text.into(), code);
                code
            }
        };
        self.last
    }

    pub(crate) fn finish(self) -> Texts {
        self.texts
    }
}

/// What is known of a block without decoding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub rows: u32,
    /// Project and person of the first row.
    pub first: (u32, u64),
    /// Project and person of the last row.
    pub last: (u32, u64),
    pub ts_min_ms: i64,
    pub ts_max_ms: i64,
}

impl Bounds {
    /// Whether rows of these persons (both ends included) and times (end excluded) can be inside.
    pub(crate) fn may_hold(
        &self,
        project: u32,
        persons: std::ops::RangeInclusive<u64>,
        times: &std::ops::Range<i64>,
    ) -> bool {
        self.rows > 0
            && self.first <= (project, *persons.end())
            && (project, *persons.start()) <= self.last
            && self.ts_min_ms < times.end
            && times.start <= self.ts_max_ms
    }

    /// Whether every row is in these times, of which the end is excluded.
    pub(crate) fn is_in(&self, times: &Range<i64>) -> bool {
        times.start <= self.ts_min_ms && self.ts_max_ms < times.end
    }
}

/// A sorted piece of the store.
pub(crate) trait Block: Send + Sync {
    /// What is inside, roughly.
    fn bounds(&self) -> &Bounds;

    /// Some persons of a project in order, each with the number of rows it stands for: where the
    /// work can be cut into equal parts. Must not read files.
    fn sample_persons(&self, project: u32, samples: &mut Vec<(u64, u64)>);

    /// A column, decoded now or before.
    ///
    /// # Errors
    /// [`ScanError`] when a file cannot be read.
    fn column(&self, key: &ColumnKey) -> Result<Arc<Column>, ScanError>;

    /// The same block with these rows alone, if they are few and kept so.
    ///
    /// # Errors
    /// [`ScanError`] when a file cannot be read.
    fn few(self: Arc<Self>, _: &Arc<Having>) -> Result<Option<Arc<dyn Block>>, ScanError> {
        Ok(None)
    }

    /// Whether there may be such a row: `false` is certain.
    ///
    /// # Errors
    /// [`ScanError`] when a file cannot be read.
    fn may_have(&self, _: &Having) -> Result<bool, ScanError> {
        Ok(true)
    }
}

macro_rules! getters {
    ($($name:ident $variant:ident $target:ty;)*) => {
        impl Column {
            $(
                #[doc = concat!("The column, which is one of `", stringify!($variant), "` by its key.")]
                pub(crate) fn $name(&self) -> &$target {
                    match self {
                        Self::$variant(column) => column,
                        other => unreachable!("a column of another kind: {other:?}"),
                    }
                }
            )*
        }
    };
}

getters! {
    runs Runs Runs;
    times Times Arc<Times>;
    texts Texts TextColumn;
    numbers Numbers Arc<Numbers>;
    are_few AreFew bool;
    actors Actors Option<Arc<Vec<u64>>>;
    order Order [(u32, u128)];
    days Days Arc<DayList>;
    sessions Sessions Arc<Vec<u64>>;
    bloom Bloom Sbbf;
}

impl Column {
    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.persons.len() * 12 + 64,
            Self::Times(times) => times.bytes(),
            Self::Texts(texts) => texts.codes.bytes() + texts.values.own_bytes(),
            Self::Numbers(numbers) => numbers.bytes(),
            Self::AreFew(_) => 64,
            Self::Actors(actors) => actors.as_ref().map_or(0, |actors| actors.len() * 8) + 64,
            Self::Order(order) => order.len() * size_of::<(u32, u128)>(),
            Self::Days(list) => list.bytes(),
            Self::Sessions(sessions) => sessions.len() * 8,
            Self::Bloom(bloom) => bloom.num_blocks() * 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::two_devices_in_one_millisecond(&[(1, 5, 7), (1, 5, 8)], true)]
    #[case::one_device(&[(1, 5, 7), (1, 5, 7)], false)]
    #[case::a_millisecond_apart(&[(1, 5, 7), (1, 6, 8)], false)]
    #[case::two_persons(&[(1, 5, 7), (2, 5, 8)], false)]
    fn devices_are_kept_for_ties_where_they_decide(
        #[case] rows: &[(u64, i64, u64)],
        #[case] want: bool,
    ) {
        let runs = Runs::collect(rows.iter().map(|(person, ..)| (1, *person)));
        let ts = Times::new(&rows.iter().map(|(_, ts, _)| *ts).collect::<Vec<_>>());
        let actors = Arc::new(rows.iter().map(|(.., actor)| *actor).collect());
        let column = Column::of_ties(&runs, &ts, Some(&actors));
        assert_eq!(column.actors().is_some(), want);
    }
}
