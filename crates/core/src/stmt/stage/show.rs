//! `DESCRIBE STAGE`, `SHOW STAGES`.

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_catalog::model::{Object, Stage, StagePlace};
use lakeport_connect::dialect::mask;
use lakeport_connect::{Target, kind::Host};
use lakeport_sql::stmt::stage::location::StageName;
use lakeport_sql::stmt::stage::{DescribeStage, ShowStages};
use serde_json::{Map, Value};

use crate::authz::Subject;
use crate::error::Result;
use crate::external::target_of;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stage::format::FileFormat;
use crate::stmt::Cx;

/// Parameters that are shown as they are.
const CLEAR: &[&str] = &["endpoint_url", "region", "account_name"];

/// Those of Databend, and what the stage has to do with a connection.
pub(crate) fn columns() -> SchemaRef {
    schema_of(&[
        ("name", SqlType::Text),
        ("stage_type", SqlType::Text),
        ("storage_type", SqlType::Text),
        ("url", SqlType::Text),
        ("endpoint", SqlType::Text),
        ("has_credentials", SqlType::Bool),
        ("has_encryption_key", SqlType::Bool),
        ("storage_params", SqlType::Jsonb),
        ("file_format_options", SqlType::Jsonb),
        ("creator", SqlType::Text),
        ("created_on", SqlType::Timestamp),
        ("comment", SqlType::Text),
        ("owner", SqlType::Text),
        ("connection", SqlType::Text),
    ])
}

/// No row for a stage that is not there, or not for the user.
pub(crate) async fn describe(cx: &Cx<'_>, statement: &DescribeStage) -> Result<Outcome> {
    let found = match &statement.name {
        StageName::User => None,
        StageName::Named(name) => cx.server.config.catalog.read().await?.find_stage(name).await?,
    };
    rows(cx, found.filter(|stage| sees(cx.subject(), stage)).as_slice()).await
}

pub(crate) async fn show(cx: &Cx<'_>, statement: &ShowStages) -> Result<Outcome> {
    let mut stages = cx.server.config.catalog.read().await?.stages().await?;
    let is_like = |stage: &Stage| statement.like.as_ref().is_none_or(|pattern| is_like(&stage.name, pattern));
    stages.retain(|stage| is_like(stage) && sees(cx.subject(), stage));
    stages.truncate(statement.limit.unwrap_or(usize::MAX));
    rows(cx, &stages).await
}

fn sees(subject: Subject<'_>, stage: &Stage) -> bool {
    let grants = subject.directory.grants_on(Object::Stage(stage.id));
    subject.owns(&stage.owner) || !subject.objects_of(grants).is_empty()
}

async fn rows(cx: &Cx<'_>, stages: &[Stage]) -> Result<Outcome> {
    let mut rows = Vec::with_capacity(stages.len());
    for stage in stages {
        rows.push(stage_row(cx, stage).await?);
    }
    Ok(Outcome::rows("SHOW", batch_of(columns(), &rows)?))
}

async fn stage_row(cx: &Cx<'_>, stage: &Stage) -> Result<Vec<Cell>> {
    let place = Shown::of(cx, stage).await?;
    let format = FileFormat::read(&stage.file_format)?.to_json();
    Ok(row![
        &stage.name,
        if stage.place == StagePlace::Internal { "Internal" } else { "External" },
        place.storage_type,
        place.url,
        place.endpoint,
        place.has_credentials,
        place.has_encryption_key,
        place.params,
        format,
        format!("'{}'@'%'", stage.creator),
        Cell::Time(stage.created),
        &stage.comment,
        &stage.owner,
        place.connection,
    ])
}

/// What is shown of the place of a stage.
#[derive(Default)]
struct Shown {
    storage_type: Option<String>,
    url: Option<String>,
    endpoint: Option<String>,
    has_credentials: bool,
    has_encryption_key: bool,
    params: Option<String>,
    connection: Option<String>,
}

