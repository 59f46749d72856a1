//! `generate_series(from, to, interval)` over times.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder};
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::ReturnFieldArgs;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{Span, Zone};
use lakeport_core::{Error, Result as CoreResult};

use super::calendar::{Times, after_moment};
use super::scalar::{Call, Scalar, failed};
use super::time_arithmetic::spans;
use crate::zoned::{is_text, moments, parsed};

/// Name of the function; FROM calls it where `generate_series` steps by an interval.
pub(crate) const TIME_SERIES: &str = "generate_time_series";
/// Most times of one series, since they are made at once.
const LENGTH_MAX: usize = 10_000_000;

/// The function: a list of times. DATE counts as TIMESTAMPTZ.
pub(super) fn function(zone: Zone) -> Scalar {
    Scalar::of_any(TIME_SERIES, &[3], SqlType::Text, move |call| lists(call, zone)).returning(list_type)
}

fn list_type(args: &ReturnFieldArgs<'_>) -> DataType {
    let clocks = matches!(args.arg_fields[0].data_type(), DataType::Timestamp(_, None));
    DataType::new_list(arrow_type(if clocks { &SqlType::Timestamp } else { &SqlType::TimestampTz }), true)
}

fn lists(call: &Call<'_>, zone: Zone) -> Result<ArrayRef> {
    let DataType::List(item) = call.returns else { return Err(failed(Error::internal("a series is a list"))) };
    let (from, to, steps) = (bound(call, 0, zone)?, bound(call, 1, zone)?, spans(call.column(2))?);
    let values = PrimitiveBuilder::<TimestampMicrosecondType>::new().with_data_type(item.data_type().clone());
    let mut lists = ListBuilder::new(values).with_field(Arc::new(Field::new("item", item.data_type().clone(), true)));
    let (from, to, zone) = match (from, to) {
        // Clocks advance as moments do where no clock is ever changed.
        (Times::Clocks(from), Times::Clocks(to)) => (from, to, Zone::UTC),
        (Times::Moments(from), Times::Moments(to)) => (from, to, zone),
        _ => {
            let message = "the bounds of a series must both be TIMESTAMP or both TIMESTAMPTZ";
            return Err(failed(Error::new(Sqlstate::DATATYPE_MISMATCH, message)));
        }
    };
    for row in 0..call.rows {
        let given = from.is_valid(row) && to.is_valid(row) && steps.is_valid(row);
        if given {
            let step = Span::of(steps.value(row));
            let times = series(from.value(row), to.value(row), step, zone).map_err(failed)?;
            lists.values().append_slice(&times);
        }
        lists.append(given);
    }
    Ok(Arc::new(lists.finish()))
}

/// A bound of the series; a text is of the other bound's type.
fn bound(call: &Call<'_>, index: usize, zone: Zone) -> Result<Times> {
    let (column, other) = (call.column(index), call.column(1 - index));
    let times = match column.data_type() {
        text if is_text(text) && matches!(other.data_type(), DataType::Timestamp(_, None)) => {
            parsed(&call.texts(index)?, &SqlType::Timestamp, zone).and_then(|clocks| Times::of(&clocks, zone))
        }
        DataType::Date32 => moments(column, zone).and_then(|moments| Times::of(&moments, zone)),
        _ => Times::of(column, zone),
    };
    times.map_err(failed)
}

fn series(from: i64, to: i64, step: Span, zone: Zone) -> CoreResult<Vec<i64>> {
    let mut times = Vec::new();
    let second = after_moment(step, from, zone)?;
    if second == from {
        return Err(Error::invalid("step size cannot equal zero"));
    }
    let ends = |time: i64| if second > from { time > to } else { time < to };
    let mut time = from;
    while !ends(time) {
        if times.len() == LENGTH_MAX {
            let message = format!("a series of more than {LENGTH_MAX} times is not supported");
            return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        times.push(time);
        time = after_moment(step, time, zone)?;
    }
    Ok(times)
}
