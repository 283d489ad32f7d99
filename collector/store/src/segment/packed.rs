//! Columns as the cache keeps them: smaller, where that is cheap to undo.
//!
//! In: a decoded column. Out: the same column, made again for a question.
//!
//! Columns with few values, mostly absent ones or mostly equal neighbours, and the session of every row,
//! are what questions want beside time; packed, they leave room for several times as many. Unpacking writes
//! a block from front to back, which costs less than a look at its rows.

use std::sync::Arc;

use tallymark_analysis::columns::Codes;
use tallymark_analysis::each_width;

use crate::block::{Column, TextColumn, Values};

/// A column.
#[derive(Debug)]
pub(crate) enum Packed {
    /// As it is.
    Plain(Arc<Column>),
    /// Codes below 16, two in a byte, the first in the lower half.
    Halves { halves: Vec<u8>, rows: usize, values: Arc<Values> },
    /// The rows that have a value, their codes, and how many rows there are.
    Sparse { present: Vec<u32>, codes: Codes, rows: usize, values: Arc<Values> },
    /// Runs of equal codes: the codes, and the rows behind the runs.
    Runs { ends: Vec<u32>, codes: Codes, values: Arc<Values> },
    /// The same of sessions.
    Sessions { ends: Vec<u32>, sessions: Vec<u64> },
}

/// A column of a file.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// As questions read it.
    Column(Column),
    /// The same, when most rows are known to have a text.
    Dense(TextColumn),
    /// The same, and small enough to be kept like that.
    Small(Column),
    /// As it is kept, because a file says it like that.
    Packed(Packed),
}

impl From<Column> for Decoded {
    fn from(column: Column) -> Self {
        Self::Column(column)
    }
}

impl Decoded {
    /// As it is kept, if it is, and as questions read it.
    pub(super) fn both(self) -> (Option<Packed>, Arc<Column>) {
        match self {
            Self::Column(column) => {
                let column = Arc::new(column);
                (Packed::new(&column), column)
            }
            Self::Dense(texts) => {
                let packed = Packed::halves(&texts.codes, &texts.values);
                let column = Arc::new(Column::Texts(texts));
                (Some(packed.unwrap_or_else(|| Packed::Plain(Arc::clone(&column)))), column)
            }
            Self::Small(column) => {
                let column = Arc::new(column);
                (Some(Packed::Plain(Arc::clone(&column))), column)
            }
            Self::Packed(packed) => {
                let column = packed.unpack();
                (Some(packed), column)
            }
        }
    }

    /// A text column of which only these rows have a value.
    pub(super) fn of_present(
        present: Vec<u32>,
        codes: Codes,
        rows: usize,
        values: Arc<Values>,
    ) -> Self {
        if Packed::is_sparse(present.len(), rows) {
            return Self::Packed(Packed::Sparse { present, codes, rows, values });
        }
        let codes = Arc::new(scatter_codes(&present, &codes, rows));
        Self::Column(Column::Texts(TextColumn { codes, values }))
    }

    /// A text column of runs of equal rows.
    pub(super) fn of_runs(ends: Vec<u32>, codes: Codes, rows: usize, values: Arc<Values>) -> Self {
        // Half as much as half a byte for each row, at most.
        let are_few = 4 * (size_of_val(&ends[..]) + codes.bytes()) <= rows;
        if are_few {
            return Self::Packed(Packed::Runs { ends, codes, values });
        }
        Self::Dense(TextColumn { codes: Arc::new(stretch_codes(&ends, &codes)), values })
    }

    /// As questions read it.
    pub(super) fn column(self) -> Arc<Column> {
        match self {
            Self::Column(column) | Self::Small(column) => Arc::new(column),
            Self::Dense(texts) => Arc::new(Column::Texts(texts)),
            Self::Packed(packed) => packed.unpack(),
        }
    }
}

impl Packed {
    /// Whether a column with so many values is kept by them: four bytes for a row and at most as many
    /// for its code, against at least half a one for each.
    pub(super) fn is_sparse(present: usize, rows: usize) -> bool {
        present * 16 < rows
    }

    /// The smallest form of a column; `None` if that is too large for what few questions want.
    pub(super) fn new(column: &Arc<Column>) -> Option<Self> {
        let packed = match &**column {
            Column::Texts(TextColumn { codes, values }) => {
                Self::sparse(codes, values).or_else(|| Self::halves(codes, values))
            }
            Column::Sessions(sessions) => return Self::sessions(sessions),
            _ => None,
        };
        Some(packed.unwrap_or_else(|| Self::Plain(Arc::clone(column))))
    }

