//! SQL functions that answer from the catalog or the session: names for oids, definitions, comments, privileges,
//! variables, advisory locks. The engine calls them with plain values.

mod advisory;
pub mod name;
mod privilege;
mod session;

use futures::future::BoxFuture;
use lakeport_base::{SqlType, Sqlstate};

use super::Viewer;
use super::rows::Cell;
use crate::error::{Error, Result};

/// A function that answers from the catalog or the session.
pub struct CatalogFunction {
    pub name: &'static str,
    /// Numbers of arguments that it takes.
    pub arities: &'static [usize],
    pub returns: SqlType,
    /// Whether NULL for any argument answers NULL without a call.
    strict: bool,
    /// Whether a call does something, so that it must happen once for each row.
    pub acts: bool,
    answer: Answer,
}

/// An answer on its way; it holds what it needs.
pub type Pending = BoxFuture<'static, Result<Cell>>;

enum Answer {
    Now(fn(Viewer<'_>, &[Cell]) -> Result<Cell>),
    InTime(fn(Viewer<'_>, &[Cell]) -> Result<Pending>),
}

impl CatalogFunction {
    const fn new(
        name: &'static str,
        arities: &'static [usize],
        returns: SqlType,
        answer: fn(Viewer<'_>, &[Cell]) -> Result<Cell>,
    ) -> CatalogFunction {
        CatalogFunction { name, arities, returns, strict: true, acts: false, answer: Answer::Now(answer) }
    }

    /// Called for what it does, for which it may have to wait.
    const fn waiting(
        name: &'static str,
        arities: &'static [usize],
        returns: SqlType,
        answer: fn(Viewer<'_>, &[Cell]) -> Result<Pending>,
    ) -> CatalogFunction {
        CatalogFunction { name, arities, returns, strict: true, acts: true, answer: Answer::InTime(answer) }
    }

    /// Called for NULL too.
    const fn lenient(mut self) -> CatalogFunction {
        self.strict = false;
        self
    }

    /// Called for what it does.
    const fn acting(mut self) -> CatalogFunction {
        self.acts = true;
        self
    }

    /// The answer as the viewer sees it.
    pub fn answer(&self, viewer: Viewer<'_>, arguments: &[Cell]) -> Result<Cell> {
        match &self.answer {
            _ if self.strict && arguments.contains(&Cell::Null) => Ok(Cell::Null),
            Answer::Now(answer) => answer(viewer, arguments),
            Answer::InTime(_) => Err(Error::unsupported(format!("{}() cannot be called here", self.name))),
        }
    }

    /// Whether [`answer_in_time`](CatalogFunction::answer_in_time) is to be asked.
    pub fn waits(&self) -> bool {
        matches!(self.answer, Answer::InTime(_))
    }

    /// The answer as the viewer sees it, once there is one.
    pub fn answer_in_time(&self, viewer: Viewer<'_>, arguments: &[Cell]) -> Result<Pending> {
        match &self.answer {
            Answer::InTime(answer) if !arguments.contains(&Cell::Null) => answer(viewer, arguments),
            _ => Ok(Box::pin(std::future::ready(self.answer(viewer, arguments)))),
        }
    }
}

const FUNCTIONS: &[&[CatalogFunction]] =
    &[advisory::FUNCTIONS, name::FUNCTIONS, privilege::FUNCTIONS, session::FUNCTIONS];

/// The function of a lower-case name.
pub fn find(name: &str) -> Option<&'static CatalogFunction> {
    FUNCTIONS.iter().flat_map(|functions| functions.iter()).find(|function| function.name == name)
}

/// An argument that is an oid, as a number or as digits.
fn oid(arguments: &[Cell], index: usize) -> Result<i64> {
    let argument = arguments.get(index);
    let number = match argument {
        Some(Cell::Int(number)) => Some(*number),
        Some(Cell::Text(digits)) => digits.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        let code = Sqlstate::INVALID_TEXT_REPRESENTATION;
        Error::new(code, format!("invalid input syntax for type oid: {:?}", text_of(argument)))
    })
}

/// An argument as text.
fn text(arguments: &[Cell], index: usize) -> String {
    text_of(arguments.get(index))
}

fn text_of(argument: Option<&Cell>) -> String {
    match argument {
        Some(Cell::Text(text)) => text.clone(),
        Some(Cell::Int(number)) => number.to_string(),
        Some(Cell::Bool(value)) => if *value { "true" } else { "false" }.to_string(),
        _ => String::new(),
    }
}
