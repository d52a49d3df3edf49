//! From found texts to checked values. Each value is asked for by its [`Variable`]; on the way it is noted where it came from and
//! what may be shown of it. A faulty value is noted too, and its default goes on in its place so that every fault is found.

mod given;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use fastcms_secrets::{Identities, Reference, Resolution, Secret, Why};
use ipnet::IpNet;
use url::{Position, Url};

use super::age;
use super::catalog::{self, Preset, Secrecy, Variable};
use super::fault::{Fault, Warning, quoted};
use super::kind::{Choice, Kind};
use super::source::{Lookup, Origin, Raw, Sources};

/// What is shown of a secret.
pub const MASK: &str = "******";

/// One effective value as `fastcms config` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// The variable.
    pub name: &'static str,
    /// Its value as text, lists joined by commas; of a secret only whether there is one.
    pub value: String,
    /// What holds without it.
    pub default: &'static str,
    /// Where the value came from.
    pub source: Origin,
    /// Whether the value is masked.
    pub is_secret: bool,
}

/// A value as found, for one variable.
struct Given {
    text: Secret<String>,
    origin: Origin,
}

/// Hands out values and collects what is remarkable about them.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    values: BTreeMap<String, Raw>,
    effective: Vec<Effective>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    /// What references of variables led to, where a manager was asked.
    managed: BTreeMap<&'static str, Resolution>,
    /// What opens files of age, or why nothing does.
    identities: Result<Identities, Why>,
    /// Whether every source could be read.
    is_whole: bool,
}

impl<'a> Reader<'a> {
    /// Looks into every source once.
    pub fn new(sources: &'a Sources) -> Self {
        let Lookup { values, faults, warnings } = Lookup::collect(sources);
        let mut read = Self {
            sources,
            values,
            effective: Vec::with_capacity(catalog::ALL.len()),
            is_whole: faults.is_empty(),
            faults,
            warnings,
            managed: BTreeMap::new(),
            identities: Err(Why::NotConfigured("no identity is known yet".to_owned())),
        };
        read.identities = age::identities(&mut read);
        age::add(&mut read);
        read
    }

    /// Effective values in the catalog's order, faults, warnings.
    pub fn finish(mut self) -> (Vec<Effective>, Vec<Fault>, Vec<Warning>) {
        let place = |name: &str| catalog::ALL.iter().position(|variable| variable.name == name);
        self.effective.sort_by_cached_key(|one| place(one.name));
        (self.effective, self.faults, self.warnings)
    }

    /// Every name found, in upper case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The text found for an open variable, whether it can be understood or not.
    pub fn raw(&self, variable: &Variable) -> Option<String> {
        let given = variable.names().find_map(|name| self.found(name, false))?;
        Some(given.text.expose().trim().to_owned())
    }

    /// Whether anything was found for a variable; for a list that includes an empty text.
    pub fn is_given(&self, variable: &Variable) -> bool {
        variable.names().any(|name| self.found(name, variable.kind.is_list()).is_some())
    }

    /// Whether a file is given that a secret lies in.
    pub fn is_file_given(&self, variable: &Variable) -> bool {
        variable.names().any(|name| self.found(&format!("{name}_FILE"), false).is_some())
    }

