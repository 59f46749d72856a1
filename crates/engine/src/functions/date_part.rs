//! `extract` (NUMERIC) and `date_part` (FLOAT8): one part of a time.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array};
use arrow_schema::DataType;
use chrono::{Datelike, Timelike};
use datafusion::common::Result;
use datafusion::logical_expr::ReturnFieldArgs;
use lakeport_base::SqlType;
use lakeport_core::value::{Span, Unit, Zone};
use lakeport_core::{Error, Result as CoreResult};

use super::calendar::{DAY_MICROS, HOUR_MICROS, SECOND_MICROS, Times, fields, unit_named};
use super::scalar::{Call, Scalar, failed};

/// Parts are computed in millionths, so that seconds keep their microseconds.
const MILLION: i64 = 1_000_000;
/// Digits after the point of a part whose unit is known only row by row.
const SCALE_MAX: i8 = 6;

/// Every function of this file.
pub(super) fn functions(zone: Zone) -> Vec<Scalar> {
    let date_part = Scalar::of_any("date_part", &[2], SqlType::Float8, move |call| {
        let parts = parts(call, zone)?;
        let values = parts.into_iter().map(|part| part.map(|part| part as f64 / MILLION as f64));
        Ok(Arc::new(values.collect::<Float64Array>()))
    });
    let extract = Scalar::of_any("extract", &[2], SqlType::Float8, move |call| numeric(call, zone));
    vec![date_part, extract.returning(numeric_type)]
}

/// As many digits after the point as PostgreSQL shows for the unit.
fn numeric_type(args: &ReturnFieldArgs<'_>) -> DataType {
    let unit = args.scalar_arguments.first().copied().flatten();
    let unit = unit.and_then(|unit| unit.try_as_str().flatten()).and_then(Unit::parse);
    match unit {
        Some(Unit::Second) => DataType::Decimal128(8, SCALE_MAX),
        Some(Unit::Millisecond) => DataType::Decimal128(8, 3),
        Some(Unit::Epoch) | None => DataType::Decimal128(24, SCALE_MAX),
        Some(_) => DataType::Decimal128(18, 0),
    }
}

fn numeric(call: &Call<'_>, zone: Zone) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = *call.returns else {
        return Err(failed(Error::internal("extract answers numeric")));
    };
    let divisor = 10_i128.pow((SCALE_MAX - scale) as u32);
    let parts = parts(call, zone)?.into_iter().map(|part| part.map(|part| i128::from(part) / divisor));
    Ok(Arc::new(parts.collect::<Decimal128Array>().with_precision_and_scale(precision, scale)?))
}

/// The parts in millionths.
fn parts(call: &Call<'_>, zone: Zone) -> Result<Vec<Option<i64>>> {
    let units = call.texts(0)?;
    let times = Times::of(call.column(1), zone).map_err(failed)?;
    let part = |row| {
        if units.is_null(row) || times.is_null(row) {
            return Ok(None);
        }
        let name = units.value(row);
        let unit = unit_named(name)?;
        let part = match &times {
            Times::Clocks(clocks) => part_of_clock(unit, clocks.value(row), None)?,
            Times::Moments(moments) => {
                let moment = moments.value(row);
                let offset = i64::from(zone.offset_at(moment));
                part_of_clock(unit, moment.saturating_add(offset * SECOND_MICROS), Some((moment, offset)))?
            }
            Times::Spans(spans) => part_of_span(unit, Span::of(spans.value(row))),
        };
        part.map(Some).ok_or_else(|| Error::unsupported(format!("unit {name:?} not supported for this type")))
    };
    (0..call.rows).map(part).collect::<CoreResult<_>>().map_err(failed)
}

/// A part of what a clock shows; `moment` adds the moment and the seconds that the clock is ahead of UTC.
fn part_of_clock(unit: Unit, clock: i64, moment: Option<(i64, i64)>) -> CoreResult<Option<i64>> {
    let at = fields(clock)?;
    let (year, month) = (i64::from(at.year()), i64::from(at.month()));
    // There is no year 0: 1 BC is year -1 of the answer and year 0 of the calendar.
    let shown_year = if year > 0 { year } else { year - 1 };
    let age =
        |years: i64| if shown_year > 0 { (shown_year + years - 1) / years } else { (shown_year - years + 1) / years };
    let in_minute = clock.rem_euclid(60 * SECOND_MICROS);
    let whole = match unit {
        Unit::Second => return Ok(Some(in_minute)),
        Unit::Millisecond => return Ok(Some(in_minute * 1000)),
        Unit::Epoch => return Ok(Some(moment.map_or(clock, |(moment, _)| moment))),
        Unit::Microsecond => in_minute,
        Unit::Minute => i64::from(at.minute()),
        Unit::Hour => i64::from(at.hour()),
        Unit::Day => i64::from(at.day()),
        Unit::Week => i64::from(at.iso_week().week()),
        Unit::Month => month,
        Unit::Quarter => (month + 2) / 3,
        Unit::Year => shown_year,
        Unit::Decade => year.div_euclid(10),
        Unit::Century => age(100),
        Unit::Millennium => age(1000),
        Unit::DayOfWeek => i64::from(at.weekday().num_days_from_sunday()),
        Unit::IsoDayOfWeek => i64::from(at.weekday().number_from_monday()),
        Unit::DayOfYear => i64::from(at.ordinal()),
        Unit::IsoYear => i64::from(at.iso_week().year()),
        Unit::Timezone | Unit::TimezoneHour | Unit::TimezoneMinute => {
            let Some((_, offset)) = moment else { return Ok(None) };
            match unit {
                Unit::TimezoneHour => offset / 3600,
                Unit::TimezoneMinute => offset / 60 % 60,
                _ => offset,
            }
        }
    };
    Ok(Some(whole * MILLION))
}

fn part_of_span(unit: Unit, span: Span) -> Option<i64> {
    let (years, months) = (span.months / 12, span.months % 12);
    let in_minute = span.micros % (60 * SECOND_MICROS);
    let whole = match unit {
        Unit::Second => return Some(in_minute),
        Unit::Millisecond => return Some(in_minute * 1000),
        Unit::Epoch => {
            // A year of 365.25 days, a month of 30.
            let days = years * 365 * DAY_MICROS + years * (DAY_MICROS / 4) + (months * 30 + span.days) * DAY_MICROS;
            return Some(days + span.micros);
        }
        Unit::Microsecond => in_minute,
        Unit::Minute => span.micros / (60 * SECOND_MICROS) % 60,
        Unit::Hour => span.micros / HOUR_MICROS,
        Unit::Day => span.days,
        Unit::Month => months,
        Unit::Quarter => months / 3 + 1,
        Unit::Year => years,
        Unit::Decade => years / 10,
        Unit::Century => years / 100,
        Unit::Millennium => years / 1000,
        _ => return None,
    };
    Some(whole * MILLION)
}
