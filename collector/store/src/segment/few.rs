//! A row group's rows of a few events, or with a rare text, next to each other.
//!
//! In: a row group, and the only rows that change a question's answer. Out: a block of these rows alone,
//! where they are few: in the columns of all rows each would be somewhere else in memory, and most persons
//! would be met for nothing. Its columns are kept between questions like others.
//!
//! Columns of all rows that only such questions read are decoded for it, as far as needed, and not kept
//! beside it.

use std::sync::{Arc, OnceLock};

use tallymark_analysis::columns::{Codes, Numbers, Times};

use super::SegmentBlock;
use super::pages::Which;
use crate::block::{Block, Bounds, Column, ColumnKey, Having, Property, Runs, TextColumn, Values};
use crate::error::ScanError;

/// One row of so many, at most.
const ONE_OF: usize = 16;

/// Texts of a property whose rows are looked for like this.
const TEXTS_MAX: usize = 16;

/// The rows of a reading, so that each of its columns need not look for them.
pub(super) type Rows = OnceLock<(Arc<Having>, Arc<[u32]>)>;

/// The block without its other rows.
struct Few {
    block: Arc<SegmentBlock>,
    having: Arc<Having>,
}

/// `None` where they are more, or nothing is kept.
pub(super) fn of(
    block: Arc<SegmentBlock>,
    having: &Arc<Having>,
) -> Result<Option<Arc<dyn Block>>, ScanError> {
    // A text of a property that has few of them is in many rows, and so are many texts.
    let can_be = having.property == Property::Event
        || having.texts.len() <= TEXTS_MAX
            && block.segment.bloom_range(block.group, &having.property).is_some();
    let are_few = can_be
        && block.segment.cache.is_on()
        && *block.column(&ColumnKey::AreFew(Arc::clone(having)))?.are_few();
    let few = are_few.then(|| Few { block, having: Arc::clone(having) });
    Ok(few.map(|few| Arc::new(few) as Arc<dyn Block>))
}

impl Block for Few {
    fn bounds(&self) -> &Bounds {
        self.block.bounds()
    }

    fn sample_persons(&self, project: u32, samples: &mut Vec<(u64, u64)>) {
        self.block.sample_persons(project, samples);
    }

    fn column(&self, key: &ColumnKey) -> Result<Arc<Column>, ScanError> {
        self.block.column(&ColumnKey::OfFew(Arc::clone(&self.having), Box::new(key.clone())))
    }

    fn may_have(&self, having: &Having) -> Result<bool, ScanError> {
        self.block.may_have(having)
    }
}

/// The column that has a property's texts.
fn text_key(property: &Property) -> ColumnKey {
    match property {
        Property::Event => ColumnKey::Event,
        _ => ColumnKey::Text(property.clone()),
    }
}

impl SegmentBlock {
    pub(super) fn are_few(&self, having: &Arc<Having>) -> Result<Column, ScanError> {
        Ok(Column::AreFew(self.is_few(&self.rows_of(having)?)))
    }

    pub(super) fn of_few(
        &self,
        having: &Arc<Having>,
        key: &ColumnKey,
    ) -> Result<Column, ScanError> {
        let rows = self.rows_of(having)?;
        if let [text] = &having.texts[..]
            && *key == text_key(&having.property)
        {
            let codes = Arc::new(Codes::U8(vec![1; rows.len()]));
            let values = Arc::new(Values::Own(vec![text.clone()]));
            return Ok(Column::Texts(TextColumn { codes, values }));
        }
        let whole = match key {
            ColumnKey::Runs | ColumnKey::Event => self.column(key)?,
            _ => match self.find(key) {
                Some(column) => column,
                None if *key == ColumnKey::Ts => {
                    // Rare events are in most row groups, rare texts in few.
                    if having.property == Property::Event {
                        self.segment.read_ahead(self.group, "ts", Which::All);
                    }
                    return Ok(Column::Times(Arc::new(self.segment.times_of(self.group, &rows)?)));
                }
                None => self.decode(key)?.column(),
            },
        };
        let picked = whole.pick(&rows);
        Ok(match key {
            // Rows of wanted events alone need not be looked for among their names.
            ColumnKey::Event => Column::Texts(picked.texts().alone()),
            _ => picked,
        })
    }

    fn is_few(&self, rows: &[u32]) -> bool {
        rows.len() * ONE_OF <= self.bounds.rows as usize
    }

    fn rows_of(&self, having: &Arc<Having>) -> Result<Arc<[u32]>, ScanError> {
        if let Some((_, rows)) = self.few_rows.get().filter(|(of, _)| of == having) {
            return Ok(Arc::clone(rows));
        }
        let rows: Arc<[u32]> = self.look_for(having)?.into();
        if self.is_few(&rows) {
            // Another question of the same reading may have been here: then each looks for its own.
            let _ = self.few_rows.set((Arc::clone(having), Arc::clone(&rows)));
        }
        Ok(rows)
    }

