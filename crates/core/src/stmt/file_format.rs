//! `CREATE | DROP FILE FORMAT`, `SHOW FILE FORMATS`, and file formats by name.

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_base::name::printable;
use lakeport_base::nearest::nearest;
use lakeport_catalog::model::{FileFormat as Row, FormatOptions};
use lakeport_sql::stmt::file_format::{CreateFileFormat, DropFileFormat};
use lakeport_sql::stmt::stage::location::Parameter;

use super::Cx;
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::server::Server;
use crate::show::rows::{Cell, batch_of};
use crate::stage::format::{FORMAT_NAME, FileFormat, FormatType, type_names, written};

impl Server {
    /// The file format of a name: a type, or one that CREATE FILE FORMAT has made, first under exactly this name.
    ///
    /// # Errors
    /// [2507]
    pub async fn file_format(&self, name: &str) -> Result<FileFormat> {
        match FormatType::of_name(name) {
            Some(ty) => Ok(FileFormat::of_type(ty)),
            None => FileFormat::read(&self.named_options(name, &type_names()).await?),
        }
    }

    /// Options under a name, where one of these types may stand too.
    async fn named_options(&self, name: &str, types: &[&str]) -> Result<FormatOptions> {
        let mut tx = self.config.catalog.read().await?;
        let found = match tx.find_file_format(name).await? {
            None => tx.find_file_format(&name.to_lowercase()).await?,
            found => found,
        };
        match found {
            Some(row) => Ok(row.options),
            None => Err(missing(name, &tx.file_formats().await?, types)),
        }
    }

    /// The options of a `FILE_FORMAT = (...)`, with `FORMAT_NAME` replaced by what it stands for. Not checked yet.
    ///
    /// # Errors
    /// [2507], or [2508] for options beside a name.
    pub(crate) async fn format_options(&self, parameters: &[Parameter]) -> Result<FormatOptions> {
        let Some(name) = parameters.iter().find(|parameter| parameter.name == FORMAT_NAME) else {
            return Ok(written(parameters));
        };
        match (name.values.as_slice(), parameters.len()) {
            ([name], 1) => self.named_options(name, &[]).await,
            _ => {
                let message = "Invalid FILE_FORMAT options: FORMAT_NAME takes one name and no options beside it";
                Err(Error::databend(Number::ILLEGAL_FILE_FORMAT, message))
            }
        }
    }
}

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateFileFormat) -> Result<Outcome> {
    let name = &statement.name;
    if FormatType::of_name(name).is_some() {
        let message = format!("File format name '{name}' is reserved: it is that of a type");
        return Err(Error::databend(Number::SYNTAX, message));
    }
    let options = written(&statement.options);
    FileFormat::read(&options)?;
    let mut tx = cx.server.config.catalog.write().await?;
    let mut owner = cx.owner().to_string();
    if let Some(old) = tx.find_file_format(name).await? {
        let exists = Error::databend(Number::FILE_FORMAT_EXISTS, format!("File format '{name}' already exists."));
        match (statement.if_not_exists, statement.or_replace) {
            (true, _) => return Ok(cx.skipped("CREATE FILE FORMAT", &exists)),
            (_, true) => require_owner(cx, &old)?,
            _ => return Err(exists.with_hint("CREATE OR REPLACE FILE FORMAT changes it")),
        }
        owner = old.owner;
    }
    let created = cx.server.config.env.now_micros();
    tx.put_file_format(&Row { name: name.clone(), options, owner, created }).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("CREATE FILE FORMAT"))
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropFileFormat) -> Result<Outcome> {
    let name = &statement.name;
    let mut tx = cx.server.config.catalog.write().await?;
    let Some(old) = tx.find_file_format(name).await? else {
        let missing = missing(name, &tx.file_formats().await?, &[]);
        return if statement.if_exists { Ok(cx.skipped("DROP FILE FORMAT", &missing)) } else { Err(missing) };
    };
    require_owner(cx, &old)?;
    tx.delete_file_format(name).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("DROP FILE FORMAT"))
}

pub(crate) fn columns() -> SchemaRef {
    schema_of(&[("name", SqlType::Text), ("format_options", SqlType::Jsonb), ("owner", SqlType::Text)])
}

pub(crate) async fn show(cx: &Cx<'_>) -> Result<Outcome> {
    let formats = cx.server.config.catalog.read().await?.file_formats().await?;
    let row = |format: &Row| Ok(row![&format.name, FileFormat::read(&format.options)?.to_json(), &format.owner]);
    let rows = formats.iter().map(row).collect::<Result<Vec<Vec<Cell>>>>()?;
    Ok(Outcome::rows("SHOW", batch_of(columns(), &rows)?))
}

fn require_owner(cx: &Cx<'_>, format: &Row) -> Result<()> {
    if cx.subject().owns(&format.owner) {
        return Ok(());
    }
    let remedy = format!("its owner {} or an admin may", format.owner);
    Err(cx.subject().denied_in_databend("Ownership", &format!("FILE FORMAT {}", format.name)).with_hint(remedy))
}

/// [2507] for a name that is neither a format's nor that of one of these types.
fn missing(name: &str, formats: &[Row], types: &[&str]) -> Error {
    let missing = Error::databend(Number::UNKNOWN_FILE_FORMAT, format!("Unknown file format '{}'.", printable(name)));
    if let Some(ty) = FormatType::of_name(name) {
        return missing.with_hint(format!("{} is a type: write TYPE = {}", ty.name(), ty.name()));
    }
    let known = types.iter().copied().chain(formats.iter().map(|format| format.name.as_str()));
    let near = nearest(name, known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let types = if types.is_empty() { String::new() } else { format!("the types are {}; ", types.join(", ")) };
    missing.with_hint(format!("{near}{types}SHOW FILE FORMATS lists the formats that have names"))
}
