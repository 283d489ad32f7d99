//! What was worked out from texts, kept for when the same texts come again.
//!
//! In: texts, and how to work it out. Out: the value, from memory where the same texts came not long ago.
//!
//! Every text has one place, found by its hash, and a newer one with that place takes it: nothing grows, whatever is
//! sent, and forgetting needs no list. Nobody waits for a place: who finds it taken for the moment works by himself.
//! What is found is compared letter by letter, so a hash decides nothing but the place.

use std::hash::BuildHasher;
use std::sync::Mutex;

use hashbrown::DefaultHashBuilder;

/// A memory of a fixed number of places, for values that are cheap to clone.
#[derive(Debug)]
pub struct Remembered<V> {
    bytes_max: usize,
    hasher: DefaultHashBuilder,
    places: Box<[Mutex<Option<Known<V>>>]>,
}

/// Texts, one after the other, where each of them ends, and what they mean.
#[derive(Debug)]
struct Known<V> {
    text: Box<[u8]>,
    ends: Box<[usize]>,
    value: V,
}

impl<V: Clone> Remembered<V> {
    /// With so many places, for texts of at most so many bytes together.
    pub fn new(places: usize, bytes_max: usize) -> Self {
        let places = (0..places).map(|_| Mutex::default()).collect();
        Self { bytes_max, hasher: DefaultHashBuilder::default(), places }
    }

    /// What these texts mean.
    pub fn of(&self, texts: &[&[u8]], work: impl FnOnce() -> V) -> V {
        let at = self.hasher.hash_one(texts) as usize % self.places.len();
        let Ok(mut place) = self.places[at].try_lock() else { return work() };
        if let Some(known) = place.as_ref().filter(|known| known.are(texts)) {
            return known.value.clone();
        }
        let value = work();
        if texts.iter().map(|text| text.len()).sum::<usize>() <= self.bytes_max {
            let ends = texts.iter().scan(0, |end, text| {
                *end += text.len();
                Some(*end)
            });
            let (text, ends) = (texts.concat().into(), ends.collect());
            *place = Some(Known { text, ends, value: value.clone() });
        }
        value
    }
}

impl<V> Known<V> {
    fn are(&self, texts: &[&[u8]]) -> bool {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let own = begins.zip(&*self.ends).map(|(begin, end)| &self.text[begin..*end]);
        own.eq(texts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_worked_out(
            all in prop::collection::vec(prop::collection::vec("[ab]{0,2}", 1..4), 1..80),
        ) {
            let memory = Remembered::new(7, 5);
            for texts in &all {
                let bytes: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
                prop_assert_eq!(memory.of(&bytes, || texts.join("|")), texts.join("|"));
            }
        }
    }

    #[test]
    fn the_same_texts_are_worked_out_once() {
        let memory = Remembered::new(64, 64);
        assert_eq!(memory.of(&[b"a", b"b"], || 1), 1);
        assert_eq!(memory.of(&[b"a", b"b"], || 2), 1);
        assert_eq!(memory.of(&[b"ab", b""], || 3), 3, "where a text ends counts");
    }

    #[test]
    fn made_up_texts_take_no_more_than_their_places() {
        let memory = Remembered::new(64, 64);
        for n in 0..10_000 {
            assert_eq!(memory.of(&[n.to_string().as_bytes()], || n), n);
        }
        let kept = memory.places.iter().filter(|place| place.lock().unwrap().is_some());
        assert_eq!(kept.count(), 64);
    }

    #[test]
    fn long_texts_are_not_kept() {
        let memory = Remembered::new(1, 3);
        assert_eq!(memory.of(&[b"ab", b"c"], || 1), 1);
        assert_eq!(memory.of(&[b"ab", b"c"], || 2), 1);
        assert_eq!(memory.of(&[b"ab", b"cd"], || 3), 3);
        assert_eq!(memory.of(&[b"ab", b"cd"], || 4), 4);
    }

    #[test]
    fn a_place_that_is_taken_keeps_nobody_waiting() {
        let memory = Remembered::new(1, 1);
        assert_eq!(memory.of(&[b"a"], || 1), 1);
        let held = memory.places[0].lock().unwrap();
        assert_eq!(memory.of(&[b"a"], || 2), 2);
        drop(held);
    }
}
