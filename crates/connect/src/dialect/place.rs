//! `'uri' CONNECTION = (KEY = 'value' ...)`: Databend's way to name a place, the parameters beside the URI.

use lakeport_base::{Dialect, Uri};

use super::{from_options, type_in};
use crate::error::{Error, Result};
use crate::kind::{Host, KINDS, Kind, kind_of_scheme};
use crate::path;
use crate::target::{Target, unsupported_scheme};

/// The scheme of files of the node.
const FILES: &str = "fs";

/// A place that a URI names.
#[derive(Clone)]
pub struct Located {
    /// Where it is.
    pub target: Target,
    /// Whether that is a folder, and not what the names of files begin with.
    pub is_folder: bool,
}

/// The place of a URI with Databend's parameters. A URI that has parameters of its own, or a scheme that Databend does
/// not know, is one of CockroachDB's and takes none beside it.
///
/// # Errors
/// A scheme or a form that there is not, or what [`from_options`] and [`Target::parse`] refuse.
pub fn located(uri: &str, pairs: &[(String, String)]) -> Result<Located> {
    check_form(uri)?;
    let parsed = Uri::parse(uri)?;
    let is_folder = path::is_folder(&parsed.path);
    let of_scheme = |kind: &&&'static dyn Kind| type_in(kind.spec(), Dialect::Databend).ok() == Some(&*parsed.scheme);
    let kind = KINDS.iter().find(of_scheme).filter(|kind| matches!(kind.spec().host, Host::Bucket | Host::Node));
    if kind.is_some() && parsed.params.is_empty() && parsed.user.is_none() {
        let target = from_options(Dialect::Databend, &parsed.scheme, pairs)?;
        return Ok(Located { target: target.join(&format!("{}{}", parsed.host, parsed.path))?, is_folder });
    }
    if kind_of_scheme(&parsed.scheme).is_none() {
        return Err(unsupported_scheme(&parsed.scheme));
    }
    if !pairs.is_empty() {
        return Err(Error::invalid(format!("a URI of this form takes no connection parameters: {}://", parsed.scheme))
            .with_hint("write all parameters into the URI, or all beside it"));
    }
    Ok(Located { target: Target::from_uri(parsed)?, is_folder })
}

/// The place that a URI names, with the parameters of a connection: in its bucket and below its path, if it has them.
/// That path itself is a folder, slash or not: names that begin like it are none of the connection's.
///
/// # Errors
/// A place elsewhere, or a URI with parameters of its own.
pub fn located_through(connection: &Target, uri: &str) -> Result<Located> {
    check_form(uri)?;
    let parsed = Uri::parse(uri)?;
    if !parsed.params.is_empty() || parsed.user.is_some() {
        return Err(Error::invalid("a URI takes no parameters beside a connection"));
    }
    let is_folder = path::is_folder(&parsed.path);
    if connection.lacks_bucket() && connection.spec().host == Host::Server {
        return Ok(Located { target: Target::from_uri(parsed)?, is_folder });
    }
    if connection.lacks_bucket() {
        return Ok(Located { target: connection.join(&format!("{}{}", parsed.host, parsed.path))?, is_folder });
    }
    let own = connection.uri();
    let segments = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_string).collect::<Vec<_>>();
    let (within, path) = (segments(&own.path), segments(&parsed.path));
    let same_host = connection.spec().host == Host::Node || own.host == parsed.host;
    match path.strip_prefix(within.as_slice()).filter(|_| same_host) {
        Some(below) => {
            // What cannot be listed may be one file.
            let is_own = below.is_empty() && connection.spec().capability.list;
            Ok(Located { target: connection.join(&below.join("/"))?, is_folder: is_folder || is_own })
        }
        None => Err(Error::invalid(format!("{:?} lies outside of the connection's own place", parsed.path))
            .with_hint("a connection with a bucket and a path leads there and below only")),
    }
}