    fn sparse(codes: &Codes, values: &Arc<Values>) -> Option<Self> {
        let rows = codes.len();
        let count = each_width!(codes, codes => codes.chunks(u8::MAX.into()).map(|some| {
            // Every column that is decoded comes by here: sums of bytes are many at once.
            usize::from(some.iter().map(|code| u8::from(*code != 0)).sum::<u8>())
        }).sum());
        if !Self::is_sparse(count, rows) {
            return None;
        }
        let mut present = Vec::with_capacity(count);
        each_width!(codes, codes => {
            let rows = (0u32..).zip(codes.iter()).filter(|(_, code)| **code != 0);
            present.extend(rows.map(|(row, _)| row));
        });
        let codes = Codes::narrow(present.iter().map(|row| codes.get(*row as usize)));
        Some(Self::Sparse { present, codes, rows, values: Arc::clone(values) })
    }

    fn halves(codes: &Codes, values: &Arc<Values>) -> Option<Self> {
        let Codes::U8(codes) = codes else { return None };
        if codes.iter().fold(0, |bits, code| bits | code) > 0xf {
            return None;
        }
        let (pairs, last) = codes.as_chunks();
        let mut halves = vec![0; codes.len().div_ceil(2)];
        // As one number of two bytes, many pairs are put together at once.
        for (both, pair) in halves.iter_mut().zip(pairs) {
            let pair = u16::from_le_bytes(*pair);
            *both = (pair | pair >> 4) as u8;
        }
        if let ([last], Some(half)) = (last, halves.last_mut()) {
            *half = *last;
        }
        let (rows, values) = (codes.len(), Arc::clone(values));
        Some(Self::Halves { halves, rows, values })
    }

    fn sessions(column: &[u64]) -> Option<Self> {
        let count = 1 + column.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // Sessions of one event each would push out what all questions want.
        let is_small = count * (size_of::<u32>() + size_of::<u64>()) * 4 <= size_of_val(column);
        if !is_small {
            return None;
        }
        let (mut ends, mut sessions, mut end) = (Vec::new(), Vec::new(), 0);
        for same in column.chunk_by(u64::eq) {
            end += same.len() as u32;
            ends.push(end);
            sessions.push(same[0]);
        }
        Some(Self::Sessions { ends, sessions })
    }

    /// The column as questions read it.
    pub(super) fn unpack(&self) -> Arc<Column> {
        let texts = |codes: Codes, values: &Arc<Values>| {
            Column::Texts(TextColumn { codes: Arc::new(codes), values: Arc::clone(values) })
        };
        Arc::new(match self {
            Self::Plain(column) => return Arc::clone(column),
            Self::Halves { halves, rows, values } => {
                let mut codes = vec![0; halves.len() * 2];
                let (pairs, _) = codes.as_chunks_mut::<2>();
                for (pair, both) in pairs.iter_mut().zip(halves) {
                    let both = u16::from(*both);
                    *pair = (both & 0xf | (both & 0xf0) << 4).to_le_bytes();
                }
                codes.truncate(*rows);
                texts(Codes::U8(codes), values)
            }
            Self::Sparse { present, codes, rows, values } => {
                texts(scatter_codes(present, codes, *rows), values)
            }
            Self::Runs { ends, codes, values } => texts(stretch_codes(ends, codes), values),
            Self::Sessions { ends, sessions } => {
                Column::Sessions(Arc::new(stretch(ends, sessions)))
            }
        })
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(column) => column.bytes(),
            Self::Halves { halves, values, .. } => halves.len() + values.own_bytes(),
            Self::Sparse { present, codes, values, .. } => {
                size_of_val(&present[..]) + codes.bytes() + values.own_bytes()
            }
            Self::Runs { ends, codes, values } => {
                size_of_val(&ends[..]) + codes.bytes() + values.own_bytes()
            }
            Self::Sessions { ends, sessions } => {
                size_of_val(&ends[..]) + size_of_val(&sessions[..])
            }
        }
    }
}

fn stretch_codes(ends: &[u32], codes: &Codes) -> Codes {
    match codes {
        Codes::U8(codes) => Codes::U8(stretch(ends, codes)),
        Codes::U16(codes) => Codes::U16(stretch(ends, codes)),
        Codes::U32(codes) => Codes::U32(stretch(ends, codes)),
    }
}

