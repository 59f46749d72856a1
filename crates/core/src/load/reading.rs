//! How the files of a COPY INTO a table are read.

use lakeport_sql::stmt::load::ColumnMatch;

use crate::databend::Number;
use crate::error::{Error, Result};
use crate::import::batch::Target;
use crate::import::rules::Rules;
use crate::import::{AvroForm, AvroOptions, ByName, Decompress, Format, ImportOptions, Missing};
use crate::stage::format::options::{
    AVRO_MISSING_FIELD_AS, EMPTY_FIELD_AS, ERROR_ON_COLUMN_COUNT_MISMATCH, MISSING_FIELD_AS, NULL_FIELD_AS,
};
use crate::stage::format::{FileFormat, FormatType};
use crate::stage::reading::{charset, csv, decompress, delimited};

/// The format of files as the readers of IMPORT take it; `None` for what only the engine reads.
///
/// # Errors
/// [1002] for what nobody reads.
pub(crate) fn options(format: &FileFormat, names: ByName) -> Result<Option<ImportOptions>> {
    let read = match format.ty {
        FormatType::Csv => Format::Csv(csv(format)),
        FormatType::Text => Format::Delimited(delimited(format)),
        FormatType::Ndjson => Format::Ndjson { names, null_is_default: NULL_FIELD_AS.text(format) == "FIELD_DEFAULT" },
        FormatType::Parquet => Format::Parquet { names },
        FormatType::Avro => Format::Avro(AvroOptions { names, form: AvroForm::Container }),
        FormatType::Orc => return Ok(None),
        other => {
            let message = format!("files of type {} cannot be loaded", other.name());
            return Err(Error::databend(Number::UNIMPLEMENTED, message)
                .with_hint(other.alternative().unwrap_or("the types are AVRO, CSV, NDJSON, ORC, PARQUET and TEXT")));
        }
    };
    // Parquet files hold compressed pages.
    let decompress = if format.ty == FormatType::Parquet { Decompress::None } else { decompress(format)? };
    Ok(Some(ImportOptions { charset: charset(format), ..with_format(read, decompress) }))
}

/// Whole files in a format.
pub(crate) fn with_format(format: Format, decompress: Decompress) -> ImportOptions {
    ImportOptions { format, decompress, charset: None, row_limit: None, glob: false, save_rejected: false }
}

/// How the columns of files become those of the table.
pub(crate) fn names(format: &FileFormat, columns: Option<ColumnMatch>) -> ByName {
    let option = if format.ty == FormatType::Avro { &AVRO_MISSING_FIELD_AS } else { &MISSING_FIELD_AS };
    let missing = match option.text(format) {
        "NULL" => Missing::Null,
        "FIELD_DEFAULT" => Missing::Default,
        _ => Missing::Refused,
    };
    let exact = format.ty == FormatType::Ndjson || columns == Some(ColumnMatch::CaseSensitive);
    ByName { only_known: false, missing, exact }
}

/// Whether something in the files may stand for the default of a column.
pub(crate) fn takes_defaults(format: &FileFormat) -> bool {
    [&EMPTY_FIELD_AS, &MISSING_FIELD_AS, &AVRO_MISSING_FIELD_AS, &NULL_FIELD_AS]
        .iter()
        .any(|option| option.text(format) == "FIELD_DEFAULT")
}

/// The columns that files fill.
pub(crate) fn target(format: &FileFormat, columns: Vec<lakeport_catalog::model::Column>, rules: Rules) -> Target {
    let has_fields = matches!(format.ty, FormatType::Csv | FormatType::Text);
    let target = if has_fields && !ERROR_ON_COLUMN_COUNT_MISMATCH.is_on(format) {
        let places = (0..columns.len()).collect();
        Target::of_fields(columns, places)
    } else {
        Target::new(columns)
    };
    target.with_rules(rules)
}
