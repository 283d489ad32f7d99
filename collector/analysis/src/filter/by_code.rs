//! What a table by code has for each row of a column.
//!
//! In: the codes of rows, and a value for each code. Out: each row's value, joined with what the row had before.
//! One look-up a row is what that costs in general. Mostly, though, all codes but a few have the same value, as a
//! filter wants one country, a pattern one event: then the codes are compared with these few, and a processor
//! compares many at a time.

use std::ops::Range;

use crate::columns::Codes;
use crate::each_width;

/// Codes that are worth comparing with every row.
const FEW: usize = 4;

/// Join what each of some rows has with what the table has for its code; `out` is theirs alone.
pub(super) fn by_code<M: Copy + PartialEq>(
    codes: &Codes,
    rows: Range<usize>,
    table: &[M],
    out: &mut [M],
    join: impl Fn(M, M) -> M,
) {
    each_width!(codes, codes => spread(&codes[rows], table, out, join));
}

fn spread<T, M>(codes: &[T], table: &[M], out: &mut [M], join: impl Fn(M, M) -> M)
where
    T: Copy + PartialEq + TryFrom<usize>,
    u32: From<T>,
    M: Copy + PartialEq,
{
    let rows = out.iter_mut().zip(codes);
    let most = most(table);
    let others = table.iter().enumerate().filter(|(_, value)| Some(**value) != most);
    // A code that is wider than the column's integer is one that no row has.
    let few = others.filter_map(|(code, value)| Some((T::try_from(code).ok()?, *value)));
    let few: Vec<(T, M)> = few.take(FEW + 1).collect();
    match (most, &few[..]) {
        (Some(most), []) => rows.for_each(|(out, _)| *out = join(*out, most)),
        (Some(most), [one]) => compare(rows, most, [*one], join),
        (Some(most), [one, two]) => compare(rows, most, [*one, *two], join),
        // Twice the same does no harm.
        (Some(most), [one, two, three]) => compare(rows, most, [*one, *two, *three, *three], join),
        (Some(most), [one, two, three, four]) => {
            compare(rows, most, [*one, *two, *three, *four], join);
        }
        _ => rows.for_each(|(out, code)| *out = join(*out, table[u32::from(*code) as usize])),
    }
}

/// All codes have the value `most`, but for these.
#[inline]
fn compare<'a, T: Copy + PartialEq + 'a, M: Copy + 'a, const N: usize>(
    rows: impl Iterator<Item = (&'a mut M, &'a T)>,
    most: M,
    few: [(T, M); N],
    join: impl Fn(M, M) -> M,
) {
    rows.for_each(|(out, code)| {
        let value = few.iter().fold(
            most,
            |value, (other, of_other)| {
                if *code == *other { *of_other } else { value }
            },
        );
        *out = join(*out, value);
    });
}

/// The value that more than half of them are, if there is one; else any of them.
fn most<M: Copy + PartialEq>(table: &[M]) -> Option<M> {
    let vote = |(most, votes): (Option<M>, usize), value: &M| match most {
        Some(most) if most == *value => (Some(most), votes + 1),
        Some(most) if votes > 0 => (Some(most), votes - 1),
        _ => (Some(*value), 1),
    };
    table.iter().fold((None, 0), vote).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_gets_what_the_table_has_for_its_code(
            values in prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 0, 0, 0, 1, 2, 255]), 1..300),
            wide in any::<bool>(),
            picks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..150),
            from in 0usize..20,
        ) {
            let codes: Vec<u32> =
                picks.iter().map(|(pick, _)| pick.index(values.len()) as u32).collect();
            let count = if wide { 1 << 20 } else { values.len() };
            let column = Codes::new(codes.iter().copied(), count);
            let rows = from.min(codes.len())..codes.len();
            let before: Vec<u8> = picks[rows.clone()].iter().map(|(_, before)| *before).collect();
            let mut out = before.clone();
            by_code(&column, rows.clone(), &values, &mut out, |before, value| before ^ value);
            let want: Vec<u8> =
                before.iter().zip(&codes[rows]).map(|(b, code)| b ^ values[*code as usize]).collect();
            prop_assert_eq!(out, want);
        }
    }
}
