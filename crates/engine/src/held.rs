//! Rows that a statement holds in memory, counted against the engine's memory.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use lakeport_core::Result;

use crate::error::from_datafusion;

/// Rows in memory; what they take is given back when they are dropped.
pub(crate) struct HeldRows {
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl HeldRows {
    /// None yet; `purpose` is named when memory runs out.
    pub fn new(pool: &Arc<dyn MemoryPool>, purpose: &str) -> HeldRows {
        HeldRows { batches: Vec::new(), reservation: MemoryConsumer::new(purpose).register(pool) }
    }

    /// # Errors
    /// 53200 when the engine's memory is used up.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.reservation.try_grow(batch.get_array_memory_size()).map_err(from_datafusion)?;
        self.batches.push(batch);
        Ok(())
    }

    /// The rows; they share their memory with what this holds.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }
}