    fn look_for(&self, Having { property, texts }: &Having) -> Result<Vec<u32>, ScanError> {
        let key = text_key(property);
        let kept = self.find(&key);
        if kept.is_none() && self.segment.has_table(self.group, property) {
            let table = self.column(&ColumnKey::Table(property.clone()))?;
            let (table, segment) = (table.texts(), &self.segment);
            let wanted = table.values.find(texts);
            if let Some(rows) = segment.rows_having(self.group, property, table, &wanted)? {
                return Ok(rows);
            }
        }
        let column = kept.map_or_else(|| self.column(&key), Ok)?;
        let TextColumn { codes, values } = column.texts();
        Ok(codes.rows_with(&values.find(texts)))
    }
}

impl Column {
    /// The column of some of its rows, which are in order.
    fn pick(&self, rows: &[u32]) -> Self {
        let each = || rows.iter().map(|row| *row as usize);
        match self {
            Self::Runs(runs) => Self::Runs(runs.pick(rows)),
            Self::Times(times) => {
                let mut picked = vec![0; rows.len()];
                times.gather(rows, &mut picked);
                Self::Times(Arc::new(Times::new(&picked)))
            }
            Self::Texts(texts) => Self::Texts(texts.pick(rows)),
            Self::Numbers(numbers) => {
                let mut at = 0;
                let picked = each().map(|row| numbers.find(row, &mut at)).collect();
                Self::Numbers(Arc::new(Numbers::new(picked)))
            }
            Self::Actors(actors) => {
                let picked = |all: &Arc<Vec<u64>>| Arc::new(each().map(|row| all[row]).collect());
                Self::Actors(actors.as_ref().map(picked))
            }
            Self::Order(order) => Self::Order(each().map(|row| order[row]).collect()),
            Self::Sessions(sessions) => {
                Self::Sessions(Arc::new(each().map(|row| sessions[row]).collect()))
            }
            Self::Days(_) | Self::Bloom(_) | Self::AreFew(_) => {
                unreachable!("not a column of rows: {self:?}")
            }
        }
    }
}

impl Runs {
    fn pick(&self, rows: &[u32]) -> Self {
        let (mut run, mut project) = (0, 0);
        let of = |row: &u32| {
            // The next one is near: few rows lie between.
            run += self.starts[run + 1..].iter().take_while(|start| *start <= row).count();
            let next = |project: usize| self.projects.get(project + 1);
            while next(project).is_some_and(|(_, first)| *first as usize <= run) {
                project += 1;
            }
            (self.projects[project].0, self.persons[run])
        };
        Self::collect(rows.iter().map(of))
    }
}

impl TextColumn {
    /// A block's own values stay behind where none of the rows has them.
    fn pick(&self, rows: &[u32]) -> Self {
        let codes = Codes::narrow(rows.iter().map(|row| self.codes.get(*row as usize)));
        let picked = Self { codes: Arc::new(codes), values: Arc::clone(&self.values) };
        match &*self.values {
            Values::Own(_) => picked.alone(),
            Values::Shared(_) => picked,
        }
    }

