//! The functions through DataFusion's planner.
