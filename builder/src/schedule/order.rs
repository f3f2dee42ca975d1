//! Which steps wait for which: everything else can run side by side.

use std::collections::BTreeSet;

use crate::plan::{CopyFrom, Plan, StageBase};

/// What each step of a plan waits for, by its index. Always steps before it.
pub(super) type Order = Vec<BTreeSet<u32>>;

/// A step waits for the one before it in its stage, the first one of a stage for the stage that
/// it starts from, and each for the stages that it takes files from.
pub(super) fn order(plan: &Plan) -> Order {
    // The last step of each stage that has begun.
    let mut last: Vec<Option<u32>> = Vec::with_capacity(plan.stages.len());
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
    fn a_stage_without_steps_ends_with_what_it_starts_from() {
        let order = order_of(
            "FROM base AS one\nRUN a\n\
             FROM one AS alias\n\
             FROM base\nCOPY --from=alias /a /a\n",
        );
        assert_eq!(order, [(2, vec![]), (5, vec![2])]);
    }
}