    /// Every text found, of whichever name.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.values().map(|raw| raw.text.expose().as_str())
    }

    /// Whether every source could be read: what is not found in some may stand in another.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What opens files of age, or why nothing does.
    pub const fn identities(&self) -> &Result<Identities, Why> {
        &self.identities
    }

    /// Adds a value that nothing gave before.
    pub fn add(&mut self, name: String, raw: Raw) {
        self.values.entry(name).or_insert(raw);
    }

    /// Notes that a source could not be read, or not all of it.
    pub fn lack(&mut self, fault: Fault) {
        self.is_whole = false;
        self.faults.push(fault);
    }

    /// Looks for something without a word about what is wrong with it.
    pub fn unsaid<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let said = self.faults.len();
        let found = look(self);
        self.faults.truncate(said);
        found
    }

    /// Where relative paths start.
    pub fn directory(&self) -> &std::path::Path {
        &self.sources.directory
    }

    pub fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    pub fn fault(&mut self, variable: &Variable, message: impl Into<String>) {
        self.faults.push(Fault::new(variable.name, message));
    }

    /// Text; an empty one is as good as none.
    pub fn text(&mut self, variable: &'static Variable) -> Option<String> {
        self.parsed(variable, |text| {
            // A line break in a name would become a header of its own in mails.
            if text.chars().any(char::is_control) { Err("holds a control character") } else { Ok(text.to_owned()) }
        })
    }

    /// Text of a variable that has a default.
    pub fn preset_text(&mut self, variable: &'static Variable) -> String {
        self.text(variable).unwrap_or_default()
    }

    /// A secret, byte for byte as it was given.
    pub fn secret(&mut self, variable: &'static Variable) -> Option<Secret<String>> {
        let given = self.given(variable);
        let shown = if given.is_some() { MASK } else { "" };
        self.note(variable, shown.to_owned(), given.as_ref());
        given.map(|given| given.text)
    }

    /// Secrets separated by commas; blanks around a comma do not count, empty items are dropped.
    pub fn secrets(&mut self, variable: &'static Variable) -> Vec<Secret<String>> {
        let given = self.given(variable);
        // A key may begin with a bracket without being a JSON array.
        let items_of = |text: &str| list_items(text).unwrap_or_else(|_| comma_items(text));
        let mut items = Vec::new();
        for item in given.as_ref().map_or_else(Vec::new, |given| items_of(given.text.expose())) {
            let Some(given) = &given else { break };
            let item = Given { text: Secret::new(item), origin: given.origin.clone() };
            let found = if matches!(item.origin, Origin::File(_)) { Some(item) } else { self.followed(variable, item) };
            items.extend(found.into_iter().flat_map(|found| items_of(found.text.expose())).map(Secret::new));
        }
        self.note(variable, vec![MASK; items.len()].join(","), given.as_ref());
        items
    }

    pub fn flag(&mut self, variable: &'static Variable) -> Option<bool> {
        self.parsed(variable, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("{} is neither `true` nor `false`", quoted(text))),
        })
    }

    /// A flag that is off without a value.
    pub fn is_set(&mut self, variable: &'static Variable) -> bool {
        self.flag(variable).unwrap_or(false)
    }

    pub fn whole<T: TryFrom<u64>>(&mut self, variable: &'static Variable) -> Option<T> {
        let (min, max) = bounds(variable);
        self.parsed(variable, |text| whole(text, min, max))
    }

    /// A whole number of a variable that has a default.
    pub fn preset_whole<T: TryFrom<u64> + Default>(&mut self, variable: &'static Variable) -> T {
        self.whole(variable).unwrap_or_default()
    }

    pub fn choice<T: Choice>(&mut self, variable: &'static Variable) -> Option<T> {
        self.parsed(variable, |text| T::named(text).ok_or_else(|| not_among(text, T::NAMES)))
    }

    /// A choice of a variable that has a default.
    pub fn preset_choice<T: Choice>(&mut self, variable: &'static Variable) -> T {
        self.choice(variable).unwrap_or(T::VALUES[0])
    }

    /// A path; relative ones start at the working directory.
    pub fn path(&mut self, variable: &'static Variable) -> Option<PathBuf> {
        let text = self.text(variable)?;
        Some(self.sources.directory.join(text))
    }

    /// The items of a list, each parsed by `parse`; every faulty item is a fault of its own.
    pub fn list<T>(&mut self, variable: &'static Variable, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let given = self.given(variable);
        let text = given.as_ref().map_or_else(|| preset(variable).to_owned(), |given| given.text.expose().clone());
        let texts = self.or_fault(variable, list_items(&text)).unwrap_or_default();
        self.note(variable, texts.join(","), given.as_ref());
        texts.iter().filter_map(|item| self.or_fault(variable, parse(item))).collect()
    }

    pub fn wholes<T: TryFrom<u64>>(&mut self, variable: &'static Variable) -> Vec<T> {
        let (min, max) = bounds(variable);
        self.list(variable, |text| whole(text, min, max))
    }

    pub fn networks(&mut self, variable: &'static Variable) -> Vec<IpNet> {
        self.list(variable, network)
    }

    /// A value that `parse` understands, or the default, or nothing.
    pub fn parsed<T, M: Into<String>>(
        &mut self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Result<T, M>,
    ) -> Option<T> {
        let given = self.given(variable);
        if let Some(given) = &given
            && let Some(value) = self.or_fault(variable, parse(given.text.expose().trim()))
        {
            self.note(variable, shown(variable, given.text.expose().trim()), Some(given));
            return Some(value);
        }
        let text = preset(variable);
        self.note(variable, shown(variable, text), None);
        if text.is_empty() { None } else { parse(text).ok() }
    }

    /// Corrects what is shown of a variable whose default depends on others, unless it was given.
    pub fn derive(&mut self, variable: &Variable, text: impl Into<String>) {
        if let Some(one) = self.effective.iter_mut().find(|one| one.name == variable.name)
            && one.source == Origin::Default
        {
            one.value = text.into();
        }
    }

    /// Notes a variable that is known but not read.
    pub fn ignore(&mut self, variable: &'static Variable) {
        let given = self.given(variable);
        self.note(variable, String::new(), given.as_ref());
    }

    fn or_fault<T, M: Into<String>>(&mut self, variable: &Variable, result: Result<T, M>) -> Option<T> {
        result.map_err(|message| self.fault(variable, message)).ok()
    }

    /// Where a variable that was read before came from.
    pub fn origin(&self, variable: &Variable) -> Option<&Origin> {
        self.effective.iter().find(|one| one.name == variable.name).map(|one| &one.source)
    }

    /// The text found under exactly this name. Empty texts count only when `empty`.
    fn found(&self, name: &str, empty: bool) -> Option<Given> {
        let raw = self.values.get(name)?;
        let wanted = empty || !raw.text.expose().trim().is_empty();
        wanted.then(|| Given { text: raw.text.clone(), origin: raw.origin.clone() })
    }

    fn note(&mut self, variable: &'static Variable, value: String, given: Option<&Given>) {
        self.effective.push(Effective {
            name: variable.name,
            value,
            default: match variable.default {
                Preset::Unset => "",
                Preset::Is(text) | Preset::Depends(text) => text,
            },
            source: given.map_or(Origin::Default, |given| given.origin.clone()),
            is_secret: variable.is_secret(),
        });
    }
}

