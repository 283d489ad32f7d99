//! Groups of people that are too small to be shown to others.
//!
//! In: how many people each group of an answer has. Out: which groups to hide.
//!
//! Whoever sees the total and all groups but one knows that one by subtraction. So where anything is hidden,
//! what is hidden together has at least `k` people: the next smallest groups are hidden too until it has, and
//! until it is two groups at least. This is a threshold and no more: whoever sees many answers that overlap may
//! still learn something of a small group.

/// People below which a group of a shared view is hidden.
pub const K: u64 = 10;

/// Which groups to hide, so that neither a group below `k` people is seen nor the hidden ones together. Groups of
/// nobody are hidden only with others: a total says no more than they do.
///
/// When every group is hidden, the total of fewer than `k` people has to be hidden as well: [`hides_total`].
pub fn hidden(people: &[u64], k: u64) -> Vec<bool> {
    let mut hide: Vec<bool> = people.iter().map(|people| (1..k).contains(people)).collect();
    if !hide.contains(&true) {
        return hide;
    }
    let mut next: Vec<usize> =
        (0..people.len()).filter(|at| !hide[*at] && people[*at] > 0).collect();
    next.sort_by_key(|at| people[*at]);
    for at in next {
        let together: u64 =
            people.iter().zip(&hide).filter(|(_, hide)| **hide).map(|(p, _)| *p).sum();
        let groups = hide.iter().filter(|hide| **hide).count();
        if together >= k && groups > 1 {
            break;
        }
        hide[at] = true;
    }
    // Which of them is empty would be known otherwise.
    hide.iter_mut()
        .zip(people)
        .filter(|(_, people)| **people == 0)
        .for_each(|(hide, _)| *hide = true);
    hide
}

/// Whether a total of so many people is hidden too.
pub fn hides_total(people: u64, k: u64) -> bool {
    (1..k).contains(&people)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::all_large(&[10, 11], &[false, false])]
    #[case::at_the_bound(&[10, 9, 30], &[true, true, false])]
    #[case::two_small_ones_are_enough(&[6, 5, 30], &[true, true, false])]
    #[case::two_small_ones_are_not(&[3, 5, 30, 40], &[true, true, true, false])]
    #[case::one_alone(&[3], &[true])]
    #[case::nobody(&[0, 20], &[false, false])]
    #[case::nobody_beside_few(&[0, 3, 20, 30], &[true, true, true, false])]
    #[case::nothing(&[], &[])]
    fn small_groups_are_hidden_with_a_second_one(#[case] people: &[u64], #[case] want: &[bool]) {
        assert_eq!(hidden(people, K), want);
    }

    /// Test 60 of the list of proofs, its second half: a thousand answers, each with what it leaves unsaid.
    #[test]
    fn neither_a_small_group_nor_what_subtraction_leaves_is_ever_shown() {
        let mut state = 60u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..1_000 {
            let k = 2 + random(30);
            let groups = 1 + random(12);
            let people: Vec<u64> =
                (0..groups).map(|_| if random(3) == 0 { random(k) } else { random(300) }).collect();
            let total: u64 = people.iter().sum();
            let hide = hidden(&people, k);
            let shown: u64 =
                people.iter().zip(&hide).filter(|(_, hide)| !**hide).map(|(p, _)| p).sum();
            let small = people.iter().zip(&hide).find(|(p, hide)| !**hide && (1..k).contains(*p));
            assert_eq!(small, None, "round {round}: {people:?} with {k}");
            // The complement: what the total says of the hidden groups.
            let rest = total - shown;
            let said = rest > 0 && !hides_total(total, k);
            assert!(!said || rest >= k, "round {round}: {rest} are left of {people:?} with {k}");
            let nonempty = people.iter().zip(&hide).filter(|(p, hide)| **hide && **p > 0).count();
            let others = people.iter().filter(|p| **p > 0).count();
            assert!(
                nonempty != 1 || others == 1,
                "round {round}: one group alone of {people:?} with {k}"
            );
        }
    }
}
