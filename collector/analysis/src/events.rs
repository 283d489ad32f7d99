//! What a kernel wants to see, and one person's events in time order, as columns.
//!
//! In: nothing; these are the types a store fills. Out: nothing; these are the types a kernel reads.
//! A text column holds *codes* into a [`Dictionary`]; code 0 ([`ABSENT`]) means the event does not
//! carry the property. A number column holds `f64`, `NaN` where the property is absent or not a
//! number. Every property can be asked for either way (or both): the store turns numbers into their
//! shortest text and texts that parse into numbers, so that a kernel never meets a third kind.
//!
//! Invariant: rows of a [`Run`] are ordered by `(ts, device sequence, event id)`, and a person's
//! rows arrive in one run, whatever number of segments they came from.
//!
//! Deliberately elsewhere: which rows belong to whom (decided at ingest), files and decoding
//! (the store), calendar days (`time_bucket`).

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The code of a property that an event does not carry.
pub const ABSENT: u32 = 0;

/// Of no session: the event of a server that names none.
pub const NO_SESSION: u64 = 0;

/// The session has no name: it is known by the silence before and after it.
pub const UNNAMED_SESSION: u64 = 1;

/// What a kernel wants to see. The store skips everything else.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPlan {
    /// First millisecond of interest, Unix time, included. `i64::MIN` for "since ever".
    pub from_ms: i64,
    /// End of interest, Unix time in milliseconds, excluded.
    pub to_ms: i64,
    /// Which events the kernel looks at. Rows of other events never reach it.
    pub events: EventSet,
    /// What a row must have to change anything: the store may leave out rows that lack it.
    pub needs: Vec<Need>,
    /// The only person of interest, if there is one: a store need show nobody else.
    pub only: Option<u64>,
    /// Properties wanted as text codes: column `i` of [`Run::texts`] is `texts[i]`.
    pub texts: Vec<String>,
    /// Properties wanted as numbers: column `i` of [`Run::numbers`] is `numbers[i]`.
    pub numbers: Vec<String>,
    /// When the kernel wants to know which device sent an event.
    pub actors: Actors,
    /// Whether the kernel looks at [`Run::sessions`].
    pub sessions: bool,
}

/// One of these texts, as a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The property.
    pub prop: String,
    /// Its texts.
    pub texts: Vec<Box<str>>,
}

/// When the device of an event matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Actors {
    /// Never; [`Run::actor`] is empty.
    #[default]
    Never,
    /// Where a person has two events in one millisecond. Where no such two are of different
    /// devices, the person may stand in for the device.
    AtTies,
    /// Always.
    Always,
}

/// A set of event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSet {
    /// Every event.
    All,
    /// Exactly these.
    Only(Vec<String>),
    /// Every event but these.
    Except(Vec<String>),
}

impl EventSet {
    /// Whether an event of this name belongs to the set.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::Except(names) => names.iter().all(|n| n != name),
        }
    }
}

/// One person's events, ordered by `(ts, device sequence, event id)`. All slices have equal length.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Who: the stored pseudonym.
    pub person: u64,
    /// When, in milliseconds since the Unix epoch.
    pub ts: &'a [i64],
    /// Which device sent it, if the plan asks; equal to `person` for people who never identified
    /// themselves.
    pub actor: &'a [u64],
    /// Event names, as codes into [`Dictionaries::events`].
    pub event: &'a [u32],
    /// The text columns of the plan, in its order.
    pub texts: &'a [&'a [u32]],
    /// The number columns of the plan, in its order.
    pub numbers: &'a [&'a [f64]],
    /// The session each event names, if the plan asks. Equal numbers are equal sessions of this
    /// person; a number means nothing else. See [`NO_SESSION`] and [`UNNAMED_SESSION`].
    pub sessions: &'a [u64],
}

impl Run<'_> {
    /// How many events this person has in the scan.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there is nothing to see. A store never hands out an empty run.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }
}

/// The dictionaries of one scan thread: they only grow, so a code once seen keeps its meaning.
#[derive(Debug, Clone)]
pub struct Dictionaries {
    /// Event names.
    pub events: Dictionary,
    /// One dictionary per text column of the plan, in its order.
    pub texts: Vec<Dictionary>,
}

impl Dictionaries {
    /// Empty dictionaries for a plan.
    pub fn new(plan: &ScanPlan) -> Self {
        Self { events: Dictionary::new(), texts: vec![Dictionary::new(); plan.texts.len()] }
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        self.texts.iter().chain([&self.events]).map(Dictionary::bytes).sum()
    }
}

/// Texts with small dense codes. Code 0 is "absent"; the first text gets code 1.
///
/// A question of one page meets the paths of all of them: the texts lie one behind the other, each once.
#[derive(Debug, Clone)]
pub struct Dictionary {
    texts: String,
    /// Where each text ends, by code.
    ends: Vec<usize>,
    /// Codes by the hash of their text, which is beside them.
    codes: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self::new()
    }
}

impl Dictionary {
    /// A dictionary that knows only "absent".
    pub fn new() -> Self {
        let (texts, codes, hasher) = Default::default();
        Self { texts, ends: vec![0], codes, hasher }
    }

    /// The code of a text, made on first sight.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(code) = self.find_hashed(hash, text) {
            return code;
        }
        let code = u32::try_from(self.ends.len())
            .expect("four thousand million distinct texts do not fit in memory");
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        self.codes.insert_unique(hash, (hash, code), |(hash, _)| *hash);
        code
    }

    /// Bytes held, about: every text and its places.
    pub fn bytes(&self) -> usize {
        self.texts.len() + 48 * self.ends.len()
    }

    /// The code of a text if it was seen.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.find_hashed(self.hasher.hash_one(text), text)
    }

    fn find_hashed(&self, hash: u64, text: &str) -> Option<u32> {
        let is_it = |(of, code): &(u64, u32)| *of == hash && self.text(*code) == Some(text);
        self.codes.find(hash, is_it).map(|(_, code)| *code)
    }

    /// The text of a code; `None` for [`ABSENT`].
    pub fn text(&self, code: u32) -> Option<&str> {
        let code = code as usize;
        (code != ABSENT as usize).then(|| &self.texts[self.ends[code - 1]..self.ends[code]])
    }

    /// Number of codes, "absent" included: a look-up table by code has this length.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Always false: "absent" is always there.
    pub fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_has_one_code_and_a_code_its_text(texts in prop::collection::vec("[a-cä]{0,3}", 0..80)) {
            let mut dictionary = Dictionary::new();
            let mut known: Vec<&str> = Vec::new();
            for text in &texts {
                let place = known.iter().position(|other| other == text);
                prop_assert_eq!(dictionary.find(text), place.map(|place| place as u32 + 1));
                let place = place.unwrap_or_else(|| {
                    known.push(text);
                    known.len() - 1
                });
                prop_assert_eq!(dictionary.intern(text), place as u32 + 1);
            }
            prop_assert_eq!(dictionary.len(), known.len() + 1);
            prop_assert_eq!(dictionary.text(ABSENT), None);
            for (code, text) in (1..).zip(known) {
                prop_assert_eq!(dictionary.text(code), Some(text));
            }
        }
    }
}
