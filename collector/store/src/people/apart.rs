//! Who must not be answered from where the rows are stored: the arrays that a snapshot carries.
//!
//! In: what changed since the oldest file was written. Out: for every stored person of a project,
//! whether the rows may be taken as they lie, belong to somebody else now, or are gone.
//!
//! The rule: a row's *base* is the id it came with, the device of an anonymous event and the user of
//! an identified one. Its person is the root of its base. Files keep person and base, so a merge and
//! taking it back are both exact, also after compaction wrote new persons down.
//!
//! Invariant: a person that is in no array has exactly the rows that are stored under it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

/// Everybody set apart, by project.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    projects: BTreeMap<u32, Arc<ApartIn>>,
}

/// Those of one project.
#[derive(Debug, Default)]
pub(crate) struct ApartIn {
    /// Everyone below, sorted: what a scan leaves out.
    pub skip: Vec<u64>,
    /// Stored persons whose rows may belong to somebody else now, sorted, and to whom.
    pub moved: Vec<(u64, To)>,
    /// Ids that are erased, sorted.
    pub erased: Vec<u64>,
    /// Where the ids of persons that were taken apart again belong.
    pub bases: HashMap<u64, u64>,
}

/// To whom the rows of a stored person belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// All to this one.
    Person(u64),
    /// The base of each row decides; this one where it says nothing.
    ByBase(u64),
}

/// What is known of rows by the person they are stored under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All are this one's.
    Person(u64),
    /// All are erased.
    Nobody,
    /// The base of each row decides: see [`ApartIn::of_base`].
    ByBase(u64),
}

impl Apart {
    pub(crate) fn new(projects: BTreeMap<u32, ApartIn>) -> Self {
        let projects = projects.into_iter().map(|(project, mut of_project)| {
            of_project.moved.sort_unstable_by_key(|(person, _)| *person);
            of_project.moved.dedup_by_key(|(person, _)| *person);
            of_project.erased.sort_unstable();
            of_project.skip = of_project.moved.iter().map(|(person, _)| *person).collect();
            of_project.skip.extend(&of_project.erased);
            of_project.skip.sort_unstable();
            of_project.skip.dedup();
            (project, Arc::new(of_project))
        });
        Self { projects: projects.collect() }
    }

    /// Those of a project, if there are any.
    pub(crate) fn of(&self, project: u32) -> Option<&Arc<ApartIn>> {
        self.projects.get(&project)
    }

    /// All of them, by project.
    pub(crate) fn projects(&self) -> impl Iterator<Item = (u32, &ApartIn)> {
        self.projects.iter().map(|(project, apart)| (*project, &**apart))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.projects.is_empty()
    }
}

impl ApartIn {
    /// Whose rows are that are stored under `stored`.
    pub(crate) fn whose(&self, stored: u64) -> Whose {
        match self.moved.binary_search_by_key(&stored, |(person, _)| *person) {
            Ok(at) => match self.moved[at].1 {
                To::ByBase(otherwise) => Whose::ByBase(otherwise),
                To::Person(_) if self.is_erased(stored) => Whose::Nobody,
                To::Person(person) => Whose::Person(person),
            },
            Err(_) if self.is_erased(stored) => Whose::Nobody,
            Err(_) => Whose::Person(stored),
        }
    }

    /// Whose a row is by the id it came with, where [`Whose::ByBase`] says `otherwise`; `None` when it
    /// is erased.
    pub(crate) fn of_base(&self, base: u64, otherwise: u64) -> Option<u64> {
        let person = self.bases.get(&base).copied().unwrap_or(otherwise);
        (!self.is_erased(base)).then_some(person)
    }

    /// Whose a row is that is stored under `stored`; `None` when it is erased. `base` is asked only
    /// where it matters.
    pub(crate) fn person<E>(
        &self,
        stored: u64,
        base: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Option<u64>, E> {
        Ok(match self.whose(stored) {
            Whose::Person(person) => Some(person),
            Whose::Nobody => None,
            Whose::ByBase(otherwise) => self.of_base(base()?, otherwise),
        })
    }

    /// Whether the base of rows under this person must be looked at.
    pub(crate) fn needs_base(&self, stored: u64) -> bool {
        matches!(self.whose(stored), Whose::ByBase(_))
    }

    /// Those of `moved` among these persons.
    pub(crate) fn moved_within(&self, persons: std::ops::RangeInclusive<u64>) -> &[(u64, To)] {
        let from = self.moved.partition_point(|(person, _)| person < persons.start());
        let to = self.moved.partition_point(|(person, _)| person <= persons.end());
        &self.moved[from..to.max(from)]
    }

    fn is_erased(&self, id: u64) -> bool {
        self.erased.binary_search(&id).is_ok()
    }

    /// Those set apart, sorted, that may hold rows of a person.
    pub(crate) fn stored_as(&self, person: u64) -> Vec<u64> {
        let may = |to: &To| match *to {
            To::Person(to) => to == person,
            To::ByBase(_) => true,
        };
        self.moved.iter().filter(|(_, to)| may(to)).map(|(stored, _)| *stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use rstest::rstest;

    /// 1 went to 2; 5 was taken apart: id 6 is on its own again; 8 is erased, and so is id 9, which
    /// was once a part of 5.
    fn apart() -> Apart {
        let of_project = ApartIn {
            moved: vec![
                (5, To::ByBase(5)),
                (2, To::Person(2)),
                (1, To::Person(2)),
                (6, To::ByBase(6)),
            ],
            erased: vec![9, 8],
            bases: HashMap::from([(5, 5), (6, 6)]),
            ..ApartIn::default()
        };
        Apart::new(BTreeMap::from([(1, of_project)]))
    }

    #[rstest]
    #[case::nobody_special(3, 3, Some(3))]
    #[case::source(1, 1, Some(2))]
    #[case::target(2, 2, Some(2))]
    #[case::its_own_row_of_one_taken_apart(5, 5, Some(5))]
    #[case::a_row_of_the_other_part(5, 6, Some(6))]
    #[case::a_row_of_somebody_who_joined_later(5, 7, Some(5))]
    #[case::erased(8, 8, None)]
    #[case::erased_part_of_one_taken_apart(5, 9, None)]
    fn a_row_belongs_to(#[case] stored: u64, #[case] base: u64, #[case] want: Option<u64>) {
        let apart = apart();
        let of_project = apart.of(1).unwrap();
        assert_eq!(of_project.person(stored, || Ok::<_, Infallible>(base)), Ok(want));
        assert_eq!(of_project.skip, [1, 2, 5, 6, 8, 9]);
        assert!(apart.of(2).is_none());
    }
}