fn stretch<T: Copy>(ends: &[u32], codes: &[T]) -> Vec<T> {
    let rows = ends.last().map_or(0, |end| *end as usize);
    let mut all = Vec::with_capacity(rows);
    for (end, code) in ends.iter().zip(codes) {
        all.resize(*end as usize, *code);
    }
    all
}

fn scatter_codes(present: &[u32], codes: &Codes, rows: usize) -> Codes {
    match codes {
        Codes::U8(codes) => Codes::U8(scatter(present, codes, rows)),
        Codes::U16(codes) => Codes::U16(scatter(present, codes, rows)),
        Codes::U32(codes) => Codes::U32(scatter(present, codes, rows)),
    }
}

fn scatter<T: Copy + Default>(present: &[u32], codes: &[T], rows: usize) -> Vec<T> {
    let mut all = vec![T::default(); rows];
    present.iter().zip(codes).for_each(|(row, code)| all[*row as usize] = *code);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(codes: Vec<u32>) -> Arc<Column> {
        let count = codes.iter().max().map_or(1, |max| *max as usize + 1);
        let values = (1..count).map(|code| code.to_string().into()).collect();
        let codes = Arc::new(Codes::new(codes.into_iter(), count));
        Arc::new(Column::Texts(TextColumn { codes, values: Arc::new(Values::Own(values)) }))
    }

    proptest! {
        #[test]
        fn a_column_comes_back_as_it_was(
            max in prop::sample::select(vec![1u32, 15, 16, 255, 256, 70_000]),
            present in prop::sample::select(vec![0.0, 0.05, 1.0]),
            draws in prop::collection::vec((any::<u32>(), 0.0..1.0), 0..300),
            sessions in prop::collection::vec((any::<u64>(), 1usize..40), 0..40),
            runs in prop::collection::vec((0u32..300, 1usize..200), 1..40),
        ) {
            let code = |&(code, chance): &(u32, f64)| if chance < present { code % (max + 1) } else { 0 };
            let column = texts(draws.iter().map(code).collect());
            let packed = Packed::new(&column).unwrap();
            prop_assert!(packed.bytes() <= column.bytes());
            // Widths may differ, codes may not.
            let (was, is) = (&column.texts().codes, packed.unpack());
            prop_assert_eq!(was.len(), is.texts().codes.len());
            prop_assert!((0..was.len()).all(|row| was.get(row) == is.texts().codes.get(row)));
            prop_assert!(Arc::ptr_eq(&column.texts().values, &is.texts().values));

            let rows: Vec<u32> = runs.iter().flat_map(|(code, rows)| vec![*code; *rows]).collect();
            let mut end = 0;
            let ends = runs.iter().map(|(_, rows)| {
                end += *rows as u32;
                end
            });
            let ends = ends.collect();
            let codes = Codes::new(runs.iter().map(|(code, _)| *code), 300);
            let values = Arc::new(Values::Own(Vec::new()));
            let (packed, column) = Decoded::of_runs(ends, codes, rows.len(), values).both();
            let unpacked = packed.unwrap().unpack();
            for column in [column, unpacked] {
                let codes = &column.texts().codes;
                prop_assert!((0..codes.len()).map(|row| codes.get(row)).eq(rows.iter().copied()));
            }

            let sessions: Vec<u64> =
                sessions.into_iter().flat_map(|(id, rows)| vec![id; rows]).collect();
            let column = Arc::new(Column::Sessions(Arc::new(sessions)));
            if let Some(packed) = Packed::new(&column) {
                prop_assert!(packed.bytes() * 4 <= column.bytes());
                let unpacked = packed.unpack();
                prop_assert_eq!(unpacked.sessions(), column.sessions());
            }
        }
    }

    #[test]
    fn few_values_and_mostly_absent_ones_take_half_a_byte_or_less() {
        let few = texts((0..1000).map(|row| row % 15).collect());
        assert!(
            matches!(Packed::new(&few), Some(Packed::Halves { halves, .. }) if halves.len() == 500)
        );
        let rare = texts((0..1000).map(|row| u32::from(row % 50 == 7) * 200).collect());
        assert!(
            matches!(Packed::new(&rare), Some(Packed::Sparse { present, .. }) if present.len() == 20)
        );
        let absent = texts(vec![0; 1000]);
        assert_eq!(Packed::new(&absent).unwrap().bytes(), 0);
    }
}
