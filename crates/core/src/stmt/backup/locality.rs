//! Collections in several places by locality. A node writes to the place of its locality, or to the default one; the nodes
//! of this server have no locality, so all of a backup is in the default place.

use std::collections::HashSet;

use lakeport_connect::target::LOCALITY_PARAM;
use lakeport_connect::{ExternalRef, Target};

use crate::error::{Error, Result};

const DEFAULT: &str = "default";

/// The URI of the place where a backup is.
///
/// # Errors
/// Places that contradict each other, in the documented words.
pub(super) fn place(uris: &[String]) -> Result<&String> {
    let mut localities = Vec::with_capacity(uris.len());
    for uri in uris {
        localities.push(locality(uri)?);
    }
    if let ([uri], [locality]) = (uris, localities.as_slice()) {
        return match locality.as_deref() {
            None | Some(DEFAULT) => Ok(uri),
            Some(other) => {
                Err(Error::invalid(format!("COCKROACH_LOCALITY {other} is invalid for a single BACKUP location")))
            }
        };
    }
    let mut seen = HashSet::new();
    for locality in &localities {
        let Some(locality) = locality else {
            let message = "multiple URLs are provided for partitioned BACKUP, but COCKROACH_LOCALITY is not specified";
            return Err(Error::invalid(message));
        };
        if !seen.insert(locality) {
            return Err(Error::invalid(match locality.as_str() {
                DEFAULT => "multiple default URLs provided for partition backup".to_string(),
                other => format!("duplicate URIs for locality {other}"),
            }));
        }
    }
    let default = localities.iter().position(|locality| locality.as_deref() == Some(DEFAULT));
    default.map(|index| &uris[index]).ok_or_else(|| Error::invalid("no default URL provided for partitioned backup"))
}

fn locality(uri: &str) -> Result<Option<String>> {
    let params = match ExternalRef::parse(uri)? {
        Some(reference) => reference.params,
        None => Target::parse(uri)?.uri().params.clone(),
    };
    Ok(params.into_iter().find(|(key, _)| key == LOCALITY_PARAM).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(localities: &[&str]) -> std::result::Result<usize, String> {
        let uri = |(index, locality): (usize, &&str)| match *locality {
            "" => format!("nodelocal://1/{index}"),
            locality => format!("nodelocal://1/{index}?COCKROACH_LOCALITY={locality}"),
        };
        let uris: Vec<String> = localities.iter().enumerate().map(uri).collect();
        let place = place(&uris).map_err(|error| error.to_string())?;
        Ok(uris.iter().position(|uri| uri == place).unwrap())
    }

    #[test]
    fn the_default_place_has_it_all() {
        assert_eq!(placed(&[""]), Ok(0));
        assert_eq!(placed(&["default"]), Ok(0));
        assert_eq!(placed(&["region%3Deu", "default", "region%3Dus"]), Ok(1));
    }

    #[test]
    fn places_that_contradict_are_refused() {
        for (localities, part) in [
            (&["region%3Deu"][..], "COCKROACH_LOCALITY region=eu is invalid for a single BACKUP location"),
            (&["default", ""], "COCKROACH_LOCALITY is not specified"),
            (&["default", "default"], "multiple default URLs"),
            (&["default", "region%3Deu", "region%3Deu"], "duplicate URIs for locality region=eu"),
            (&["region%3Dus", "region%3Deu"], "no default URL"),
        ] {
            let refusal = placed(localities).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
