//! Errors of DataFusion, Arrow, Parquet, delta-rs and the object store as core's error.

mod message;

use arrow_schema::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use deltalake::parquet::errors::ParquetError;
use lakeport_base::Sqlstate;
use lakeport_base::nearest::nearest;
use lakeport_core::Error;
use lakeport_core::error::is_disk_full;

use self::message::tidy;
pub(crate) use self::message::{CASTS_MAY_HELP, type_name};

/// The error of planning or running a query.
pub(crate) fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        full if is_disk_full(&full) => disk_full(full),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => from_datafusion(errors.swap_remove(0)),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        DataFusionError::ParquetError(inner) => from_parquet(*inner),
        DataFusionError::ObjectStore(inner) => from_store(*inner),
        DataFusionError::External(inner) => from_boxed(inner),
        DataFusionError::IoError(inner) => inner.into(),
        DataFusionError::SQL(inner, _) => from_parser(*inner),
        DataFusionError::SchemaError(inner, _) => from_schema(&inner),
        DataFusionError::NotImplemented(message) => message::of_unsupported(&message),
        DataFusionError::Plan(message) | DataFusionError::Configuration(message) => message::of_planning(&message),
        DataFusionError::Execution(message) => from_execution_text(&message),
        DataFusionError::ResourcesExhausted(message) => {
            Error::new(Sqlstate::OUT_OF_MEMORY, "out of memory").with_detail(tidy(&message))
        }
        DataFusionError::Internal(message) => {
            message::of_internal(&message).unwrap_or_else(|| Error::internal(DataFusionError::Internal(message)))
        }
        other => Error::internal(other),
    }
}

/// An error that several readers of one stream share; only its text can be kept.
fn from_shared(error: &DataFusionError) -> Error {
    match error {
        full if is_disk_full(full) => Error::disk_full(DISK_FULL),
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_shared(inner),
        DataFusionError::ArrowError(inner, _) => {
            from_arrow_text(inner).unwrap_or_else(|| Error::internal(inner.to_string()))
        }
        DataFusionError::Plan(message) => message::of_planning(message),
        DataFusionError::Execution(message) => from_execution_text(message),
        DataFusionError::NotImplemented(message) => message::of_unsupported(message),
        DataFusionError::ResourcesExhausted(message) => {
            Error::new(Sqlstate::OUT_OF_MEMORY, "out of memory").with_detail(tidy(message))
        }
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(error) => copied(error),
            None => Error::internal(inner.to_string()),
        },
        other => Error::internal(other.to_string()),
    }
}

/// The fields of an error without its source.
pub(crate) fn copied(error: &Error) -> Error {
    let copy = Error::new(error.code(), error.message()).with_hint_opt(error.hint().map(str::to_string));
    match error.detail() {
        Some(detail) => copy.with_detail(detail),
        None => copy,
    }
}

/// The error of a kernel or a cast.
pub(crate) fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_boxed(inner),
        ArrowError::IoError(_, inner) => inner.into(),
        other => from_arrow_text(&other).unwrap_or_else(|| Error::internal(other)),
    }
}

fn from_arrow_text(error: &ArrowError) -> Option<Error> {
    Some(match error {
        ArrowError::DivideByZero => Error::new(Sqlstate::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(message) => out_of_range(message),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => from_cast_text(message),
        ArrowError::InvalidArgumentError(message) | ArrowError::ComputeError(message) => from_execution_text(message),
        ArrowError::NotYetImplemented(message) => message::of_unsupported(message),
        ArrowError::ParquetError(message) => broken_file().with_source(message.clone()),
        _ => return None,
    })
}

fn from_parquet(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => from_boxed(inner),
        other => broken_file().with_source(other),
    }
}

fn broken_file() -> Error {
    Error::new(Sqlstate::DATA_CORRUPTED, "a data file of the table cannot be read")
}

/// The error of the table's storage.
pub(crate) fn from_store(error: object_store::Error) -> Error {
    if is_disk_full(&error) {
        return disk_full(error);
    }
    let error = match error {
        object_store::Error::Generic { source, store } => match source.downcast::<Error>() {
            Ok(own) => return *own,
            Err(source) => object_store::Error::Generic { source, store },
        },
        error => error,
    };
    let (code, message) = match &error {
        object_store::Error::NotFound { path, .. } => {
            (Sqlstate::UNDEFINED_FILE, format!("the file {path:?} of the table does not exist"))
        }
        object_store::Error::PermissionDenied { path, .. } | object_store::Error::Unauthenticated { path, .. } => {
            (Sqlstate::IO_ERROR, format!("the table's storage refuses access to {path:?}"))
        }
        _ => (Sqlstate::IO_ERROR, "the table's storage cannot be read or written".to_string()),
    };
    Error::new(code, message).with_source(error)
}

