//! How events lie in memory: columns of blocks, as narrow as their values allow.
//!
//! In: decoded columns, which a store keeps between questions. Out: [`Block`]s and [`Span`]s of
//! their rows, which kernels read in place: nothing is copied for a person.
//!
//! Invariant: all columns of a block have as many rows, ordered by person and then by
//! `(ts, device sequence, event id)`.
//!
//! Deliberately elsewhere: what a kernel wants to see ([`ScanPlan`](crate::events::ScanPlan)),
//! files and decoding (the store).

use std::ops::Range;
use std::sync::Arc;

/// Times in Unix milliseconds: offsets from the first where they fit, which is 49 days.
#[derive(Debug, Clone, PartialEq)]
pub enum Times {
    /// `base_ms + offsets[row]`.
    Narrow {
        /// What the offsets are added to.
        base_ms: i64,
        /// One per row.
        offsets: Vec<u32>,
    },
    /// As they are.
    Wide(Vec<i64>),
}

impl Times {
    /// The times, in the narrowest form.
    pub fn new(times: &[i64]) -> Self {
        let base_ms = times.iter().copied().min().unwrap_or(0);
        let last_ms = times.iter().copied().max().unwrap_or(0);
        if last_ms.checked_sub(base_ms).is_some_and(|span| u32::try_from(span).is_ok()) {
            let offsets = times.iter().map(|at| (at - base_ms) as u32).collect();
            return Self::Narrow { base_ms, offsets };
        }
        Self::Wide(times.to_vec())
    }

    /// The time of a row.
    #[inline]
    pub fn get(&self, row: usize) -> i64 {
        match self {
            Self::Narrow { base_ms, offsets } => base_ms + i64::from(offsets[row]),
            Self::Wide(times) => times[row],
        }
    }

    /// The times of some rows. Rows far apart are each somewhere else in memory: asked for one after the other,
    /// with a decision after each, every one would be waited for.
    #[inline]
    pub fn gather(&self, rows: &[u32], times: &mut [i64]) {
        let each = times.iter_mut().zip(rows);
        match self {
            Self::Narrow { base_ms, offsets } => {
                each.for_each(|(at, row)| *at = base_ms + i64::from(offsets[*row as usize]));
            }
            Self::Wide(times) => each.for_each(|(at, row)| *at = times[*row as usize]),
        }
    }

    /// The first of some rows, which are in order, that is not before a time; the end of them if all are.
    #[inline]
    pub fn seek(&self, rows: Range<usize>, at_ms: i64) -> usize {
        // Mostly it is near: steps that double find it among few, and far away among many.
        let (mut from, mut step) = (rows.start, 1);
        while from + step <= rows.end && self.get(from + step - 1) < at_ms {
            from += step;
            step *= 2;
        }
        let mut end = rows.end.min(from + step);
        while from < end {
            let middle = from + (end - from) / 2;
            match self.get(middle) < at_ms {
                true => from = middle + 1,
                false => end = middle,
            }
        }
        from
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow { offsets, .. } => offsets.len(),
            Self::Wide(times) => times.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Narrow { offsets, .. } => offsets.len() * 4,
            Self::Wide(times) => times.len() * 8,
        }
    }
}

/// Codes of texts, in the narrowest integer that holds the largest. Code 0 is "absent".
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the widths")]
pub enum Codes {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
}

/// Runs an expression with `$codes` bound to the codes of whatever width.
#[macro_export]
macro_rules! each_width {
    ($column:expr, $codes:ident => $body:expr) => {
        match $column {
            $crate::columns::Codes::U8($codes) => $body,
            $crate::columns::Codes::U16($codes) => $body,
            $crate::columns::Codes::U32($codes) => $body,
        }
    };
}

impl Codes {
    /// Codes below `count`.
    pub fn new(codes: impl Iterator<Item = u32>, count: usize) -> Self {
        if count <= 1 << 8 {
            Self::U8(codes.map(|code| code as u8).collect())
        } else if count <= 1 << 16 {
            Self::U16(codes.map(|code| code as u16).collect())
        } else {
            Self::U32(codes.collect())
        }
    }

