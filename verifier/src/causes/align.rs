//! Which items of two sequences differ, in bounded time for any input.

use std::{collections::BTreeMap, ops::Range};

use imara_diff::{Algorithm, Diff, InternedInput};

/// Most items on one side that are handed to the diff at once: on sequences of few distinct
/// items its preparation takes time by the square of their number. Longer sequences are cut at
/// items that occur once on both sides.
const MOST_ITEMS: usize = 4_000;

/// Items of A, and the items of B that stand in their place.
pub(super) type Hunk = (Range<usize>, Range<usize>);

/// The parts in which `a` and `b` differ, in order.
pub(super) fn hunks(a: &[&[u8]], b: &[&[u8]]) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let mut from = (0, 0);
    let anchors = if a.len().max(b.len()) > MOST_ITEMS {
        anchors(a, b)
    } else {
        Vec::new()
    };
    for (at_a, at_b) in anchors.into_iter().chain([(a.len(), b.len())]) {
        between(a, b, (from.0..at_a, from.1..at_b), &mut hunks);
        // An anchor is equal on both sides; the end of both is behind every item.
        from = (at_a + 1, at_b + 1);
    }
    hunks
}

/// Compares what lies between two anchors.
fn between(a: &[&[u8]], b: &[&[u8]], (mut range_a, mut range_b): Hunk, hunks: &mut Vec<Hunk>) {
    let same = |(a, b): &(&&[u8], &&[u8])| a == b;
    let (part_a, part_b) = (&a[range_a.clone()], &b[range_b.clone()]);
    let before = part_a.iter().zip(part_b).take_while(same).count();
    range_a.start += before;
    range_b.start += before;
    let (part_a, part_b) = (&a[range_a.clone()], &b[range_b.clone()]);
    let behind = part_a.iter().rev().zip(part_b.iter().rev());
    let behind = behind.take_while(same).count();
    range_a.end -= behind;
    range_b.end -= behind;
    let (part_a, part_b) = (&a[range_a.clone()], &b[range_b.clone()]);
    if part_a.is_empty() && part_b.is_empty() {
        return;
    }
    if part_a.len().max(part_b.len()) <= MOST_ITEMS {
        hunks.extend(diff(part_a, part_b).into_iter().map(|(hunk_a, hunk_b)| {
            (
                hunk_a.start + range_a.start..hunk_a.end + range_a.start,
                hunk_b.start + range_b.start..hunk_b.end + range_b.start,
            )
        }));
    } else if part_a.len() == part_b.len() {
        // As many items without an anchor: the next best guess is that each replaces one.
        let pairs = part_a.iter().zip(part_b).enumerate();
        hunks.extend(pairs.filter(|(_, (a, b))| a != b).map(|(at, _)| {
            let (at_a, at_b) = (range_a.start + at, range_b.start + at);
            (at_a..at_a + 1, at_b..at_b + 1)
        }));
    } else {
        hunks.push((range_a, range_b));
    }
}

fn diff(a: &[&[u8]], b: &[&[u8]]) -> Vec<Hunk> {
    let mut input = InternedInput::default();
    input.update_before(a.iter().copied());
    input.update_after(b.iter().copied());
    let wide = |range: Range<u32>| range.start as usize..range.end as usize;
    Diff::compute(Algorithm::Myers, &input)
        .hunks()
        .map(|hunk| (wide(hunk.before), wide(hunk.after)))
        .collect()
}

/// Places of items that occur once in `a` and once in `b`, rising on both sides: the longest
/// such chain, as the patience diff takes it.
fn anchors(a: &[&[u8]], b: &[&[u8]]) -> Vec<(usize, usize)> {
    let (once_a, once_b) = (once(a), once(b));
    let mut pairs: Vec<(usize, usize)> = once_a
        .iter()
        .filter_map(|(item, at_a)| Some((*at_a, *once_b.get(item)?)))
        .collect();
    pairs.sort_unstable();
    // `piles[n]` is the pair that ends the chain of n + 1 pairs with the smallest place in b.
    let mut piles: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (pair, (_, at_b)) in pairs.iter().enumerate() {
        let pile = piles.partition_point(|top| pairs[*top].1 < *at_b);
        previous.push(pile.checked_sub(1).map(|below| piles[below]));
        match piles.get_mut(pile) {
            Some(top) => *top = pair,
            None => piles.push(pair),
        }
    }
    let mut chain = Vec::with_capacity(piles.len());
    let mut at = piles.last().copied();
    while let Some(pair) = at {
        chain.push(pairs[pair]);
        at = previous[pair];
    }
    chain.reverse();
    chain
}

/// Items that occur once, with their place.
fn once<'a>(items: &[&'a [u8]]) -> BTreeMap<&'a [u8], usize> {
    let mut places: BTreeMap<&[u8], Option<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        places
            .entry(item)
            .and_modify(|place| *place = None)
            .or_insert(Some(at));
    }
    places
        .into_iter()
        .filter_map(|(item, place)| Some((item, place?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(text: &[String]) -> Vec<&[u8]> {
        text.iter().map(String::as_bytes).collect()
    }

    #[test]
    fn long_sequences_are_cut_at_what_is_unique() {
        let mut a: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
        let mut b = a.clone();
        a[7_000] = "old".into();
        b[7_000] = "new".into();
        b.insert(15_000, "more".into());
        assert_eq!(
            hunks(&items(&a), &items(&b)),
            [
                (7_000..7_001, 7_000..7_001),
                (15_000..15_000, 15_000..15_001)
            ]
        );
    }

    #[test]
    fn long_sequences_of_one_item_end() {
        let same = vec!["same".to_owned(); 300_000];
        let a = [vec!["x".to_owned()], same.clone()].concat();
        let b = [vec!["y".to_owned()], same].concat();
        assert_eq!(hunks(&items(&a), &items(&b)), [(0..1, 0..1)]);
    }

    proptest! {
        /// What is not in a hunk is equal, in order.
        #[test]
        fn the_rest_is_equal(
            a in proptest::collection::vec(0_u8..4, 0..200),
            b in proptest::collection::vec(0_u8..4, 0..200),
            cut in any::<bool>(),
        ) {
            let text = |items: &[u8]| -> Vec<String> {
                let copies = if cut { 60 } else { 1 };
                let long = items.iter().flat_map(|item| vec![item.to_string(); copies]);
                long.enumerate()
                    .map(|(at, item)| if at % 97 == 0 { format!("{at}") } else { item })
                    .collect()
            };
            let (a, b) = (text(&a), text(&b));
            let (a, b) = (items(&a), items(&b));
            let (mut at_a, mut at_b) = (0, 0);
            for (hunk_a, hunk_b) in hunks(&a, &b) {
                prop_assert_eq!(&a[at_a..hunk_a.start], &b[at_b..hunk_b.start]);
                at_a = hunk_a.end;
                at_b = hunk_b.end;
            }
            prop_assert_eq!(&a[at_a..], &b[at_b..]);
        }
    }
}
