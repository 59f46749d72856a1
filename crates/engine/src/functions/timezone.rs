//! `timezone(zone, time)`, which `time AT TIME ZONE zone` is: from a clock's time to the moment, and back.

use std::sync::Arc;

use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ReturnFieldArgs;
use lakeport_base::SqlType;
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{Span, Zone};
use lakeport_core::{Error, Result as CoreResult};

use super::calendar::{SECOND_MICROS, Times, out_of_range};
use super::scalar::{Call, Scalar, failed};

/// The function.
pub(super) fn function(session: Zone) -> Scalar {
    Scalar::of_any("timezone", &[2], SqlType::TimestampTz, move |call| other_side(call, session)).returning(other_type)
}

fn other_type(args: &ReturnFieldArgs<'_>) -> DataType {
    match args.arg_fields.get(1).map(|field| field.data_type()) {
        Some(DataType::Timestamp(_, None)) => arrow_type(&SqlType::TimestampTz),
        _ => arrow_type(&SqlType::Timestamp),
    }
}

fn other_side(call: &Call<'_>, session: Zone) -> Result<ArrayRef> {
    let zones = zones(call)?;
    let column = match call.column(1).data_type() {
        DataType::Date32 => crate::zoned::moments(call.column(1), session).map_err(failed)?,
        _ => Arc::clone(call.column(1)),
    };
    let times = Times::of(&column, session).map_err(failed)?;
    let (values, to_moments) = match &times {
        Times::Clocks(values) => (values, true),
        Times::Moments(values) => (values, false),
        Times::Spans(_) => return Err(failed(Error::unsupported("an interval has no time zone"))),
    };
    let other = |row: usize| {
        let Some(zone) = zones[row].filter(|_| values.is_valid(row)) else { return Ok(None) };
        let value = values.value(row);
        let other = if to_moments { zone.to_moment(value) } else { zone.to_local(value) };
        other.map(Some).ok_or_else(|| failed(out_of_range("timestamp")))
    };
    let others = (0..call.rows).map(other).collect::<Result<PrimitiveArray<TimestampMicrosecondType>>>()?;
    Ok(Arc::new(if to_moments { others.with_timezone("UTC") } else { others }))
}

/// The zones of the first argument: names, or intervals east of UTC.
fn zones(call: &Call<'_>) -> Result<Vec<Option<Zone>>> {
    if let DataType::Interval(_) | DataType::Duration(_) = call.column(0).data_type() {
        let Times::Spans(spans) = Times::of(call.column(0), Zone::UTC).map_err(failed)? else { return Ok(Vec::new()) };
        let zone = |row| {
            let seconds = Span::of(spans.value(row)).micros / SECOND_MICROS;
            i32::try_from(seconds).map(Zone::Fixed).map_err(|_| failed(out_of_range("interval")))
        };
        return (0..call.rows).map(|row| spans.is_valid(row).then(|| zone(row)).transpose()).collect();
    }
    let names = call.texts(0)?;
    let zone = |name: Option<&str>| name.map(zone_named).transpose();
    names.iter().map(zone).collect::<CoreResult<_>>().map_err(failed)
}

/// The zone of a name.
///
/// # Errors
/// 22023 for an unknown one.
pub(super) fn zone_named(name: &str) -> CoreResult<Zone> {
    Zone::parse(name).ok_or_else(|| {
        Error::invalid(format!("time zone {name:?} not recognized")).with_hint("such as UTC, Europe/Berlin or +02:00")
    })
}