/// Paths of the machine are none of a server's users.
fn check_form(uri: &str) -> Result<()> {
    let local = match uri.strip_prefix("file://") {
        Some(_) => Some("file:///path/"),
        None => uri.starts_with('/').then_some("/path/"),
    };
    if let Some(found) = local {
        return Err(Error::invalid(format!("local filesystem paths must use fs:///path/ instead of {found}")));
    }
    if uri.strip_prefix(FILES).and_then(|rest| rest.strip_prefix("://")).is_some_and(|path| !path.starts_with('/')) {
        return Err(Error::invalid("fs locations must start with fs:///"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str, pairs: &[(&str, &str)]) -> std::result::Result<String, String> {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        located(uri, &pairs).map(|place| place.target.to_text()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_stand_beside_or_inside() {
        let keys = [("access_key_id", "k"), ("secret_access_key", "s")];
        let inside = "s3://b/p/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";
        assert_eq!(place("s3://b/p/x", &keys).unwrap(), inside);
        assert_eq!(place(inside, &[]).unwrap(), inside);
        assert!(place(inside, &keys).unwrap_err().starts_with("a URI of this form takes no connection parameters"));
        assert_eq!(place("fs:///a/b", &[]).unwrap(), "nodelocal://self/a/b");
        assert_eq!(place("nodelocal://1/a/", &[]).unwrap(), "nodelocal://1/a/");
    }

    #[test]
    fn a_connection_leads_to_its_own_place_only() {
        let keys = "AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";
        let pair = |name: &str| (name.to_string(), "x".to_string());
        let pairs = [pair("access_key_id"), pair("secret_access_key")];
        let open = from_options(Dialect::Databend, "s3", &pairs).unwrap();
        assert_eq!(located_through(&open, "s3://b/p/").unwrap().target.uri().path, "/p");
        let web = from_options(Dialect::Databend, "http", &[]).unwrap();
        assert_eq!(located_through(&web, "http://h/a.csv").unwrap().target.to_text(), "http://h/a.csv");
        let bound = Target::parse(&format!("s3://b/data/backups?{keys}")).unwrap();
        let through = |uri| located_through(&bound, uri).map(|place| place.target.to_text()).map_err(|e| e.to_string());
        assert_eq!(through("s3://b/data/backups/x/").unwrap(), format!("s3://b/data/backups/x?{keys}"));
        for uri in ["s3://b/data/backups-archive/", "s3://b/data/", "s3://c/data/backups/", "s3://b/data/backups/../x/"]
        {
            assert!(through(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn names_beside_a_connection_are_none_of_its_own() {
        let own = "/tenant1";
        let bound = Target::parse(&format!("nodelocal://self{own}")).unwrap();
        for (uri, path, is_folder) in [
            ("fs:///tenant1", own, true),
            ("fs:///tenant1/", own, true),
            ("fs:///tenant1/.", own, true),
            ("fs:///tenant1/x/..", own, true),
            ("fs:///tenant1/x/%252e%2e", own, true),
            ("fs:///tenant1/x/../y", "/tenant1/y", false),
            ("fs:///tenant1/x", "/tenant1/x", false),
            ("fs:///tenant1/x/", "/tenant1/x", true),
        ] {
            let place = located_through(&bound, uri).unwrap();
            assert_eq!((place.target.uri().path.as_str(), place.is_folder), (path, is_folder), "{uri}");
        }
        let file = Target::parse("http://h/a.csv").unwrap();
        assert!(!located_through(&file, "http://h/a.csv").unwrap().is_folder);
    }

    #[test]
    fn paths_of_the_machine_are_refused() {
        for (uri, text) in [
            ("/tmp/", "local filesystem paths must use fs:///path/ instead of /path/"),
            ("file:///tmp/", "local filesystem paths must use fs:///path/ instead of file:///path/"),
            ("fs://x", "fs locations must start with fs:///"),
        ] {
            assert_eq!(place(uri, &[]).unwrap_err(), text);
        }
        assert!(place("fs:///a/../../b", &[]).unwrap_err().contains("escapes"));
    }
}