    /// As narrow as the largest of them.
    pub fn narrow(codes: impl Iterator<Item = u32> + Clone) -> Self {
        let largest = codes.clone().max().unwrap_or(0);
        Self::new(codes, largest as usize + 1)
    }

    /// The code of a row.
    #[inline]
    pub fn get(&self, row: usize) -> u32 {
        match self {
            Self::U8(codes) => u32::from(codes[row]),
            Self::U16(codes) => u32::from(codes[row]),
            Self::U32(codes) => codes[row],
        }
    }

    /// Whether a row has this code.
    pub fn has(&self, code: u32) -> bool {
        // Many at once, without a decision after each.
        each_width!(self, codes => codes.chunks(256).any(|some| {
            some.iter().fold(false, |has, each| has | (*each as usize == code as usize))
        }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        each_width!(self, codes => codes.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        each_width!(self, codes => size_of_val(&codes[..]))
    }
}

/// Numbers, `NaN` where there is none: all rows, or only those that have one.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// One per row.
    Dense(Vec<f64>),
    /// Rows in rising order, and their numbers.
    Sparse {
        /// Rows with a number.
        rows: Vec<u32>,
        /// Their numbers.
        values: Vec<f64>,
    },
}

impl Numbers {
    /// Whether so many numbers in so many rows take less room with their rows.
    pub fn is_sparse(present: usize, rows: usize) -> bool {
        present * (size_of::<f64>() + size_of::<u32>()) < rows * size_of::<f64>()
    }

    /// The numbers, in the smaller form.
    pub fn new(numbers: Vec<f64>) -> Self {
        let present = numbers.iter().filter(|number| !number.is_nan()).count();
        if !Self::is_sparse(present, numbers.len()) {
            return Self::Dense(numbers);
        }
        let mut rows = Vec::with_capacity(present);
        let mut values = Vec::with_capacity(present);
        for (row, number) in numbers.into_iter().enumerate() {
            if !number.is_nan() {
                rows.push(row as u32);
                values.push(number);
            }
        }
        Self::Sparse { rows, values }
    }

    /// The numbers of the rows that have one, of so many rows, in the smaller form.
    pub fn of_present(rows: Vec<u32>, values: Vec<f64>, count: usize) -> Self {
        if Self::is_sparse(values.len(), count) {
            return Self::Sparse { rows, values };
        }
        let mut numbers = vec![f64::NAN; count];
        rows.iter().zip(values).for_each(|(row, number)| numbers[*row as usize] = number);
        Self::Dense(numbers)
    }

    /// The number of a row.
    #[inline]
    pub fn get(&self, row: usize) -> f64 {
        match self {
            Self::Dense(numbers) => numbers[row],
            Self::Sparse { rows, values } => match rows.binary_search(&(row as u32)) {
                Ok(at) => values[at],
                Err(_) => f64::NAN,
            },
        }
    }

    /// The same where rows are asked for mostly in rising order: `at` is where among those that have a number
    /// the search goes on.
    #[inline]
    pub fn find(&self, row: usize, at: &mut usize) -> f64 {
        let (rows, values) = match self {
            Self::Dense(numbers) => return numbers[row],
            Self::Sparse { rows, values } => (rows, values),
        };
        let row = row as u32;
        if at.checked_sub(1).is_some_and(|before| rows[before] >= row) {
            *at = rows.partition_point(|other| *other < row);
        }
        while rows.get(*at).is_some_and(|other| *other < row) {
            *at += 1;
        }
        if rows.get(*at) == Some(&row) { values[*at] } else { f64::NAN }
    }

    /// Add those of some rows to a list.
    pub fn extend(&self, list: &mut Vec<f64>, of: &Range<usize>) {
        match self {
            Self::Dense(numbers) => list.extend_from_slice(&numbers[of.clone()]),
            Self::Sparse { rows, values } => {
                let start = list.len();
                list.resize(start + of.len(), f64::NAN);
                let place = |row: usize| rows.partition_point(|other| (*other as usize) < row);
                let present = place(of.start)..place(of.end);
                for (row, value) in rows[present.clone()].iter().zip(&values[present]) {
                    list[start + *row as usize - of.start] = *value;
                }
            }
        }
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(numbers) => size_of_val(&numbers[..]),
            Self::Sparse { rows, values } => size_of_val(&rows[..]) + size_of_val(&values[..]),
        }
    }
}

/// A text column of a block: codes of the column, and what they are in the question's dictionary.
#[derive(Debug, Clone)]
pub struct Coded {
    /// The column's own codes.
    pub codes: Arc<Codes>,
    /// The question's code of each of them. Codes that no wanted row has may be [`ABSENT`](crate::events::ABSENT).
    pub global: Arc<Vec<u32>>,
}

impl Coded {
    /// The question's code of a row.
    #[inline]
    pub fn get(&self, row: usize) -> u32 {
        self.global[self.codes.get(row) as usize]
    }