/// The reference that a secret's text is, if it is one.
pub(super) fn reference(text: &str) -> Result<Option<Reference>, String> {
    Reference::parse(text.trim()).map_err(|malformed| malformed.to_string())
}

/// The bounds that the catalog sets.
fn bounds(variable: &Variable) -> (u64, u64) {
    match variable.kind {
        Kind::Whole { min, max } | Kind::Wholes { min, max } => (min, max),
        _ => unreachable!("`{}` is no number in the catalog", variable.name),
    }
}

/// The default as text to parse.
fn preset(variable: &Variable) -> &'static str {
    match variable.default {
        Preset::Is(text) => text,
        Preset::Unset | Preset::Depends(_) => "",
    }
}

/// What may be shown of a value.
fn shown(variable: &Variable, text: &str) -> String {
    match variable.secrecy {
        Secrecy::Open => text.to_owned(),
        Secrecy::Url => masked_url(text),
        Secrecy::Address => address_only(text),
        Secrecy::Secret if text.is_empty() => String::new(),
        Secrecy::Secret => MASK.to_owned(),
    }
}

/// A URL without its password, wherever in it the password stands; masked as a whole when it cannot be told.
pub(super) fn masked_url(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Ok(mut url) = Url::parse(text) else {
        return MASK.to_owned();
    };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if let Some(query) = url.query() {
        let parts: Vec<_> = query
            .split('&')
            .map(|part| match part.split_once('=') {
                Some((name, _)) if name.to_ascii_lowercase().contains("pass") => {
                    format!("{name}={MASK}")
                }
                _ => part.to_owned(),
            })
            .collect();
        let query = parts.join("&");
        url.set_query(Some(&query));
        return url.to_string();
    }
    if url.password().is_some() { url.to_string() } else { text.to_owned() }
}

/// Scheme, host and port of a URL.
fn address_only(text: &str) -> String {
    match Url::parse(text) {
        _ if text.is_empty() => String::new(),
        Ok(url) if url.has_host() && url[Position::BeforePath..] == *"/" => {
            format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::BeforePath])
        }
        Ok(url) if url.has_host() => {
            format!("{}://{}/{MASK}", url.scheme(), &url[Position::BeforeHost..Position::BeforePath])
        }
        _ => MASK.to_owned(),
    }
}

/// The items of a comma list or a JSON array, trimmed, empty ones dropped.
fn list_items(text: &str) -> Result<Vec<String>, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(comma_items(text));
    }
    let items: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|_| "is not a JSON array: write a comma list, or quote every item".to_owned())?;
    let texts = items.into_iter().map(|item| match item {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err("a JSON array may hold texts and numbers only".to_owned()),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Ok(texts.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

fn comma_items(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// A whole number within `min..=max`.
pub(super) fn whole<T: TryFrom<u64>>(text: &str, min: u64, max: u64) -> Result<T, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<u64>().ok().filter(|_| digits);
    number
        .filter(|number| (min..=max).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("{} is not a whole number from {min} to {max}", quoted(text)))
}

/// A range in CIDR notation or a bare address; IPv4 inside IPv6 becomes IPv4, host bits are dropped.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let malformed = || format!("{} is neither an address nor a network such as `10.0.0.0/8`", quoted(text));
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().map_err(|_| malformed())?.trunc();
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), bits) if network.addr().is_ipv6() => {
            let bits = bits.checked_sub(96).ok_or_else(malformed)?;
            IpNet::new(IpAddr::V4(address), bits).map_err(|_| malformed())
        }
        _ => Ok(network),
    }
}

/// What to say of a word that is not among `names`, with the name that was probably meant.
pub(super) fn not_among(text: &str, names: &[&str]) -> String {
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let guess = likely(text, names).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    match names {
        [only] => format!("{} is not supported: the only value is `{only}`", quoted(text)),
        _ => format!("{} is none of {list}{guess}", quoted(text)),
    }
}

/// The name that `text` was probably meant to be: one it begins, or one at most two letters away.
pub(super) fn likely<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = text.to_ascii_lowercase();
    names.iter().copied().find(|name| {
        let name = name.to_ascii_lowercase();
        (text.len() >= 3 && (name.starts_with(&text) || text.starts_with(&name)))
            || strsim::levenshtein(&text, &name) <= 2
    })
}
