//! A row group's rows of a few events, next to each other.
//!
//! In: a row group, and the only events that change a question's answer. Out: a block of their rows alone,
//! where these are few: in the columns of all rows each would be somewhere else in memory, and most persons
//! would be met for nothing. Its columns are kept between questions like others.
//!
//! Columns of all rows that only such questions read are decoded for it and not kept beside it.

use std::sync::{Arc, OnceLock};

use tallymark_analysis::columns::{Codes, Numbers, Times};

use super::SegmentBlock;
use crate::block::{Block, Bounds, Column, ColumnKey, Events, Property, Runs, TextColumn, Values};
use crate::error::ScanError;

/// One row of so many, at most.
const ONE_OF: usize = 16;

/// The rows of a reading's events, so that each of its columns need not look for them.
pub(super) type Rows = OnceLock<(Events, Arc<[u32]>)>;

/// The block without its other rows.
struct Few {
    block: Arc<SegmentBlock>,
    events: Events,
}

/// `None` where they are more, or nothing is kept.
pub(super) fn of(
    block: Arc<SegmentBlock>,
    events: &Events,
) -> Result<Option<Arc<dyn Block>>, ScanError> {
    let are_few = block.segment.cache.is_on()
        && *block.column(&ColumnKey::AreFew(Arc::clone(events)))?.are_few();
    let few = are_few.then(|| Few { block, events: Arc::clone(events) });
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
        self.block.column(&ColumnKey::OfFew(Arc::clone(&self.events), Box::new(key.clone())))
    }

    fn may_have(&self, property: &Property, texts: &[Box<str>]) -> Result<bool, ScanError> {
        self.block.may_have(property, texts)
    }
}

impl SegmentBlock {
    pub(super) fn are_few(&self, events: &Events) -> Result<Column, ScanError> {
        Ok(Column::AreFew(self.is_few(&self.rows_of(events)?)))
    }

    pub(super) fn of_few(&self, events: &Events, key: &ColumnKey) -> Result<Column, ScanError> {
        let rows = self.rows_of(events)?;
        let whole = match key {
            ColumnKey::Runs | ColumnKey::Ts | ColumnKey::Event => self.column(key)?,
            _ => match self.segment.cache.find(self.segment.meta.id, self.group, key) {
                Some(column) => column,
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

    fn rows_of(&self, events: &Events) -> Result<Arc<[u32]>, ScanError> {
        if let Some((_, rows)) = self.few_rows.get().filter(|(of, _)| of == events) {
            return Ok(Arc::clone(rows));
        }
        let column = self.column(&ColumnKey::Event)?;
        let TextColumn { codes, values } = column.texts();
        let (mut wanted, mut code) = (Vec::new(), 0);
        values.each(0, |name| {
            code += 1;
            wanted.extend(events.iter().any(|event| **event == *name).then_some(code));
        });
        let rows: Arc<[u32]> = codes.rows_with(&wanted).into();
        if self.is_few(&rows) {
            // Another question of the same reading may have been here: then each looks for its own.
            let _ = self.few_rows.set((Arc::clone(events), Arc::clone(&rows)));
        }
        Ok(rows)
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
        let codes = || rows.iter().map(|row| self.codes.get(*row as usize));
        let count = codes().max().map_or(1, |max| max as usize + 1);
        let (codes, values) = (Arc::new(Codes::new(codes(), count)), Arc::clone(&self.values));
        let picked = Self { codes, values };
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
    use crate::row::Row;

    /// Of 320 rows every twentieth is rare.
    fn blocks(cache_bytes: usize) -> Vec<Arc<dyn Block>> {
        let options = StoreOptions { cache_bytes, group_rows: 400, ..small_options() };
        let world = World::with(options);
        let (mut random, source) = (Random::new(7), Source::default());
        let row = |n: u64| Row {
            event: if n.is_multiple_of(20) { "rare" } else { "usual" }.into(),
            ..source.row(&mut random)
        };
        world.append((0..320).map(row).collect()).unwrap();
        world.flush().unwrap();
        let shared = &world.store().shared;
        let segments = shared.live().segments.to_vec();
        let reading = shared.cache.reading();
        segments.iter().flat_map(|segment| segment.source(reading).blocks).collect()
    }

    fn few(block: &Arc<dyn Block>, name: &str) -> Option<Arc<dyn Block>> {
        Arc::clone(block).few(&[name.into()].into()).unwrap()
    }

    #[test]
    fn rows_of_events_are_kept_apart_where_they_are_few() {
        let mut apart = 0;
        for block in blocks(1 << 20) {
            assert!(few(&block, "usual").is_none());
            let Some(rare) = few(&block, "rare") else { continue };
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
        assert!(blocks(0).iter().all(|block| few(block, "rare").is_none()), "nothing is kept");
    }
}
