//! Sorts rows whose order is not known where one is asked for.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// Sorts such rows. DataFusion sorts below UNION ALL, where two columns may be the same; above nothing is left of the
/// second one's order, and the plan would be refused.
#[derive(Debug)]
pub(crate) struct SortAgain;

impl PhysicalOptimizerRule for SortAgain {
    fn name(&self) -> &str {
        "SortAgain"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(sorted).map(|plan| plan.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn sorted(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
    let mut is_changed = false;
    for (input, required) in inputs.iter_mut().zip(plan.required_input_ordering()) {
        let Some(required) = required.map(|required| required.into_single()) else { continue };
        if !input.equivalence_properties().ordering_satisfy_requirement(required.clone())? {
            let parts = input.output_partitioning().partition_count();
            let sort = SortExec::new(required.into(), Arc::clone(input)).with_preserve_partitioning(parts > 1);
            *input = Arc::new(sort);
            is_changed = true;
        }
    }
    if is_changed {
        replace_children_if_necessary(plan, inputs).map(Transformed::yes)
    } else {
        Ok(Transformed::no(plan))
    }
}
