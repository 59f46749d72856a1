//! Session variables, cluster settings.

use std::fmt::Write;

use arrow_schema::SchemaRef;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_sql::stmt::session::{Reset, Set, SetClusterSetting, SetOwn, Show, ShowClusterSetting};

use super::Cx;
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::schema_of;
use crate::setting::{Kind, SETTINGS, Setting};
use crate::show::rows::batch_of;
use crate::variable::{ROLE, Rule, VARIABLES, Variable};

pub(crate) fn set(cx: &Cx<'_>, statement: &Set) -> Result<Outcome> {
    let variable = Variable::find(&statement.name)?;
    if statement.local && cx.session.open_block().is_none() {
        let code = Sqlstate::NO_ACTIVE_SQL_TRANSACTION;
        cx.session.notice(Notice::warning(code, "SET LOCAL can only be used in transaction blocks"));
    }
    cx.session.assign(&cx.directory, variable, statement.value.as_deref(), statement.local)?;
    Ok(Outcome::done("SET"))
}

pub(crate) fn set_own(cx: &Cx<'_>, statement: &SetOwn) -> Result<Outcome> {
    cx.session.set_own_variable(&statement.name, statement.value.as_deref())?;
    Ok(Outcome::done(if statement.value.is_some() { "SET VARIABLE" } else { "UNSET VARIABLE" }))
}

pub(crate) fn reset(cx: &Cx<'_>, statement: &Reset) -> Result<Outcome> {
    if statement.name == "all" {
        cx.session.reset_variables();
        return Ok(Outcome::done("RESET"));
    }
    let variable = Variable::find(&statement.name)?;
    if variable.name == ROLE.name {
        cx.session.take_default_role(&cx.directory)?;
    } else {
        cx.session.assign(&cx.directory, variable, None, false)?;
    }
    Ok(Outcome::done("RESET"))
}

pub(crate) fn discard(cx: &Cx<'_>) -> Result<Outcome> {
    cx.refuse_in_block("DISCARD ALL cannot run inside a transaction block")?;
    cx.session.reset_variables();
    cx.session.forget_own_variables();
    cx.session.take_default_role(&cx.directory)?;
    cx.session.deallocate(None);
    cx.session.cursors().clear();
    cx.session.unlock_all();
    Ok(Outcome::done("DISCARD ALL"))
}

pub(crate) fn show_columns(statement: &Show) -> SchemaRef {
    if statement.name == "all" {
        return schema_of(&[("variable", SqlType::Text), ("value", SqlType::Text)]);
    }
    let name = Variable::find(&statement.name).map_or(statement.name.as_str(), |variable| variable.name);
    schema_of(&[(name, SqlType::Text)])
}

pub(crate) fn show(cx: &Cx<'_>, statement: &Show) -> Result<Outcome> {
    let rows = if statement.name == "all" {
        VARIABLES.iter().map(|variable| row![variable.name, shown(cx, variable)]).collect()
    } else {
        vec![row![shown(cx, Variable::find(&statement.name)?)]]
    };
    Ok(Outcome::rows("SHOW", batch_of(show_columns(statement), &rows)?))
}

/// The value as clients expect it: durations carry their unit.
fn shown(cx: &Cx<'_>, variable: &'static Variable) -> String {
    let mut value = cx.session.variable(variable.name);
    match variable.rule {
        Rule::Duration if value != "0" => write!(value, "ms").unwrap_or_default(),
        Rule::OverSetting(setting) => value = if is_on(cx, setting) { "on" } else { "off" }.to_string(),
        _ => {}
    }
    value
}

/// Whether a setting is on for the session, which may have its own word.
pub(crate) fn is_on(cx: &Cx<'_>, setting: &'static Setting) -> bool {
    match cx.session.variable(setting.name).as_str() {
        "" => setting.is_on(&cx.directory),
        value => value == "on",
    }
}

pub(crate) async fn set_cluster_setting(cx: &Cx<'_>, statement: &SetClusterSetting) -> Result<Outcome> {
    cx.subject().require_system("MODIFYCLUSTERSETTING", || {
        "only users with the MODIFYCLUSTERSETTING privilege are allowed to set cluster settings".to_string()
    })?;
    let setting = Setting::find(&statement.name)?;
    let mut tx = cx.server.config.catalog.write().await?;
    match &statement.value {
        Some(value) => tx.put_setting(setting.name, &setting.checked(value)?).await?,
        None => tx.delete_setting(setting.name).await?,
    }
    let detail = statement.value.as_deref().unwrap_or("default");
    tx.insert_event(&cx.server.audit_event(&cx.session.user, "set_cluster_setting", setting.name, detail)).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("SET CLUSTER SETTING"))
}

pub(crate) fn show_cluster_setting_columns(statement: &ShowClusterSetting) -> SchemaRef {
    match &statement.name {
        Some(name) => schema_of(&[(name, SqlType::Text)]),
        None => schema_of(&[
            ("variable", SqlType::Text),
            ("value", SqlType::Text),
            ("setting_type", SqlType::Text),
            ("description", SqlType::Text),
            ("default_value", SqlType::Text),
            ("origin", SqlType::Text),
        ]),
    }
}

pub(crate) fn show_cluster_setting(cx: &Cx<'_>, statement: &ShowClusterSetting) -> Result<Outcome> {
    let may = ["MODIFYCLUSTERSETTING", "VIEWCLUSTERSETTING"].iter().any(|privilege| cx.subject().has_system(privilege));
    if !may {
        return Err(Error::denied(
            "only users with MODIFYCLUSTERSETTING or VIEWCLUSTERSETTING privileges are allowed to show cluster settings",
        )
        .with_hint(cx.subject().system_remedy("VIEWCLUSTERSETTING")));
    }
    let rows = match &statement.name {
        Some(name) => vec![row![Setting::find(name)?.value(&cx.directory)]],
        None => SETTINGS.iter().map(|setting| setting_row(cx, setting)).collect(),
    };
    Ok(Outcome::rows("SHOW", batch_of(show_cluster_setting_columns(statement), &rows)?))
}

fn setting_row(cx: &Cx<'_>, setting: &Setting) -> Vec<crate::show::rows::Cell> {
    let kind = match setting.kind {
        Kind::Bool => "b",
        Kind::Duration => "d",
    };
    let origin = if cx.directory.settings.contains_key(setting.name) { "override" } else { "default" };
    row![setting.name, setting.value(&cx.directory), kind, setting.help, setting.default, origin]
}

/// A statement that needs nothing done. The client is told where it may count on more.
pub(crate) fn nothing(cx: &Cx<'_>, tag: &str) -> Outcome {
    if tag.ends_with("INDEX") {
        let message = "there are no indexes besides primary keys: files are skipped by the bounds of their values";
        cx.session.notice(Notice::new(message));
    }
    Outcome::done(tag)
}