    /// A look-up table by the column's own code from one by the question's.
    pub fn table<T: Copy>(&self, by_global: &[T]) -> Vec<T> {
        self.global.iter().map(|&code| by_global[code as usize]).collect()
    }
}

/// Rows of many persons, as columns.
#[derive(Debug, Clone)]
pub struct Block {
    /// The rows to look at: those of the persons that are asked for.
    pub rows: Range<usize>,
    /// When; nothing where the question is [timeless](crate::kernel::Analysis::is_timeless) from the first row to
    /// the last.
    pub ts: Arc<Times>,
    /// Whether every row lies in the time of the plan.
    pub all_in_time: bool,
    /// No row is earlier, Unix milliseconds.
    pub first_ms: i64,
    /// No row is later.
    pub last_ms: i64,
    /// Which device. `None` when it cannot matter: the plan does not ask, or no two events of a
    /// person in one millisecond are of different devices.
    pub actors: Option<Arc<Vec<u64>>>,
    /// Event names. A name that the plan does not want is
    /// [`ABSENT`](crate::events::ABSENT).
    pub event: Coded,
    /// The text columns of the plan, in its order.
    pub texts: Vec<Coded>,
    /// The number columns of the plan, in its order.
    pub numbers: Vec<Arc<Numbers>>,
    /// As [`Run::sessions`](crate::events::Run::sessions), if the plan asks.
    pub sessions: Option<Arc<Vec<u64>>>,
}

/// Rows of one person in one block.
#[derive(Debug, Clone)]
pub struct Span<'a> {
    /// The number under which the kernel was shown the block.
    pub slot: usize,
    /// The block.
    pub block: &'a Block,
    /// The rows.
    pub rows: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_row_sought_is_the_first_that_is_not_before(
            mut times in prop::collection::vec(0i64..60, 0..70), from in 0usize..70, at_ms in -2i64..62,
            wide in any::<bool>(),
        ) {
            times.sort_unstable();
            let from = from.min(times.len());
            let column = if wide { Times::Wide(times.clone()) } else { Times::new(&times) };
            let want = from + times[from..].iter().filter(|time| **time < at_ms).count();
            prop_assert_eq!(column.seek(from..times.len(), at_ms), want);
        }
    }

    /// Where two rows of three have one, a list of rows is as large as all of them.
    #[test]
    fn present_numbers_are_the_same_in_either_form() {
        for (count, is_sparse) in [(2, false), (3, false), (4, true)] {
            let numbers = Numbers::of_present(vec![0, 1], vec![0.5, 7.0], count);
            assert_eq!(matches!(numbers, Numbers::Sparse { .. }), is_sparse, "{count}");
            let found: Vec<f64> = (0..count).map(|row| numbers.get(row)).collect();
            assert_eq!(found[..2], [0.5, 7.0]);
            let mut at = 0;
            for row in [0, 1, 1, 0, count - 1, 0, 1] {
                assert_eq!(
                    numbers.find(row, &mut at).to_bits(),
                    found[row].to_bits(),
                    "{count} {row}"
                );
            }
            assert!(found[2..].iter().all(|number| number.is_nan()));
            for range in [0..count, 1..count, 1..1] {
                let mut list = vec![3.0];
                numbers.extend(&mut list, &range);
                let want = [&[3.0][..], &found[range]].concat();
                let bits =
                    |numbers: &[f64]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&list), bits(&want));
            }
        }
    }
}