impl Shown {
    async fn of(cx: &Cx<'_>, stage: &Stage) -> Result<Shown> {
        match &stage.place {
            StagePlace::Internal => Ok(Shown::default()),
            StagePlace::Copied { uri, from, .. } => {
                let shown = Shown::of_target(&Target::parse(uri.expose())?);
                let copied = |from: &lakeport_catalog::model::Copied| {
                    format!("copied from {}, version {}", from.connection, from.version)
                };
                Ok(Shown { connection: from.as_ref().map(copied), ..shown })
            }
            StagePlace::Follows { uri, connection } => {
                let found = cx.server.config.catalog.read().await?.find_connection(connection).await?;
                let shown = match found {
                    Some(found) => Shown::of_target(&target_of(&found)?),
                    None => Shown::default(),
                };
                let follows = format!("follows {connection}");
                Ok(Shown { url: Some(uri.clone()), params: None, connection: Some(follows), ..shown })
            }
        }
    }

    fn of_target(target: &Target) -> Shown {
        let spec = target.spec();
        let written = || spec.options.iter().filter(|row| target.uri().params.iter().any(|(key, _)| key == row.name));
        Shown {
            storage_type: Some(spec.databend_type.unwrap_or(spec.name).to_string()),
            url: Some(url(target)),
            endpoint: spec.endpoint.and_then(|name| target.options().get(name)).map(str::to_string),
            has_credentials: written().any(|row| row.authenticates),
            has_encryption_key: written().any(|row| row.name == "AWS_SERVER_KMS_ID"),
            params: Some(params(target)),
            connection: None,
        }
    }
}

/// The URI as Databend writes it, without parameters.
fn url(target: &Target) -> String {
    let (spec, uri) = (target.spec(), target.uri());
    let is_own = spec.host == Host::Node && uri.host != "self";
    let scheme = spec.databend_type.filter(|_| !is_own).unwrap_or(&uri.scheme);
    let host = if spec.host == Host::Node && !is_own { "" } else { &uri.host };
    format!("{scheme}://{host}{}/", uri.path.trim_end_matches('/'))
}

/// The parameters as JSON, secrets behind masks.
fn params(target: &Target) -> String {
    let (spec, uri) = (target.spec(), target.uri());
    let mut shown = Map::new();
    shown.insert("type".to_string(), Value::from(spec.databend_type.unwrap_or(spec.name)));
    if spec.host == Host::Bucket {
        shown.insert("bucket".to_string(), Value::from(uri.host.as_str()));
    }
    shown.insert("root".to_string(), Value::from(format!("{}/", uri.path.trim_end_matches('/'))));
    for (key, value) in &uri.params {
        let Some(row) = spec.options.iter().find(|row| row.name == key) else { continue };
        let name = row.databend.map_or_else(|| row.name.to_ascii_lowercase(), str::to_string);
        let value = if CLEAR.contains(&name.as_str()) { value.clone() } else { mask(value) };
        shown.insert(name, Value::from(value));
    }
    Value::Object(shown).to_string()
}

/// Whether LIKE holds: `%` for any text, `_` for a character.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // Whether the pattern so far fits the first n characters, for each n.
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for sign in pattern {
        let mut next = vec![false; name.len() + 1];
        match sign {
            '%' => {
                let first = fits.iter().position(|fit| *fit).unwrap_or(fits.len());
                next[first..].fill(true);
            }
            sign => (0..name.len()).for_each(|i| next[i + 1] = fits[i] && (sign == '_' || sign == name[i])),
        }
        fits = next;
    }
    fits[name.len()]
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn patterns_fit_whole_names() {
        for (name, pattern, expected) in [
            ("stage", "stage", true),
            ("stage", "st%", true),
            ("stage", "%a_e", true),
            ("stage", "%", true),
            ("stage", "s_e", false),
            ("stage", "tag", false),
            ("", "%", true),
            ("", "_", false),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} LIKE {pattern}");
        }
    }
}
