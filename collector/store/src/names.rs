//! Names as numbers, in the order in which they were first met.
//!
//! Events of one kind have their properties in one order. So the name that came after the last one
//! before is tried first: nearly always one comparison instead of a search.

use hashbrown::HashMap;

/// Names met so far.
#[derive(Debug)]
pub(crate) struct Names {
    list: Vec<Box<str>>,
    known: HashMap<Box<str>, usize>,
    next: usize,
    max: usize,
}

impl Names {
    /// Numbers for at most so many names: they come from outside.
    pub(crate) fn new(max: usize) -> Self {
        Self { list: Vec::new(), known: HashMap::new(), next: 0, max }
    }

    /// The number of a name, which is the next one when it is new; `None` when there are too many.
    pub(crate) fn number(&mut self, name: &str) -> Option<usize> {
        if self.list.get(self.next).is_none_or(|next| **next != *name) {
            self.next = match self.known.get(name) {
                Some(&number) => number,
                None if self.list.len() < self.max => {
                    self.list.push(name.into());
                    self.known.insert(name.into(), self.list.len() - 1);
                    self.list.len() - 1
                }
                None => return None,
            };
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_places_in_the_order_of_first_sight(
            names in prop::collection::vec("[a-e]", 0..40),
            max in 0usize..7,
        ) {
            let mut numbers = Names::new(max);
            let mut seen: Vec<String> = Vec::new();
            for name in names {
                if !seen.contains(&name) && seen.len() < max {
                    seen.push(name.clone());
                }
                prop_assert_eq!(numbers.number(&name), seen.iter().position(|other| *other == name));
            }
        }
    }
}