    /// The same with those values alone that its rows have.
    fn alone(&self) -> Self {
        let codes = || (0..self.codes.len()).map(|row| self.codes.get(row) as usize);
        let mut new_codes = vec![0; self.values.len() + 1];
        codes().for_each(|code| new_codes[code] = 1);
        let (mut code, mut values) = (0, Vec::new());
        self.values.each(0, |value| {
            code += 1;
            if new_codes[code] == 1 {
                values.push(value.into());
                new_codes[code] = values.len() as u32;
            }
        });
        new_codes[0] = 0;
        let codes = Codes::new(codes().map(|code| new_codes[code]), values.len() + 1);
        Self { codes: Arc::new(codes), values: Arc::new(Values::Own(values)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Random, Source, World, small_options};
    use crate::options::StoreOptions;
    use crate::row::{Dim, Row};
    use rstest::rstest;

    /// Of these rows every twentieth is rare. A third is of a page of its own and a third of the front page,
    /// so there are many pages; others have none.
    fn blocks(cache_bytes: usize) -> Vec<Arc<dyn Block>> {
        let options = StoreOptions { cache_bytes, group_rows: 1_000, ..small_options() };
        let world = World::with(options);
        let (mut random, source) = (Random::new(7), Source::default());
        let row = |n: u64| {
            let row = source.row(&mut random);
            let mut dims = Arc::clone(&row.dims);
            Arc::make_mut(&mut dims)[Dim::Path as usize] = match n % 6 {
                0 | 3 => Some(format!("/{n}").into()),
                1 | 4 => Some("/".into()),
                2 => Some("/seldom".into()).filter(|_| n.is_multiple_of(50)),
                _ => None,
            };
            let event = if n.is_multiple_of(20) { "rare" } else { "usual" }.into();
            Row { event, dims, ..row }
        };
        world.append((0..8_000).map(row).collect()).unwrap();
        world.flush().unwrap();
        let shared = &world.store().shared;
        let segments = shared.live().segments.to_vec();
        let reading = shared.cache.reading();
        segments.iter().flat_map(|segment| segment.source(reading).blocks).collect()
    }

    fn few(block: &Arc<dyn Block>, property: Property, text: &str) -> Option<Arc<dyn Block>> {
        Arc::clone(block).few(&Arc::new(Having { property, texts: [text.into()].into() })).unwrap()
    }

    #[test]
    fn rows_of_events_are_kept_apart_where_they_are_few() {
        let mut apart = 0;
        for block in blocks(1 << 20) {
            assert!(few(&block, Property::Event, "usual").is_none());
            let Some(rare) = few(&block, Property::Event, "rare") else { continue };
            let column = |key| rare.column(&key).unwrap();
            let events = column(ColumnKey::Event);
            let (codes, values) = (&events.texts().codes, &events.texts().values);
            assert!((0..codes.len()).all(|row| events.texts().get(row) == Some("rare")));
            assert_eq!(values.len(), 1);
            assert_eq!(column(ColumnKey::Ts).times().len(), codes.len());
            assert_eq!(column(ColumnKey::Runs).runs().starts.last(), Some(&(codes.len() as u32)));
            apart += codes.len();
        }
        assert!(apart > 0);
        let nothing_is_kept = |block| few(block, Property::Event, "rare").is_none();
        assert!(blocks(0).iter().all(nothing_is_kept));
    }

    #[rstest]
    #[case::decoded_for_it(false)]
    #[case::there_already(true)]
    fn rows_of_a_rare_text_are_kept_apart(#[case] is_decoded: bool) {
        let path = || ColumnKey::Text(Property::Dim(Dim::Path));
        let mut apart = 0;
        for block in blocks(1 << 20) {
            if is_decoded {
                block.column(&path()).unwrap();
                block.column(&ColumnKey::Ts).unwrap();
            }
            let few = |text| few(&block, Property::Dim(Dim::Path), text);
            assert!(few("/").is_none(), "a third of all rows");
            let Some(rare) = few("/seldom") else { continue };
            let whole = |key| block.column(&key).unwrap();
            let (paths, times, runs) =
                (whole(path()), whole(ColumnKey::Ts), whole(ColumnKey::Runs));
            let Values::Shared(known) = &*paths.texts().values else { panic!("few enough") };
            let wanted = known.codes_of(&["/seldom"]).unwrap()[0];
            let codes = &paths.texts().codes;
            let rows: Vec<usize> =
                (0..codes.len()).filter(|row| codes.get(*row) == wanted).collect();
            let picked = |key| rare.column(&key).unwrap();
            let found = picked(ColumnKey::Ts);
            let found: Vec<i64> =
                (0..found.times().len()).map(|row| found.times().get(row)).collect();
            let want: Vec<i64> = rows.iter().map(|row| times.times().get(*row)).collect();
            assert_eq!(found, want);
            let numbers: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
            assert_eq!(picked(ColumnKey::Runs).runs(), &runs.runs().pick(&numbers));
            let texts = picked(path());
            assert!((0..rows.len()).all(|row| texts.texts().get(row) == Some("/seldom")));
            assert_eq!(texts.texts().codes.len(), rows.len());
            apart += rows.len();
        }
        assert!(apart > 0);
    }

    #[test]
    fn pages_without_a_wanted_row_are_passed_over_and_others_are_not() {
        const ROWS: u64 = 70_000;
        let options =
            StoreOptions { cache_bytes: 1 << 20, group_rows: ROWS as usize, ..small_options() };
        let world = World::with(options);
        let (mut random, source) = (Random::new(7), Source::default());
        // Pages have 20,000 rows: some of the first and its last, the first of the third, and the last of all.
        let seldom = [0, 1, 7, 19_999, 40_000, ROWS - 1];
        let row = |n: u64| {
            let row = source.row(&mut random);
            let mut dims = Arc::clone(&row.dims);
            Arc::make_mut(&mut dims)[Dim::Path as usize] = match n {
                n if seldom.contains(&n) => Some("/seldom".into()),
                n if n.is_multiple_of(3) => None,
                n => Some(format!("/{n}").into()),
            };
            Row { project: 1, person: 1, actor: 1, ts_ms: n as i64 * 1_000, dims, ..row }
        };
        world.append((0..ROWS).map(row).collect()).unwrap();
        world.flush().unwrap();
        let shared = &world.store().shared;
        let segment = Arc::clone(&shared.live().segments[0]);
        let blocks = segment.source(shared.cache.reading()).blocks;
        assert_eq!(blocks.len(), 1);
        let rare = few(&blocks[0], Property::Dim(Dim::Path), "/seldom").expect("they are few");
        let times = rare.column(&ColumnKey::Ts).unwrap();
        let found: Vec<u64> =
            (0..times.times().len()).map(|row| times.times().get(row) as u64 / 1_000).collect();
        assert_eq!(found, seldom);
    }
}
