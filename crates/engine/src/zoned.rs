//! Columns between texts, clocks and moments: TIMESTAMPTZ holds moments, TIMESTAMP and DATE what a clock shows. Lengths
//! of time as intervals.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMicrosecondType, IntervalMonthDayNanoType, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, IntervalMonthDayNanoArray, StringArray, TimestampMicrosecondArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{ColumnBuilder, Span, TextColumn, Zone};
use lakeport_core::{Error, Result};

use crate::error::from_arrow;

/// Values as PostgreSQL prints them.
pub(crate) fn printed(values: &ArrayRef, ty: &SqlType, zone: Zone) -> Result<StringArray> {
    let column = TextColumn::in_zone(values, ty, zone);
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    for row in 0..values.len() {
        if column.is_null(row) {
            texts.append_null();
        } else {
            column.write(row, &mut texts).map_err(Error::internal)?;
            texts.append_value("");
        }
    }
    Ok(texts.finish())
}

/// The values that texts stand for.
///
/// # Errors
/// A text is no value of the type.
pub(crate) fn parsed(texts: &StringArray, ty: &SqlType, zone: Zone) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::in_zone(ty, texts.len(), zone);
    for text in texts {
        match text {
            Some(text) => builder.append_text(text)?,
            None => builder.append_null(),
        }
    }
    Ok(builder.finish())
}

/// The moments at which clocks of the zone show these times or dates.
pub(crate) fn moments(clocks: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let clocks = exactly(clocks, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let moments = shifted(clocks.as_primitive(), |local| zone.to_moment(local))?;
    Ok(Arc::new(moments.with_timezone("UTC")))
}

/// What clocks of the zone show at these moments.
pub(crate) fn clocks(moments: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let moments = exactly(moments, &arrow_type(&SqlType::TimestampTz))?;
    Ok(Arc::new(shifted(moments.as_primitive(), |moment| zone.to_local(moment))?))
}

fn shifted(
    values: &TimestampMicrosecondArray,
    shift: impl Fn(i64) -> Option<i64>,
) -> Result<TimestampMicrosecondArray> {
    let out_of_range = || Error::new(Sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range");
    values.try_unary::<_, TimestampMicrosecondType, _>(|value| shift(value).ok_or_else(out_of_range))
}

/// Lengths of time in days and less.
pub(crate) fn intervals(durations: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    let durations = exactly(durations, &DataType::Duration(TimeUnit::Microsecond))?;
    let span = |micros| Span::of_micros(micros).value();
    Ok(durations.as_primitive::<DurationMicrosecondType>().try_unary::<_, IntervalMonthDayNanoType, _>(span)?)
}

/// The values in another Arrow type, none of them lost.
pub(crate) fn exactly(values: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(values, wanted, &options).map_err(from_arrow)
}

/// Whether values of the type travel as texts.
pub(crate) fn is_text(ty: &DataType) -> bool {
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}
