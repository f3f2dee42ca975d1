//! Which steps wait for which: everything else can run side by side.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{CopyFrom, Plan, StageBase};

/// What each step of a plan waits for, by its index. Always steps before it.
pub(super) type Order = Vec<BTreeSet<u32>>;

/// A step waits for the one before it in its stage, the first one of a stage for the stage that
/// it starts from, and each for the stages that it takes files from. Steps that have a cache in
/// common run in the order of the file, whatever their sharing says: what one finds there must not
/// depend on who was faster.
pub(super) fn order(plan: &Plan) -> Order {
    // The last step of each stage that has begun.
    let mut last: Vec<Option<u32>> = Vec::with_capacity(plan.stages.len());
    // The last step that has each cache.
    let mut caches: BTreeMap<&str, u32> = BTreeMap::new();
    let mut order = Order::with_capacity(plan.steps.len());
    for (index, step) in (0..).zip(&plan.steps) {
        for stage in &plan.stages[last.len().min(step.stage + 1)..=step.stage] {
            last.push(match stage.base {
                StageBase::Stage(base) => last[base],
                StageBase::Scratch | StageBase::Image(_) => None,
            });
        }
        let mut waits_for: BTreeSet<u32> = last[step.stage].into_iter().collect();
        for from in step.work.reads() {
            if let CopyFrom::Stage(stage) = from {
                waits_for.extend(last[*stage]);
            }
        }
        for cache in step.work.caches() {
            waits_for.extend(caches.insert(cache, index).filter(|last| *last != index));
        }
        order.push(waits_for);
        last[step.stage] = Some(index);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::good;

    /// What each instruction waits for, by the line that it stands in.
    fn order_of(text: &str) -> Vec<(u32, Vec<u32>)> {
        let plan = good(text);
        let line = |index: &u32| plan.steps[*index as usize].line;
        let waits = order(&plan);
        let lines = waits
            .iter()
            .map(|waits_for| waits_for.iter().map(line).collect());
        plan.steps.iter().map(|step| step.line).zip(lines).collect()
    }

    #[test]
    fn stages_wait_only_for_what_they_use() {
        let order = order_of(
            "FROM base AS one\nRUN a\nRUN b\n\
             FROM base AS two\nRUN c\n\
             FROM two\nCOPY --from=one /a /a\nENV A=b\n",
        );
        let expected = [
            (2, vec![]),
            (3, vec![2]),
            (5, vec![]),
            (7, vec![3, 5]),
            (8, vec![7]),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn mounts_are_waited_for_and_caches_taken_in_turns() {
        let order = order_of(
            "FROM base AS one\nRUN --mount=type=cache,id=c,target=/c --mount=type=cache,id=c,target=/d a\n\
             FROM base AS two\nRUN --mount=type=cache,id=c,target=/c b\n\
             FROM base AS three\nRUN c\n\
             FROM base\nRUN --mount=from=one,target=/s --mount=from=two,target=/t --mount=from=three,target=/u d\n",
        );
        let expected = [(2, vec![]), (4, vec![2]), (6, vec![]), (8, vec![2, 4, 6])];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_stage_without_steps_ends_with_what_it_starts_from() {
        let order = order_of(
            "FROM base AS one\nRUN a\n\
             FROM one AS alias\n\
             FROM base\nCOPY --from=alias /a /a\n",
        );
        assert_eq!(order, [(2, vec![]), (5, vec![2])]);
    }
}