/// 58030: nobody knows whether a commit was made.
pub(crate) fn uncertain(error: object_store::Error) -> Error {
    Error::new(Sqlstate::IO_ERROR, "the table's storage failed during a commit, which may have been made")
        .with_hint("when the storage works again, look whether the change is there before you run the statement again")
        .with_source(error)
}

/// What a client reads when the table's storage or the folder for spilled rows has no room left.
const DISK_FULL: &str = "no space left on the disk";

fn disk_full(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::disk_full(DISK_FULL).with_source(source)
}

/// The error of the table's log.
pub(crate) fn from_delta(error: DeltaTableError) -> Error {
    match error {
        full if is_disk_full(&full) => disk_full(full),
        DeltaTableError::ObjectStore { source } => from_store(source),
        DeltaTableError::Arrow { source } => from_arrow(source),
        DeltaTableError::Parquet { source } => from_parquet(source),
        DeltaTableError::Io { source } => source.into(),
        DeltaTableError::GenericError { source } => from_boxed(source),
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::Transaction {
            source: TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_),
        } => conflict().with_source(error),
        DeltaTableError::Transaction { source: TransactionError::UnsupportedTableFeatures(features) } => {
            Error::unsupported(format!("the table uses Delta features that cannot be written here: {features:?}"))
        }
        other => Error::internal(other),
    }
}

/// 40001: another writer got there first.
pub(crate) fn conflict() -> Error {
    Error::new(
        Sqlstate::SERIALIZATION_FAILURE,
        "restart transaction: another writer changed the table since the transaction read it",
    )
    .with_hint("run the transaction again")
}

/// Whether another writer got there first.
pub(crate) fn is_conflict(error: &Error) -> bool {
    error.code() == Sqlstate::SERIALIZATION_FAILURE
}

fn from_boxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    if is_disk_full(&*error) {
        return Error::disk_full(DISK_FULL).with_source(error);
    }
    let error = match error.downcast::<Error>() {
        Ok(ours) => return *ours,
        Err(error) => error,
    };
    let error = match error.downcast::<DataFusionError>() {
        Ok(inner) => return from_datafusion(*inner),
        Err(error) => error,
    };
    let error = match error.downcast::<ArrowError>() {
        Ok(inner) => return from_arrow(*inner),
        Err(error) => error,
    };
    let error = match error.downcast::<ParquetError>() {
        Ok(inner) => return from_parquet(*inner),
        Err(error) => error,
    };
    match error.downcast::<object_store::Error>() {
        Ok(inner) => from_store(*inner),
        Err(error) => Error::internal(error),
    }
}

fn from_parser(error: ParserError) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => {
            Error::new(Sqlstate::STATEMENT_TOO_COMPLEX, "the statement is nested too deeply")
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            Error::new(Sqlstate::SYNTAX_ERROR, format!("syntax error: {}", tidy(&message)))
        }
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => undefined_column(field, valid_fields),
        SchemaError::AmbiguousReference { field } => {
            Error::new(Sqlstate::AMBIGUOUS_COLUMN, format!("column reference {:?} is ambiguous", field.name))
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column name {name:?} appears more than once"))
        }
    }
}

fn undefined_column(column: &Column, valid: &[Column]) -> Error {
    if let Some(relation) = &column.relation
        && !valid.iter().any(|valid| valid.relation.as_ref().is_some_and(|known| known.table() == relation.table()))
    {
        let message = format!("missing FROM-clause entry for table {:?}", relation.table());
        return Error::new(Sqlstate::UNDEFINED_TABLE, message);
    }
    let name = match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => format!("{:?}", column.name),
    };
    let hint = nearest(&column.name, valid.iter().map(|valid| valid.name.as_str()))
        .filter(|near| *near != column.name)
        .map(|near| format!("did you mean {near:?}?"));
    Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {name} does not exist")).with_hint_opt(hint)
}

fn from_execution_text(message: &str) -> Error {
    let lower = message.to_ascii_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        Error::new(Sqlstate::DIVISION_BY_ZERO, "division by zero")
    } else if lower.contains("overflow") || lower.contains("out of range") || lower.contains("too large") {
        out_of_range(message)
    } else if lower.contains("cast") || lower.contains("parse") {
        from_cast_text(message)
    } else {
        Error::new(Sqlstate::INVALID_PARAMETER_VALUE, tidy(message))
    }
}

fn from_cast_text(message: &str) -> Error {
    if let Some(error) = message::of_cast(message) {
        return error;
    }
    let lower = message.to_ascii_lowercase();
    let beyond = ["overflow", "too large", "can't cast value", "out of range"];
    if beyond.iter().any(|words| lower.contains(words)) {
        return out_of_range(message);
    }
    Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, tidy(message))
}

fn out_of_range(message: &str) -> Error {
    let text = match message {
        decimal if decimal.contains("Decimal128 of precision 38") => {
            "value out of range: DECIMAL has 38 digits at most"
        }
        integer if integer.contains("Int") => "integer out of range",
        _ => "value out of range",
    };
    Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, text).with_source(message.to_string())
}
