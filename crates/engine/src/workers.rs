//! Threads that run queries, apart from those that serve sockets, timers and jobs: however long a query computes between
//! two of its yields, the server still answers, cancels and stops.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use lakeport_base::limits::WORKER_STACK_BYTES;
use lakeport_core::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// Batches that wait between a query and its reader.
const QUEUE_BATCHES: usize = 2;

/// The threads.
pub(crate) struct Workers {
    /// `None` once dropped.
    runtime: Option<Runtime>,
}

impl Workers {
    /// # Errors
    /// The operating system refusing threads.
    pub fn new(threads: usize) -> Result<Workers> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("query")
            .thread_stack_size(WORKER_STACK_BYTES)
            .enable_all()
            .build()
            .map_err(Error::internal)?;
        Ok(Workers { runtime: Some(runtime) })
    }

    pub fn handle(&self) -> Handle {
        let runtime = self.runtime.as_ref().expect("the runtime is there until the drop");
        runtime.handle().clone()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A query that was given up may still be busy between two of its yields: nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a plan on the workers. Dropping the stream ends the plan at its next yield.
pub(crate) fn run_on(
    workers: &Handle,
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
) -> SendableRecordBatchStream {
    let mut stream = RecordBatchReceiverStream::builder(plan.schema(), QUEUE_BATCHES);
    let sender = stream.tx();
    let running = async move {
        let mut rows = execute_stream(plan, task)?;
        while let Some(batch) = rows.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    stream.spawn_on(running, workers);
    stream.build()
}

/// Lets operators that make many rows of few yield as often as scans do. DataFusion lets a plan yield at its leaves only,
/// so that a join of two small tables with a large result could neither be cancelled nor timed out.
#[derive(Debug)]
pub(crate) struct YieldAboveJoins;

impl PhysicalOptimizerRule for YieldAboveJoins {
    fn name(&self) -> &str {
        "YieldAboveJoins"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let yielding = plan.transform_up(|plan| {
            let grows = plan.name().ends_with("JoinExec") || plan.name() == "UnnestExec";
            let plan = if grows { Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan> } else { plan };
            Ok(Transformed::new_transformed(plan, grows))
        });
        Ok(yielding?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
