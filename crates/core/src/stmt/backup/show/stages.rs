//! The statements that make a backup's stages and file formats again, without secrets.

use lakeport_backup::manifest::{FileFormat, FormatOptions, Stage, StagePlace};
use lakeport_sql::stmt::file_format::CreateFileFormat;
use lakeport_sql::stmt::stage::location::{Location, Parameter, StageName};
use lakeport_sql::stmt::stage::{CreateStage, Description};

pub(super) fn create_stage(stage: &Stage) -> String {
    let uri = match &stage.place {
        StagePlace::Internal => None,
        StagePlace::Copied { redacted, .. } => Some(redacted),
        StagePlace::Follows { uri } => Some(uri),
    };
    let statement = CreateStage {
        name: StageName::Named(stage.name.clone()),
        or_replace: false,
        if_not_exists: false,
        description: Description {
            location: uri.map(|uri| Location::Uri { uri: uri.clone(), connection: Vec::new() }),
            file_format: Some(parameters(&stage.file_format)),
            comment: Some(stage.comment.clone()).filter(|comment| !comment.is_empty()),
        },
    };
    statement.to_string()
}

pub(super) fn create_file_format(format: &FileFormat) -> String {
    let options = parameters(&format.options);
    CreateFileFormat { name: format.name.clone(), or_replace: false, if_not_exists: false, options }.to_string()
}

fn parameters(options: &FormatOptions) -> Vec<Parameter> {
    let parameter =
        |(name, values): &(String, Vec<String>)| Parameter { name: name.clone(), values: values.clone(), position: 1 };
    options.iter().map(parameter).collect()
}
