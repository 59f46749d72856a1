//! What a caller may do about a failure.

/// Retryability is a property of an error; retrying itself lives in the storage client and the
/// job runner only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// The same call may succeed later.
    Later,
}
