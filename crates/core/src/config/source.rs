//! Where values come from: the command line, the process environment, `.env` and `fastcms.toml`, in this order, then the file of
//! `SECRETS_AGE_FILE`; the first that has a name wins. Names are case-insensitive. What a value means is not known here.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use fastcms_secrets::{Reference, Resolution, Secret, TransitFault, Unresolved, dotenv};

use super::catalog;
use super::fault::{Fault, Warning};
use super::reader::Reader;

/// The file of variables in the working directory.
pub(super) const DOTENV: &str = ".env";
/// The settings file in the working directory.
pub(super) const TOML: &str = "fastcms.toml";
/// The largest `.env` or `fastcms.toml` read, in bytes (1 MiB).
pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

/// Where configuration is looked for. `Debug` shows no values.
#[derive(Clone, Default)]
pub struct Sources {
    /// Values given on the command line (`--host` is `APP_HOST`): they win over everything.
    pub arguments: Vec<(String, String)>,
    /// The process environment.
    pub environment: Vec<(String, String)>,
    /// Names in the process environment whose values are not UTF-8.
    pub undecodable: Vec<String>,
    /// The working directory: `.env` and `fastcms.toml` are here, and relative paths start here.
    pub directory: PathBuf,
    /// What managers said of the references that lead to them.
    pub resolved: Resolved,
    /// What keeps the key of a vault from wrapping data keys, where one is to.
    pub transit_fault: Option<TransitFault>,
}

/// What managers said of references.
pub type Resolved = BTreeMap<Reference, Result<Resolution, Unresolved>>;

impl Sources {
    /// The environment and the working directory of this process, read once.
    pub fn from_process() -> Self {
        let mut sources =
            Self { directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")), ..Self::default() };
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => sources.environment.push((name, value)),
                Err(_) => sources.undecodable.push(name),
            }
        }
        sources
    }

    /// Names in the process environment whose values are secrets: those of secret settings, and those that a reference
    /// (`env:NAME`) to such a value names, wherever that reference stands.
    pub fn secret_names(&self) -> Vec<String> {
        let is_secret = |name: &str| catalog::find(name).is_some_and(catalog::Variable::is_secret);
        let read = Reader::new(self);
        let referred = |name: &str| {
            let mut texts = read.texts().flat_map(|text| text.split(','));
            texts.any(|text| text.trim().strip_prefix("env:").is_some_and(|named| named == name))
        };
        let names = self.environment.iter().map(|(name, _)| name);
        names.filter(|name| is_secret(name) || referred(name)).cloned().collect()
    }

    /// The same sources with `name` given on the command line.
    #[must_use]
    pub fn with_argument(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.arguments.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Sources")
            .field("arguments", &names(&self.arguments))
            .field("environment", &names(&self.environment))
            .field("undecodable", &self.undecodable)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave it.
    Default,
    /// The command line.
    Argument,
    /// The process environment.
    Environment,
    /// This line of `.env`.
    DotEnv(usize),
    /// `fastcms.toml`.
    Toml,
    /// The file that `NAME_FILE` or a reference names.
    File(PathBuf),
    /// A file of age, and the name inside.
    Age(Reference),
    /// A secret manager: the reference, and the version found there.
    Manager(Reference, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Argument => f.write_str("command line"),
            Self::Environment => f.write_str("environment"),
            Self::DotEnv(line) => write!(f, "{DOTENV} line {line}"),
            Self::Toml => f.write_str(TOML),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Age(reference) => reference.fmt(f),
            Self::Manager(reference, version) => write!(f, "{reference} version {version}"),
        }
    }
}

impl serde::Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value as it was found.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    /// Its text; lists of `fastcms.toml` as JSON. Boxed as a secret because it may be one.
    pub text: Secret<String>,
    /// Where it was found.
    pub origin: Origin,
}

/// All values of all sources in plain sight by upper-case name, the winning one each.
pub(super) struct Lookup {
    pub values: BTreeMap<String, Raw>,
    pub faults: Vec<Fault>,
    pub warnings: Vec<Warning>,
}

impl Lookup {
    /// Reads every source once.
    pub fn collect(sources: &Sources) -> Self {
        let mut all = Self { values: BTreeMap::new(), faults: Vec::new(), warnings: Vec::new() };
        for (name, value) in &sources.arguments {
            all.add(name, value, Origin::Argument);
        }
        // Where the system tells `app_port` from `APP_PORT`, the spelling of the documentation wins.
        let (exact, other): (Vec<_>, Vec<_>) =
            sources.environment.iter().partition(|(name, _)| name.bytes().all(|byte| !byte.is_ascii_lowercase()));
        for (name, value) in exact.into_iter().chain(other) {
            all.add(name, value, Origin::Environment);
        }
        for name in sources.undecodable.iter().filter(|name| is_known(name)) {
            let name = name.to_ascii_uppercase();
            all.faults.push(Fault::new(name, "the value in the environment is not UTF-8: set it as UTF-8 text"));
        }
        if let Some(text) = all.file(sources, DOTENV) {
            all.add_dotenv(text.expose());
        }
        if let Some(text) = all.file(sources, TOML) {
            all.add_toml(text.expose());
        }
        all
    }

