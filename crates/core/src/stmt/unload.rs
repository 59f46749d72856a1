//! `COPY INTO location`.

use std::borrow::Cow;

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_sql::stmt::query::Query;
use lakeport_sql::stmt::unload::{Unload, UnloadOptions};
use object_store::ObjectStoreExt;
use tokio_util::sync::CancellationToken;

use super::Cx;
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::export::{self, Compression, CsvForm, ExportOptions, Exported, Format, Place, Quoting};
use crate::external::store_error;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stage::format::options::{self, UNLOAD};
use crate::stage::format::{FileFormat, FormatType};
use crate::stage::listing::{parse_file, parse_path};
use crate::stage::place::{StageAccess, StagedPlace, clean};
use crate::stage::reading::charset;

/// Size of a full file before compression when none is asked for, in bytes.
const FILE_BYTES_DEFAULT: u64 = 64 << 20;
/// What the names of files begin with.
const DATA: &str = "data_";
/// The part of rows whose own is NULL.
const NULL_PART: &str = "_NULL_";
/// Random bytes in the names of one statement's files.
const QUERY_ID_BYTES: usize = 16;

pub(crate) fn columns(options: &UnloadOptions) -> SchemaRef {
    match options.detailed_output {
        true => schema_of(&[("file_name", SqlType::Text), ("file_size", SqlType::Int8), ("row_count", SqlType::Int8)]),
        false => schema_of(&[
            ("rows_unloaded", SqlType::Int8),
            ("input_bytes", SqlType::Int8),
            ("output_bytes", SqlType::Int8),
        ]),
    }
}

pub(crate) async fn unload(cx: &Cx<'_>, statement: &Unload) -> Result<Outcome> {
    let options = &statement.options;
    cx.refuse_in_block("COPY INTO a location cannot be used inside a multi-statement transaction")?;
    check(statement)?;
    let to = cx.server.staged_place(cx.subject(), &statement.to, StageAccess::Write).await?;
    let format = match &statement.file_format {
        Some(list) => FileFormat::read(&cx.server.format_options(list).await?)?,
        None => to.file_format.clone().unwrap_or_else(|| FileFormat::of_type(FormatType::Parquet)),
    };
    let export_options = export_options(&format, options)?;
    // Readers know what is inside of a Parquet file by itself.
    let extension = match export_options.format {
        Format::Parquet => "parquet".to_string(),
        _ => export_options.extension(),
    };
    let place = place(cx, to, statement, extension).await?;
    let rows = super::query::rows(cx, &in_parts(statement)).await?;
    let stop = CancellationToken::new();
    let stop_if_dropped = stop.clone().drop_guard();
    let files = export::start(rows, export_options, place, stop).await.map_err(Error::internal)??;
    drop(stop_if_dropped);
    Ok(Outcome::rows("COPY", batch_of(columns(options), &result(files, options))?))
}

/// # Errors
/// [2004] for options that exclude each other.
fn check(statement: &Unload) -> Result<()> {
    let UnloadOptions { single, overwrite, include_query_id, use_raw_path, .. } = statement.options;
    let refused = |message: &str| Err(Error::databend(Number::INVALID_ARGUMENT, message));
    if statement.partition_by.is_some() && (single || overwrite || !include_query_id) {
        return refused("PARTITION BY cannot be used with single=true, overwrite=true or include_query_id=false");
    }
    if overwrite && !(single && use_raw_path) {
        return refused("overwrite=true can only be set when single=true and use_raw_path=true for now");
    }
    if use_raw_path && !single {
        return refused("use_raw_path=true can only be set when single=true");
    }
    if !include_query_id && !use_raw_path {
        return refused("conflict copy_options: include_query_id=false can only be set when use_raw_path=true");
    }
    Ok(())
}

/// The query with the part of each row as its last column, and the rows of each part together.
fn in_parts(statement: &Unload) -> Cow<'_, Query> {
    let Some(expression) = &statement.partition_by else { return Cow::Borrowed(&statement.query) };
    let query = &statement.query.text;
    let text = format!(
        "SELECT *, coalesce(CAST(({expression}) AS STRING), '{NULL_PART}') AS \"$part\" FROM ({query}) AS \"$rows\" \
         ORDER BY \"$part\""
    );
    Cow::Owned(Query { text, ..statement.query.as_ref().clone() })
}

/// The folder of a part, below the location's own.
///
/// # Errors
/// [1006] for one that climbs, or that no storage takes.
fn part_folder(part: &str) -> Result<String> {
    let folder = clean(part)?;
    let folder = folder.trim_end_matches('/');
    parse_path(folder).map(|_| folder.to_string()).map_err(|error| {
        let message = format!("PARTITION BY gives {part:?}, which names no folder");
        Error::databend(Number::BAD_ARGUMENTS, message).with_detail(error.detail().unwrap_or_default())
    })
}

