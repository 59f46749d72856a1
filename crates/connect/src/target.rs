//! A place a URI names: its kind, its checked options and its path. Also `external://` references.

use std::sync::Arc;

use lakeport_base::Uri;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::cx::OpenCx;
use crate::error::{Error, Result, scrub};
use crate::kind::userfile;
use crate::kind::{
    Access, Host, KINDS, Kind, KindSpec, Role, Rule, Unknown, kind_in_role, kind_of_scheme, scheme_hint, wrong_role,
};
use crate::kms::Kms;
use crate::option::{Options, REDACTED};
use crate::path::{self, Split};
use crate::storage::Storage;

/// Which copy of a backup a URI holds; read by BACKUP and RESTORE only, allowed on every storage URI.
pub const LOCALITY_PARAM: &str = "COCKROACH_LOCALITY";

/// A checked URI of a known kind. `Debug` shows scheme and host only.
#[derive(Clone)]
pub struct Target {
    kind: &'static dyn Kind,
    uri: Uri,
    options: Options,
}

impl Target {
    /// Parses and checks a URI. Does no I/O.
    ///
    /// # Errors
    /// An unknown scheme, a wrong parameter, or whatever the kind refuses.
    pub fn parse(text: &str) -> Result<Target> {
        Self::from_uri(Uri::parse(text)?)
    }