    fn add(&mut self, name: &str, value: &str, origin: Origin) {
        self.values
            .entry(name.to_ascii_uppercase())
            .or_insert_with(|| Raw { text: Secret::new(value.to_owned()), origin });
    }

    /// The text of a file in the working directory, if there is one.
    fn file(&mut self, sources: &Sources, name: &'static str) -> Option<Secret<String>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_SOURCE_BYTES + 1).expect("1 MiB fits into 64 bits");
        let read = File::open(sources.directory.join(name)).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        let message = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => format!("cannot be read: {error}"),
            Ok(_) if bytes.len() > MAX_SOURCE_BYTES => {
                format!("is larger than {MAX_SOURCE_BYTES} bytes")
            }
            Ok(_) => match String::from_utf8(bytes) {
                Ok(text) => return Some(Secret::new(text)),
                Err(error) => {
                    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                    let line = good.split(|byte| *byte == b'\n').count();
                    format!("line {line} is not UTF-8: save the file as UTF-8")
                }
            },
        };
        self.faults.push(Fault::new(name, message));
        None
    }

    fn add_dotenv(&mut self, text: &str) {
        let (assigned, faults, warnings) = assigned(text, DOTENV);
        self.faults.extend(faults);
        self.warnings.extend(warnings);
        for (name, (line, value)) in assigned {
            self.values.entry(name).or_insert(Raw { text: value, origin: Origin::DotEnv(line) });
        }
    }

    fn add_toml(&mut self, text: &str) {
        let table = match text.trim_start_matches('\u{feff}').parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // The error's own text would show the line, and with it perhaps a secret.
                let at = error.span().map_or(0, |span| span.start);
                let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
                self.faults.push(Fault::new(TOML, format!("line {line}: {}", error.message())));
                return;
            }
        };
        for (name, value) in table {
            match toml_text(value) {
                Ok(value) => self.add(&name, value.expose(), Origin::Toml),
                Err(message) => self.faults.push(Fault::new(TOML, format!("`{}`: {message}", name.escape_debug()))),
            }
        }
    }
}

/// What a text of the form of `.env` gives each upper-case name, by the line it stands on; and what is to be said of it, under the name
/// `about`. As in a shell, the last line that sets a name wins.
pub(super) fn assigned(text: &str, about: &str) -> (Assigned, Vec<Fault>, Vec<Warning>) {
    let (entries, faults) = dotenv::parse(text);
    let faults =
        faults.into_iter().map(|(line, message)| Fault::new(about, format!("line {line}: {message}"))).collect();
    let (mut last, mut warnings) = (Assigned::new(), Vec::new());
    for entry in entries {
        let name = entry.name.to_ascii_uppercase();
        if let Some((earlier, _)) = last.insert(name.clone(), (entry.line, entry.value)) {
            let message =
                format!("{name} is set on line {earlier} and again on line {}: the last one counts", entry.line);
            warnings.push(Warning::new(about, message));
        }
    }
    (last, faults, warnings)
}

/// Lines and values by upper-case name.
type Assigned = BTreeMap<String, (usize, Secret<String>)>;

/// A value of `fastcms.toml` as the text it would be in the environment.
fn toml_text(value: toml::Value) -> Result<Secret<String>, &'static str> {
    let text = match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Array(items) => {
            let items = items.into_iter().map(|item| match item {
                toml::Value::String(text) => Ok(serde_json::Value::String(text)),
                toml::Value::Integer(number) => Ok(serde_json::Value::from(number)),
                _ => Err("a list holds texts or whole numbers only"),
            });
            serde_json::Value::Array(items.collect::<Result<_, _>>()?).to_string()
        }
        toml::Value::Table(_) => {
            return Err("there are no sections: write each variable at the top level, in lower case");
        }
    };
    Ok(Secret::new(text))
}

/// Whether `name` is read at all, as a variable or as the file of a secret.
pub(super) fn is_known(name: &str) -> bool {
    let stem = name.len().checked_sub("_FILE".len()).and_then(|at| name.split_at_checked(at));
    super::catalog::find(name).is_some()
        || stem.is_some_and(|(stem, tail)| {
            tail.eq_ignore_ascii_case("_FILE") && super::catalog::find(stem).is_some_and(super::Variable::is_secret)
        })
}