/// Where the files go.
///
/// # Errors
/// [1006] for a path that is no file's, or that of a file that must not be replaced.
async fn place(cx: &Cx<'_>, to: StagedPlace, statement: &Unload, extension: String) -> Result<Place> {
    let (options, has_parts) = (&statement.options, statement.partition_by.is_some());
    let StagedPlace { store, prefix, name: uri, .. } = to;
    parse_path(&prefix)?;
    if !options.use_raw_path {
        let query_id = cx.server.config.env.random_hex(QUERY_ID_BYTES);
        let (folder, stem) = match prefix.rsplit_once('/').unwrap_or(("", &prefix)) {
            (folder, stem) if stem.ends_with(DATA) => (folder, stem),
            _ => (prefix.trim_end_matches('/'), DATA),
        };
        let (folder, stem) = (folder.to_string(), format!("{stem}{query_id}_0000"));
        let name = Box::new(move |part: &str, index| {
            let (part, file) = (part_folder(part)?, format!("{stem}_{index:08}.{extension}"));
            Ok([folder.as_str(), &part, &file]
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
                .join("/"))
        });
        return Ok(Place { store, uri, name, has_parts, is_chosen: false });
    }
    let refused = |message: String| Error::databend(Number::BAD_ARGUMENTS, message);
    if prefix.is_empty() || prefix.ends_with('/') {
        return Err(refused(format!("unload path must not end with '/' when use_raw_path is set: {prefix:?}")));
    }
    let path = parse_file(&prefix)?;
    if !options.overwrite {
        match store.head(&path).await {
            Ok(_) => {
                let exists = refused(format!("file already exists: {prefix:?}"));
                return Err(exists.with_hint("OVERWRITE = TRUE replaces it"));
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(store_error(error)),
        }
    }
    Ok(Place { store, uri, name: Box::new(move |_, _| Ok(prefix.clone())), has_parts, is_chosen: true })
}

fn export_options(format: &FileFormat, options: &UnloadOptions) -> Result<ExportOptions> {
    format.require_known_values(&UNLOAD)?;
    let chunk_bytes = match (options.single, options.max_file_size) {
        (true, _) => u64::MAX,
        (false, 0) => FILE_BYTES_DEFAULT,
        (false, bytes) => bytes,
    };
    let (form, codecs): (Format, &[(&str, Compression)]) = match format.ty {
        FormatType::Csv | FormatType::Text => (Format::Csv(csv_form(format)?), TEXT_CODECS),
        FormatType::Ndjson => (Format::Ndjson, TEXT_CODECS),
        FormatType::Parquet => (Format::Parquet, PARQUET_CODECS),
        other => {
            let message = format!("files of type {} cannot be written", other.name());
            return Err(Error::databend(Number::UNIMPLEMENTED, message)
                .with_hint("the types are CSV, NDJSON, PARQUET and TEXT"));
        }
    };
    let compression = compression(format, codecs)?;
    let charset = charset(format);
    Ok(ExportOptions { format: form, compression, charset, chunk_rows: u64::MAX, chunk_bytes })
}

const TEXT_CODECS: &[(&str, Compression)] = &[
    ("NONE", Compression::None),
    ("AUTO", Compression::None),
    ("GZIP", Compression::Gzip),
    ("ZSTD", Compression::Zstd),
    ("SNAPPY", Compression::Snappy),
];
const PARQUET_CODECS: &[(&str, Compression)] = &[
    ("ZSTD", Compression::Zstd),
    ("AUTO", Compression::Zstd),
    ("GZIP", Compression::Gzip),
    ("SNAPPY", Compression::Snappy),
    ("NONE", Compression::None),
];

fn compression(format: &FileFormat, codecs: &[(&str, Compression)]) -> Result<Compression> {
    let wanted = options::COMPRESSION.text(format);
    let found = codecs.iter().find(|(name, _)| *name == wanted).map(|(_, codec)| *codec);
    found.ok_or_else(|| {
        let names: Vec<&str> = codecs.iter().map(|(name, _)| *name).collect();
        let message = format!("{} files cannot be written with COMPRESSION = {wanted}", format.ty.name());
        Error::databend(Number::UNIMPLEMENTED, message).with_hint(format!("the codecs are {}", names.join(", ")))
    })
}

fn csv_form(format: &FileFormat) -> Result<CsvForm> {
    let [delimiter] = *options::FIELD_DELIMITER.text(format).as_bytes() else {
        let message = "files are written with a FIELD_DELIMITER of one byte";
        return Err(Error::databend(Number::BAD_ARGUMENTS, message));
    };
    let null_text = options::NULL_DISPLAY.text(format);
    let is_text = format.ty == FormatType::Text;
    if is_text && !(null_text.starts_with('\\') && options::ESCAPE.text(format) == "\\") {
        let message = "TEXT is written with ESCAPE = '\\\\' and a NULL_DISPLAY that begins with a backslash";
        return Err(Error::databend(Number::UNIMPLEMENTED, message));
    }
    let quote = || options::QUOTE.text(format).bytes().next().unwrap_or(b'"');
    let escape = options::ESCAPE.text(format).bytes().next();
    let quoting = match options::QUOTE_STYLE.text(format) {
        _ if is_text => Quoting::Backslash,
        "QUOTE_MINIMAL" => Quoting::WhereNeeded { quote: quote(), escape },
        _ => Quoting::AroundText { quote: quote(), escape },
    };
    Ok(CsvForm {
        delimiter,
        null_text: Some(null_text.to_string()),
        quoting,
        line_end: options::RECORD_DELIMITER.text(format).to_string(),
        has_header: options::OUTPUT_HEADER.is_on(format),
        extension: if is_text { "txt" } else { "csv" },
    })
}

fn result(files: Vec<Exported>, options: &UnloadOptions) -> Vec<Vec<Cell>> {
    let count = |count: u64| i64::try_from(count).ok();
    if options.detailed_output {
        return files.into_iter().map(|file| row![file.name, count(file.bytes), count(file.rows)]).collect();
    }
    let total = |of: fn(&Exported) -> u64| count(files.iter().map(of).sum());
    vec![row![total(|file| file.rows), total(|file| file.plain_bytes), total(|file| file.bytes)]]
}
