//! The texts that codes of a column stand for: of one block, or shared by all blocks of a segment.
//!
//! In: the dictionaries of blocks. Out: codes, and the texts in the order of theirs.

use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What codes mean: code `i` is the value `i - 1`, code 0 is absent.
#[derive(Debug)]
pub(crate) enum Values {
    /// Of one block.
    Own(Vec<Box<str>>),
    /// Of all blocks of a segment, so that a question translates them once.
    Shared(SharedValues),
}

/// Values that only grow.
#[derive(Debug, Default)]
pub(crate) struct SharedValues(RwLock<Known>);

/// Texts one behind the other, and their codes by hash: the first question reads the dictionary of
/// every block against this, so it must stay small enough for a core's own memory.
#[derive(Debug, Default)]
struct Known {
    texts: String,
    /// Where each text ends.
    ends: Vec<u32>,
    codes: HashTable<Code>,
    hasher: DefaultHashBuilder,
}

/// A code, beside the half of its text's hash that the table does not look at by itself.
#[derive(Debug)]
struct Code {
    hash: u32,
    code: u32,
}

impl Known {
    fn get(&self, code: u32) -> &str {
        let ends = &self.ends[..code as usize];
        let start = ends.split_last().and_then(|(_, before)| before.last()).map_or(0, |end| *end);
        &self.texts[start as usize..ends[code as usize - 1] as usize]
    }

    fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }

    fn code(&self, hash: u32, text: &str) -> Option<u32> {
        let is_it = |known: &Code| known.hash == hash && self.get(known.code) == text;
        self.codes.find(spread(hash), is_it).map(|known| known.code)
    }

    /// The code of a text, made if need be; `None` when there are too many, or too long ones.
    fn add(&mut self, text: &str) -> Option<u32> {
        let hash = self.hash(text);
        if let Some(code) = self.code(hash, text) {
            return Some(code);
        }
        let end = u32::try_from(self.texts.len() + text.len()).ok()?;
        if self.ends.len() == SHARED_MAX {
            return None;
        }
        self.texts.push_str(text);
        self.ends.push(end);
        let code = self.ends.len() as u32;
        self.codes.insert_unique(spread(hash), Code { hash, code }, |known| spread(known.hash));
        Some(code)
    }
}

/// Tables look at the highest bits of a hash, too.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Values that a segment's blocks share at most: where there are more, each block keeps its own, and
/// a question only translates those it meets.
const SHARED_MAX: usize = 60_000;

impl SharedValues {
    /// The codes of a block's values, in their order; `None` when there would be too many.
    pub(crate) fn codes_of<T: AsRef<str>>(&self, block: &[T]) -> Option<Vec<u32>> {
        let all_known: Option<Vec<u32>> = {
            // Most blocks have what those before them had, and need not wait for each other.
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let code = |value: &T| known.code(known.hash(value.as_ref()), value.as_ref());
            block.iter().map(code).collect()
        };
        if all_known.is_some() {
            return all_known;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.ends.len() + block.len() > SHARED_MAX {
            let is_new =
                |value: &&T| known.code(known.hash(value.as_ref()), value.as_ref()).is_none();
            if known.ends.len() + block.iter().filter(is_new).count() > SHARED_MAX {
                return None;
            }
        }
        block.iter().map(|value| known.add(value.as_ref())).collect()
    }
}

impl Values {
    /// How many there are now.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(values) => values.len(),
            Self::Shared(shared) => {
                shared.0.read().unwrap_or_else(PoisonError::into_inner).ends.len()
            }
        }
    }

    /// The codes of those of some texts that are among them.
    pub(crate) fn find(&self, texts: &[Box<str>]) -> Vec<u32> {
        match self {
            Self::Own(values) => {
                let codes = (1..).zip(values);
                codes.filter(|(_, value)| texts.contains(value)).map(|(code, _)| code).collect()
            }
            Self::Shared(shared) => {
                let known = shared.0.read().unwrap_or_else(PoisonError::into_inner);
                texts.iter().filter_map(|text| known.code(known.hash(text), text)).collect()
            }
        }
    }

    /// Bytes held, about, that no other block shares.
    pub(crate) fn own_bytes(&self) -> usize {
        match self {
            Self::Own(values) => values.iter().map(|value| value.len() + 16).sum(),
            // At most [`SHARED_MAX`] for a column of a whole segment.
            Self::Shared(_) => 0,
        }
    }

    /// The values from a place on, in order.
    pub(crate) fn each(&self, from: usize, mut each: impl FnMut(&str)) {
        match self {
            Self::Own(values) => values[from..].iter().for_each(|value| each(value)),
            Self::Shared(shared) => {
                let known = shared.0.read().unwrap_or_else(PoisonError::into_inner);
                (from as u32..known.ends.len() as u32).for_each(|at| each(known.get(at + 1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_share_codes_until_there_are_too_many_values() {
        let shared = SharedValues::default();
        let values = |range: std::ops::Range<usize>| -> Vec<Box<str>> {
            range.map(|n| n.to_string().into()).collect()
        };
        assert_eq!(shared.codes_of(&values(0..3)).unwrap(), [1, 2, 3]);
        assert_eq!(shared.codes_of(&values(2..4)).unwrap(), [3, 4]);
        assert!(shared.codes_of(&values(0..SHARED_MAX)).is_some());
        let texts = ["2", "none", "1"].map(Box::from);
        assert_eq!(Values::Own(values(0..3)).find(&texts), [2, 3]);
        assert!(shared.codes_of(&values(0..SHARED_MAX + 1)).is_none());
        let shared = Values::Shared(shared);
        assert_eq!((shared.len(), shared.find(&texts)), (SHARED_MAX, vec![3, 2]));
    }
}
