//! Which files have been loaded into a table. A file leaves a mark with the commit of its rows, so that it is known as loaded
//! exactly when they are there.

use std::time::Duration;

use lakeport_base::hex;
use lakeport_base::limits::MARKS_DAYS;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::in_place::tag;
use crate::stage::place::StagedPlace;

/// Bytes of a mark.
const MARK_BYTES: usize = 16;

/// The moment since which marks count, in microseconds since the epoch.
pub(crate) fn since(now: i64) -> i64 {
    now - Duration::from_hours(24 * u64::from(MARKS_DAYS)).as_micros() as i64
}

/// The mark of a file: another one once the file is another, wherever it is seen from. `None` where the far side does not
/// tell one state of a file from another: with neither tag nor time, which object_store makes the epoch.
pub(crate) fn mark(place: &StagedPlace, file: &ObjectMeta) -> Option<String> {
    let changed = match (tag(file), file.last_modified.timestamp_micros()) {
        (Some(tag), _) => tag.to_string(),
        (None, 0) => return None,
        (None, modified) => modified.to_string(),
    };
    let parts = [place.whole_name(&file.location), file.size.to_string(), changed];
    let digest = Sha256::digest(parts.join("\n"));
    Some(hex::encode(&digest[..MARK_BYTES]))
}