    /// Checks a parsed URI.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn from_uri(uri: Uri) -> Result<Target> {
        let target = Self::without_bucket(uri)?;
        target.require_bucket()?;
        Ok(target)
    }

    /// Parses and checks the URI of a key, where `gs://` means one of Google's key management service. Does no I/O.
    ///
    /// # Errors
    /// As [`Target::parse`], or a scheme of no such service.
    pub fn parse_kms(text: &str) -> Result<Target> {
        let uri = Uri::parse(text)?;
        let kind = kind_in_role(Role::Kms, &uri.scheme).ok_or_else(|| no_kms(&uri.scheme))?;
        Self::of_kind(kind, uri)
    }

    /// As [`Target::from_uri`], for a connection whose bucket comes with each use.
    pub(crate) fn without_bucket(uri: Uri) -> Result<Target> {
        let kind = kind_of_scheme(&uri.scheme).ok_or_else(|| unsupported_scheme(&uri.scheme))?;
        Self::of_kind(kind, uri)
    }

    fn of_kind(kind: &'static dyn Kind, uri: Uri) -> Result<Target> {
        let spec = kind.spec();
        if !spec.takes_user {
            refuse_user(&uri)?;
        }
        let target = Target { kind, options: parse_options(spec, &uri)?, uri };
        for rule in spec.rules {
            check_rule(rule, &target.options)?;
        }
        kind.check(&target)?;
        Ok(target)
    }

    /// The kind of the target.
    pub fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    /// The description of its kind.
    pub fn spec(&self) -> &'static KindSpec {
        self.kind.spec()
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.spec().role
    }

    /// Whose credentials it uses.
    pub fn access(&self) -> Access {
        self.kind.access(self)
    }

    /// The checked options, defaults included.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Scheme, host and the endpoint written in the options: where requests go.
    pub fn address(&self) -> String {
        let place = format!("{}://{}", self.uri.scheme, self.uri.host);
        match self.spec().endpoint.and_then(|name| self.options.get(name)) {
            Some(endpoint) => format!("{place} at {}", scrub(endpoint)),
            None => place,
        }
    }

    /// Where its files are, whoever asks for them.
    pub fn place(&self) -> String {
        self.identified(format!("{}{}", self.address(), self.uri.path))
    }

    /// All of [`Target::place`] but the path: two targets with the same see the same files under the same paths. `user` is
    /// who opens them, for kinds that show users files of their own.
    pub fn store(&self, user: &str) -> String {
        let own = if self.spec().name == userfile::NAME { format!(" of {user}") } else { String::new() };
        // A kind may have several schemes, and the one node several names.
        let server = match self.spec().host {
            Host::Node => String::new(),
            Host::Server => {
                let address = one_spelling(&format!("{}://{}", self.uri.scheme, self.uri.host));
                address.trim_start_matches(&self.uri.scheme).to_string()
            }
            _ => format!("://{}", self.uri.host),
        };
        let endpoint = self.spec().endpoint.and_then(|name| self.options.get(name));
        let endpoint = endpoint.map(|endpoint| format!(" at {}", one_spelling(endpoint)));
        self.identified(format!("{}{server}{}{own}", self.spec().name, endpoint.unwrap_or_default()))
    }

    fn identified(&self, place: String) -> String {
        let rows = self.spec().options.iter().filter(|row| row.identifies);
        let values = rows.filter_map(|row| self.options.get(row.name));
        values.fold(place, |place, value| format!("{place} {value}"))
    }

    /// The URI as parsed.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The value of COCKROACH_LOCALITY.
    pub fn locality(&self) -> Option<&str> {
        self.uri.values(LOCALITY_PARAM).next()
    }

    /// The URI with every secret, for the owner's SHOW CREATE.
    pub fn to_text(&self) -> String {
        self.uri.to_text()
    }

    /// The URI with its parameters sorted; secrets, the path to a key and unknown values replaced by `redacted`.
    pub fn redacted(&self) -> String {
        let mut uri = self.uri.clone();
        if self.role() == Role::Kms {
            uri.path = format!("/{REDACTED}");
        }
        // Without a password the user may be a token.
        match uri.password {
            Some(_) => uri.password = Some(REDACTED.to_string()),
            None => uri.user = uri.user.map(|_| REDACTED.to_string()),
        }
        uri.params = uri.params.into_iter().map(|(key, value)| redact_param(self.spec(), key, value)).collect();
        uri.params.sort();
        uri.params.dedup();
        uri.to_text()
    }

    /// The target of a path below this one.
    ///
    /// # Errors
    /// A path that escapes this target, or none where its first segment is the bucket or the server.
    pub fn join(&self, sub_path: &str) -> Result<Target> {
        let mut uri = self.uri.clone();
        if self.lacks_bucket() {
            let joined = path::join("", sub_path)?;
            let (bucket, rest) =
                joined.trim_start_matches('/').split_once('/').unwrap_or((joined.trim_start_matches('/'), ""));
            uri.host = bucket.to_string();
            uri.path = if rest.is_empty() { String::new() } else { format!("/{rest}") };
        } else {
            uri.path = path::join(&uri.path, sub_path)?;
        }
        Target::from_uri(uri)
    }

    /// The folder above the first segment that holds a wildcard or, without one, above the last segment; and the rest
    /// of the path, a pattern relative to that folder.
    ///
    /// # Errors
    /// A target that names no file.
    pub fn split_pattern(&self) -> Result<(Target, String)> {
        let Split { folder, pattern } = path::split_pattern(&self.uri.path);
        if pattern.is_empty() {
            return Err(Error::invalid(format!("{} names no file", self.redacted())));
        }
        let mut uri = self.uri.clone();
        uri.path = folder;
        Ok((Target { uri, ..self.clone() }, pattern))
    }

    /// The folder above the last segment, and that segment; the whole and nothing for a path that ends in a slash.
    pub fn split_name(&self) -> (Target, String) {
        let slash = self.uri.path.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = self.uri.path.split_at(slash);
        (Target { uri: Uri { path: folder.to_string(), ..self.uri.clone() }, ..self.clone() }, name.to_string())
    }

    /// The path as a key prefix of the store that the host names.
    pub(crate) fn prefix(&self) -> Result<Path> {
        let joined = path::join("", &self.uri.path)?;
        Path::parse(joined).map_err(|error| Error::invalid(format!("invalid path: {error}")))
    }

    /// Opens the target as a store rooted at its path.
    ///
    /// # Errors
    /// What the operator forbids, or what the far side answers.
    pub async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn ObjectStore>> {
        Ok(self.open_storage(cx).await?.files)
    }

    /// As [`Target::open`], with the uploads that another opening may go on with.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn open_storage(&self, cx: &OpenCx) -> Result<Storage> {
        self.require_role(Role::Storage)?;
        self.require_bucket()?;
        self.kind.open(self, cx).await
    }

    /// Opens the target as a key.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn open_kms(&self, cx: &OpenCx) -> Result<Arc<dyn Kms>> {
        self.require_role(Role::Kms)?;
        self.kind.open_kms(self, cx).await
    }

    /// # Errors
    /// A target of another role.
    pub fn require_role(&self, role: Role) -> Result<()> {
        if self.role() == role { Ok(()) } else { Err(wrong_role(role, self.spec())) }
    }

    /// Whether the bucket, or the server, comes with each use.
    pub fn lacks_bucket(&self) -> bool {
        matches!(self.spec().host, Host::Bucket | Host::Server) && self.uri.host.is_empty()
    }

    fn require_bucket(&self) -> Result<()> {
        if !self.lacks_bucket() {
            return Ok(());
        }
        let scheme = &self.uri.scheme;
        if self.spec().host == Host::Server {
            return Err(Error::invalid(format!("{scheme} URI must name a host")));
        }
        Err(Error::invalid(format!("empty host component; {scheme} URI must specify a target bucket"))
            .with_hint(format!("write the bucket after {scheme}://, as in {scheme}://bucket/path")))
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

/// An address as all its spellings have it: the host in lower case, without a port that goes without saying and without a
/// slash at its end.
fn one_spelling(address: &str) -> String {
    let whole = if address.contains("://") { address.to_string() } else { format!("https://{address}") };
    Url::parse(&whole).map_or_else(|_| scrub(address), |url| url.as_str().trim_end_matches('/').to_string())
}

fn redact_param(spec: &KindSpec, key: String, value: String) -> (String, String) {
    match spec.options.iter().find(|row| row.name == key) {
        Some(row) => (key, row.shown(&value)),
        None if key == LOCALITY_PARAM => (key, value),
        None => (REDACTED.to_string(), REDACTED.to_string()),
    }
}

/// Any text that may be a URI, fit to be shown: what is not understood is cut, not guessed at.
pub fn redact(text: &str) -> String {
    let Ok(uri) = Uri::parse(text) else { return REDACTED.to_string() };
    if uri.scheme == ExternalRef::SCHEME {
        let shown = Uri { user: None, password: None, params: Vec::new(), ..uri };
        return shown.to_text();
    }
    let scheme = uri.scheme.clone();
    Target::without_bucket(uri).map_or_else(|_| format!("{scheme}://{REDACTED}"), |target| target.redacted())
}

/// What would be ignored may be a key in the wrong place.
fn refuse_user(uri: &Uri) -> Result<()> {
    if uri.user.is_none() && uri.password.is_none() {
        return Ok(());
    }
    Err(Error::invalid(format!("{} URIs hold no user or password before the host", uri.scheme))
        .with_hint("leave out what stands before the @; write %40 for an @ that belongs to a name"))
}

pub(crate) fn unsupported_scheme(scheme: &str) -> Error {
    Error::unsupported(format!(
        "unsupported storage scheme: {scheme:?} - refer to docs to find supported storage schemes"
    ))
    .with_hint(scheme_hint(scheme))
}

fn no_kms(scheme: &str) -> Error {
    let known = KINDS.iter().map(|kind| kind.spec()).filter(|spec| spec.role == Role::Kms);
    let known: Vec<&str> = known.flat_map(|spec| spec.schemes.iter().chain(spec.schemes_in_role)).copied().collect();
    Error::unsupported(format!("no factory method found for scheme {scheme}"))
        .with_hint(format!("schemes of keys: {}, or external for a connection", known.join(", ")))
}

fn parse_options(spec: &'static KindSpec, uri: &Uri) -> Result<Options> {
    let in_table = |key: &str| spec.options.iter().any(|row| row.name == key);
    let params: Vec<(String, String)> = uri
        .params
        .iter()
        .filter(|(key, _)| !(spec.role == Role::Storage && key == LOCALITY_PARAM))
        .filter(|(key, _)| spec.unknown != Unknown::PassedOn || in_table(key))
        .cloned()
        .collect();
    let label = match spec.unknown {
        Unknown::Refused { label } => label,
        Unknown::PassedOn => spec.name,
    };
    Options::parse(label, spec.options, &params)
}

fn check_rule(rule: &Rule, options: &Options) -> Result<()> {
    let set = |names: &[&'static str]| names.iter().filter(|name| options.get(name).is_some()).count();
    match rule {
        Rule::Together(names) if (1..names.len()).contains(&set(names)) => {
            Err(Error::invalid(format!("parameters {} must be given together", names.join(", "))))
        }
        Rule::Exclusive(names) if set(names) > 1 => {
            Err(Error::invalid(format!("only one of the parameters {} may be given", names.join(", "))))
        }
        Rule::Needs { option, value, needs, refusal }
            if options.get(option) == Some(value) && options.get(needs).is_none() =>
        {
            Err(Error::invalid(*refusal))
        }
        _ => Ok(()),
    }
}

/// `external://name/sub/path`: a use of a connection. `Debug` shows no parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalRef {
    /// The connection.
    pub name: String,
    /// Below what the connection names; empty or starting with `/`.
    pub path: String,
    /// Parameters written on the reference; the operation decides which it takes.
    pub params: Vec<(String, String)>,
}

impl ExternalRef {
    /// The scheme of references.
    pub const SCHEME: &str = "external";

    /// The reference a text is, or `None` when it has another scheme.
    ///
    /// # Errors
    /// A text that is no URI, or a reference without a name.
    pub fn parse(text: &str) -> Result<Option<ExternalRef>> {
        let uri = Uri::parse(text)?;
        if uri.scheme != Self::SCHEME {
            return Ok(None);
        }
        refuse_user(&uri)?;
        if uri.host.is_empty() {
            return Err(Error::invalid(format!(
                "host component of an external URI must refer to an existing External Connection object: external://{}",
                uri.path
            ))
            .with_hint("write the name of a connection, as in external://name/path"));
        }
        Ok(Some(ExternalRef { name: uri.host, path: uri.path, params: uri.params }))
    }
}

impl std::fmt::Debug for ExternalRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExternalRef({}{})", self.name, self.path)
    }
}

#[cfg(test)]
mod tests;
