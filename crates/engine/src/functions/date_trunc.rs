//! `date_trunc(unit, time [, zone])`: a time with its smaller parts cut off.

use std::sync::Arc;

use arrow_array::types::{IntervalMonthDayNanoType, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use arrow_schema::{DataType, IntervalUnit};
use chrono::{Datelike, NaiveDate};
use datafusion::common::Result;
use datafusion::logical_expr::ReturnFieldArgs;
use lakeport_base::SqlType;
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{Span, Unit, Zone};
use lakeport_core::{Error, Result as CoreResult};

use super::calendar::{SECOND_MICROS, Times, fields, micros, out_of_range, unit_named};
use super::scalar::{Call, Scalar, failed};
use super::timezone::zone_named;

/// The function. TIMESTAMPTZ is cut where clocks of the zone say so; a DATE counts as TIMESTAMPTZ.
pub(super) fn function(zone: Zone) -> Scalar {
    Scalar::of_any("date_trunc", &[2, 3], SqlType::TimestampTz, move |call| truncated(call, zone))
        .returning(truncated_type)
}

fn truncated_type(args: &ReturnFieldArgs<'_>) -> DataType {
    match args.arg_fields.get(1).map(|field| field.data_type()) {
        Some(DataType::Timestamp(_, None)) => arrow_type(&SqlType::Timestamp),
        Some(DataType::Interval(_) | DataType::Duration(_)) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => arrow_type(&SqlType::TimestampTz),
    }
}

fn truncated(call: &Call<'_>, zone: Zone) -> Result<ArrayRef> {
    let units = call.texts(0)?;
    let zones = call.columns().get(2).map(|_| call.texts(2)).transpose()?;
    let zone_of = |row| zones.as_ref().map_or(Ok(zone), |zones: &StringArray| zone_named(zones.value(row)));
    let unit_of = |row| unit_named(units.value(row));
    let column = match call.column(1).data_type() {
        DataType::Date32 => crate::zoned::moments(call.column(1), zone).map_err(failed)?,
        _ => Arc::clone(call.column(1)),
    };
    let times = Times::of(&column, zone).map_err(failed)?;
    let given = |row: usize| {
        units.is_valid(row) && !times.is_null(row) && zones.as_ref().is_none_or(|zones| zones.is_valid(row))
    };
    let rows = (0..call.rows).map(|row| given(row).then_some(row));
    Ok(match &times {
        Times::Clocks(clocks) => {
            let cut = column_of::<TimestampMicrosecondType>(rows, |row| cut(unit_of(row)?, clocks.value(row)))?;
            Arc::new(cut)
        }
        Times::Moments(moments) => {
            let cut = |row| cut_moment(unit_of(row)?, moments.value(row), zone_of(row)?);
            Arc::new(column_of::<TimestampMicrosecondType>(rows, cut)?.with_timezone("UTC"))
        }
        Times::Spans(spans) => {
            let cut = |row| Ok(cut_span(unit_of(row)?, Span::of(spans.value(row)))?.value()?);
            Arc::new(column_of::<IntervalMonthDayNanoType>(rows, cut)?)
        }
    })
}

/// The values of the rows that have one.
fn column_of<T: ArrowPrimitiveType>(
    rows: impl Iterator<Item = Option<usize>>,
    value: impl Fn(usize) -> CoreResult<T::Native>,
) -> Result<PrimitiveArray<T>> {
    rows.map(|row| row.map(&value).transpose()).collect::<CoreResult<PrimitiveArray<T>>>().map_err(failed)
}

fn no_unit_to_cut_at(unit: Unit) -> Error {
    Error::unsupported(format!("date_trunc does not cut at unit {unit:?}").to_lowercase())
}

/// Microseconds of the units that have always the same.
fn fixed_micros(unit: Unit) -> Option<i64> {
    unit.span().map(|span| span.micros).filter(|micros| *micros > 0)
}

fn cut(unit: Unit, clock: i64) -> CoreResult<i64> {
    if let Some(size) = fixed_micros(unit) {
        return Ok(clock - clock.rem_euclid(size));
    }
    let date = fields(clock)?.date();
    let year = date.year();
    // The first years of a century and of a millennium end in 1.
    let start_of = |years: i32| NaiveDate::from_ymd_opt((year - 1).div_euclid(years) * years + 1, 1, 1);
    let start = match unit {
        Unit::Day => Some(date),
        Unit::Week => date.checked_sub_days(chrono::Days::new(date.weekday().num_days_from_monday().into())),
        Unit::Month => date.with_day(1),
        Unit::Quarter => NaiveDate::from_ymd_opt(year, date.month0() / 3 * 3 + 1, 1),
        Unit::Year => NaiveDate::from_ymd_opt(year, 1, 1),
        Unit::Decade => NaiveDate::from_ymd_opt(year.div_euclid(10) * 10, 1, 1),
        Unit::Century => start_of(100),
        Unit::Millennium => start_of(1000),
        other => return Err(no_unit_to_cut_at(other)),
    };
    start.map(|date| micros(date.into())).ok_or_else(|| out_of_range("timestamp"))
}

/// Hours and less are cut with the offset of the moment, so that the hour that autumn repeats is cut to itself.
fn cut_moment(unit: Unit, moment: i64, zone: Zone) -> CoreResult<i64> {
    let offset = i64::from(zone.offset_at(moment)) * SECOND_MICROS;
    let clock = cut(unit, moment.checked_add(offset).ok_or_else(|| out_of_range("timestamp"))?)?;
    let cut = if fixed_micros(unit).is_some() { clock.checked_sub(offset) } else { zone.to_moment(clock) };
    cut.ok_or_else(|| out_of_range("timestamp"))
}

fn cut_span(unit: Unit, span: Span) -> CoreResult<Span> {
    match unit.span() {
        Some(Span { micros: size @ 1.., .. }) => Ok(Span { micros: span.micros - span.micros % size, ..span }),
        Some(Span { days: 1, .. }) => Ok(Span { micros: 0, ..span }),
        Some(Span { months: size @ 1.., .. }) => {
            Ok(Span { months: span.months - span.months % size, days: 0, micros: 0 })
        }
        _ => Err(no_unit_to_cut_at(unit)),
    }
}
