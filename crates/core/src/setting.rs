//! Cluster settings: one table row each.

use std::time::Duration;

use lakeport_base::nearest::nearest;
use lakeport_base::{Sqlstate, units};

use crate::directory::Directory;
use crate::error::{Error, Result};

/// What values a setting takes; the letter that SHOW CLUSTER SETTINGS prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Duration,
}

/// One cluster setting.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub help: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help }
}

pub const STORAGE_TIMEOUT: Setting = setting(
    "cloudstorage.timeout",
    Kind::Duration,
    "10m",
    "time limit of one request to storage or a key service, all attempts together; the body of a file may take longer",
);
pub const CHECK_TIMEOUT: Setting =
    setting("connection.check_timeout", Kind::Duration, "10s", "time limit of the check that CREATE and ALTER make");
pub const CONNECTION_PRIVILEGES: Setting = setting(
    "enable_experimental_connection_privilege_check",
    Kind::Bool,
    "false",
    "CREATE CONNECTION takes the privilege of that name; while it is off, only admins may run it",
);
pub const SHOW_CREATE_SECRETS: Setting = setting(
    "connection.show_create_secrets",
    Kind::Bool,
    "true",
    "SHOW CREATE EXTERNAL CONNECTION prints secrets to the owner and to admin",
);
pub const FEATURE_EXPORT: Setting = setting("feature.export.enabled", Kind::Bool, "true", "EXPORT is allowed");
pub const FEATURE_IMPORT: Setting = setting("feature.import.enabled", Kind::Bool, "true", "IMPORT is allowed");
pub const GC_TTL: Setting = setting(
    "gc.ttl",
    Kind::Duration,
    "25h",
    "how far back AS OF SYSTEM TIME reaches, and how long removed rows stay on disk",
);
pub const JOBS_RETENTION: Setting =
    setting("jobs.retention_time", Kind::Duration, "336h", "how long finished jobs are kept");

/// An older name of [`CONNECTION_PRIVILEGES`].
pub const CONNECTION_PRIVILEGES_ALIAS: &str = "enable_experimental_connection_rbac_check";

/// Every cluster setting, by name.
pub const SETTINGS: &[&Setting] = &[
    &STORAGE_TIMEOUT,
    &CHECK_TIMEOUT,
    &SHOW_CREATE_SECRETS,
    &CONNECTION_PRIVILEGES,
    &FEATURE_EXPORT,
    &FEATURE_IMPORT,
    &GC_TTL,
    &JOBS_RETENTION,
];

impl Setting {
    /// The setting of a name.
    ///
    /// # Errors
    /// 42704 with the nearest name.
    pub fn find(name: &str) -> Result<&'static Setting> {
        let known = if name == CONNECTION_PRIVILEGES_ALIAS { CONNECTION_PRIVILEGES.name } else { name };
        SETTINGS.iter().find(|setting| setting.name == known).copied().ok_or_else(|| {
            let hint = nearest(name, SETTINGS.iter().map(|setting| setting.name));
            Error::new(Sqlstate::UNDEFINED_OBJECT, format!("unknown cluster setting '{name}'"))
                .with_hint_opt(hint.map(|name| format!("did you mean {name:?}?")))
        })
    }

    /// The value as stored.
    ///
    /// # Errors
    /// 22023 naming setting and value.
    pub fn checked(&self, value: &str) -> Result<String> {
        let checked = match self.kind {
            Kind::Bool => match value.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Some("true".to_string()),
                "false" | "off" | "no" | "0" => Some("false".to_string()),
                _ => None,
            },
            Kind::Duration => units::parse_duration(value).map(|_| value.trim().to_string()),
        };
        checked.ok_or_else(|| {
            Error::invalid(format!("invalid value for cluster setting {}: {value:?}", self.name)).with_hint(match self
                .kind
            {
                Kind::Bool => "true or false",
                Kind::Duration => "such as 10s, 90m or 25h",
            })
        })
    }

    /// The value in force.
    pub fn value<'a>(&'a self, directory: &'a Directory) -> &'a str {
        directory.settings.get(self.name).map_or(self.default, String::as_str)
    }

    /// The value of a Bool setting.
    pub fn is_on(&self, directory: &Directory) -> bool {
        self.value(directory) == "true"
    }

    /// The value of a Duration setting.
    pub fn duration(&self, directory: &Directory) -> Duration {
        units::parse_duration(self.value(directory)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_satisfy_their_own_rules() {
        for setting in SETTINGS {
            assert!(setting.checked(setting.default).is_ok(), "{}", setting.name);
        }
    }
}
