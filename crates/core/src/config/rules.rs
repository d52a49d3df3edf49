//! What several values must be together: why a configuration must not serve, and what is legal but remarkable.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use fastcms_guard::egress::Egress;
use fastcms_secrets::Secret;
use fastcms_store::TlsMode;
use url::{Host, Url};

use super::catalog::{self, Variable};
use super::fault::{Fault, Warning};
use super::keys::weakness;
use super::server::is_loopback_url;
use super::source::{DOTENV, Sources, TOML};
use super::storage::StorageType;
use super::{Command, Config, Keys, Origin, Origins};

/// Longest life of an access token that draws no warning, in minutes.
const LONG_ACCESS_MINUTES: u32 = 60;
/// Longest life of a refresh family that draws no warning, in days.
const LONG_REFRESH_DAYS: u32 = 30;

/// Why `config` must not serve.
pub(super) fn refusals(config: &Config, sources: &Sources, command: Command) -> Vec<Fault> {
    let mut found = Vec::new();
    found.extend(transit(config, sources));
    let production = config.server.is_production();
    if config.cors.origins == Origins::Any && config.cors.allow_credentials {
        let message = "`*` cannot be combined with credentials: list the origins, or set CORS_ALLOW_CREDENTIALS=false";
        found.push(Fault::new(catalog::CORS_ORIGINS.name, message).check("E004"));
    }
    if config.storage.kind != StorageType::Local {
        let message = "must be `local`: other kinds of storage cannot be used in this version";
        found.push(Fault::new(catalog::STORAGE_TYPE.name, message));
    }
    if production {
        if config.database.way_out() == Some(TlsMode::Disable) {
            let message = "`sslmode=disable` sends passwords and records in the clear to another machine: use `verify-full`, the default here";
            found.push(Fault::new(catalog::DATABASE_URL.name, message).check("E017"));
        }
        keys(&config.keys, &mut found);
        mode(config, command, &mut found);
    }
    found
}

/// Why data keys cannot be wrapped by the key of a vault, where they are to be.
fn transit(config: &Config, sources: &Sources) -> Option<Fault> {
    config.keys.transit_key.as_ref()?;
    let message = match &sources.transit_fault {
        _ if config.secrets.managers.vault.is_none() => {
            "needs VAULT_ADDR and a way to log in to it: the key is asked there".to_owned()
        }
        Some(fault) => fault.to_string(),
        None => return None,
    };
    Some(Fault::new(catalog::ENCRYPTION_TRANSIT_KEY.name, message))
}

/// Rules of production for key material.
pub(super) fn keys(keys: &Keys, found: &mut Vec<Fault>) {
    let mut say = |variable: &Variable, message: String, check| {
        found.push(Fault::new(variable.name, message).check(check));
    };
    if keys.secret_key.is_none() {
        let message = "is required in production: set it to what `fastcms keys generate` prints".to_owned();
        say(&catalog::SECRET_KEY, message, "E001");
    }
    for (variable, key) in [
        (&catalog::SECRET_KEY, &keys.secret_key),
        (&catalog::SECRET_KEY_NEXT, &keys.secret_key_next),
        (&catalog::ENCRYPTION_KEY, &keys.encryption_key),
    ] {
        if let Some(weak) = key.as_ref().and_then(weakness) {
            say(variable, weak.to_string(), "E001");
        }
    }
    for (current, key, previous, list) in [
        (&catalog::SECRET_KEY, &keys.secret_key, &catalog::SECRET_KEY_PREVIOUS, &keys.secret_key_previous),
        (
            &catalog::ENCRYPTION_KEY,
            &keys.encryption_key,
            &catalog::ENCRYPTION_KEY_PREVIOUS,
            &keys.encryption_key_previous,
        ),
    ] {
        if repeats(key.as_ref(), list) {
            let message = format!("holds the value of {}: a retired key must not be the current one", current.name);
            say(previous, message, "E002");
        }
    }
}

/// Rules of production for the mode and the addresses.
fn mode(config: &Config, command: Command, found: &mut Vec<Fault>) {
    let mut say = |variable: &Variable, message: &str, check| {
        found.push(Fault::new(variable.name, message).check(check));
    };
    if config.server.debug && command == Command::Dev {
        let message = "`fastcms dev` implies DEBUG=true, which production refuses: use `fastcms serve`, or ENVIRONMENT=development";
        say(&catalog::ENVIRONMENT, message, "E003");
    } else if config.server.debug {
        say(&catalog::DEBUG, "must not be true in production: remove it", "E003");
    }
    if *config.origin(&catalog::BASE_URL) == Origin::Default {
        let message = "is required in production: set it to the public address, such as `https://cms.example.com`";
        say(&catalog::BASE_URL, message, "E005");
    }
    let sink = config.audit.webhook_url();
    if sink.as_ref().is_some_and(|url| url.scheme() == "http" && !is_loopback_url(url)) {
        let message = "must be https in production unless it is on loopback: events would travel in the clear";
        say(&catalog::AUDIT_WEBHOOK_URL, message, "E014");
    }
    let breaches = config.passwords.breach_url.as_ref();
    if breaches.is_some_and(|url| url.scheme() == "http" && !is_loopback_url(url)) {
        let message = "must be https in production unless it is on loopback: whoever is on the way could answer";
        say(&catalog::PASSWORD_BREACH_URL, message, "E015");
    }
    let egress = Egress::new(&config.proxies.egress_allowed, false);
    for (variable, url) in [(&catalog::AUDIT_WEBHOOK_URL, sink.as_ref()), (&catalog::PASSWORD_BREACH_URL, breaches)] {
        if let Some(what) = url.and_then(|url| egress.refusal(address_of(url)?)) {
            let message = format!("names {what}: list it in EGRESS_ALLOWED_CIDRS if that is meant");
            say(variable, &message, "E016");
        }
    }
    let endpoint = config.storage.s3.endpoint.as_ref();
    if endpoint.is_some_and(|url| url.scheme() == "http" && !is_loopback_url(url)) {
        let message =
            "must be https in production unless it is on loopback: files and credentials would travel in the clear";
        say(&catalog::AWS_S3_ENDPOINT_URL, message, "E013");
    }
}

/// The address in an URL that names no host.
fn address_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// What is legal but remarkable.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let mut found = Vec::new();
    lives(config, &mut found);
    rings(config, &mut found);
    for variable in [&catalog::ADMIN_EMAIL, &catalog::ADMIN_PASSWORD] {
        if *config.origin(variable) != Origin::Default {
            let message = "is not read: remove it, and make the first admin by setup or `fastcms admin create`";
            found.push(Warning::new(variable.name, message));
        }
    }
    if config.server.is_production() {
        exposure(config, &mut found);
    }
    found
}

/// Tokens that live long.
fn lives(config: &Config, found: &mut Vec<Warning>) {
    let (access, refresh) = (config.tokens.access_minutes, config.tokens.refresh_days);
    if access > LONG_ACCESS_MINUTES {
        let message = format!(
            "is {access} minutes: a stolen access token works that long, keep it at {LONG_ACCESS_MINUTES} or less"
        );
        found.push(Warning::new(catalog::ACCESS_TOKEN_EXPIRE_MINUTES.name, message).check("W123"));
    }
    if refresh > LONG_REFRESH_DAYS {
        let message = format!("is {refresh} days: keep it at {LONG_REFRESH_DAYS} or less");
        found.push(Warning::new(catalog::REFRESH_TOKEN_EXPIRE_DAYS.name, message).check("W123"));
    }
}

/// Keys that stand where they are of no use, or of too much.
fn rings(config: &Config, found: &mut Vec<Warning>) {
    let (keys, production) = (&config.keys, config.server.is_production());
    let mut say = |variable: &Variable, message: &str| found.push(Warning::new(variable.name, message));
    if !production && repeats(keys.secret_key.as_ref(), &keys.secret_key_previous) {
        say(&catalog::SECRET_KEY_PREVIOUS, "holds the value of SECRET_KEY; production refuses that");
    }
    if let Some(next) = &keys.secret_key_next {
        if repeats(Some(next), keys.secret_key.as_slice()) {
            say(&catalog::SECRET_KEY_NEXT, "is the value of SECRET_KEY already: remove it");
        }
        if repeats(Some(next), &keys.secret_key_previous) {
            say(&catalog::SECRET_KEY_NEXT, "is also among SECRET_KEY_PREVIOUS: a retired key should not come back");
        }
    }
    if production && keys.secret_key_previous.iter().any(|key| weakness(key).is_some()) {
        let message =
            "holds a weak key: who guesses it can sign tokens, remove it as soon as `fastcms keys status` says so";
        say(&catalog::SECRET_KEY_PREVIOUS, message);
    }
    if keys.transit_key.is_some() && keys.encryption_key.is_some() {
        let message = "wraps nothing while ENCRYPTION_TRANSIT_KEY is set, and unwraps what it wrapped: remove it once `fastcms keys status` says so";
        say(&catalog::ENCRYPTION_KEY, message);
    }
    if repeats(keys.encryption_key.as_ref(), keys.secret_key.as_slice()) {
        say(&catalog::ENCRYPTION_KEY, "is the value of SECRET_KEY: choose another, or remove it");
    }
    for (variable, list) in [
        (&catalog::SECRET_KEY_PREVIOUS, &keys.secret_key_previous),
        (&catalog::ENCRYPTION_KEY_PREVIOUS, &keys.encryption_key_previous),
    ] {
        let different: HashSet<_> = list.iter().map(Secret::expose).collect();
        if different.len() < list.len() {
            say(variable, "holds a key twice");
        }
    }
}

/// What production shows or sends in the clear.
fn exposure(config: &Config, found: &mut Vec<Warning>) {
    let mut say = |variable: &Variable, message: &str, check| {
        found.push(Warning::new(variable.name, message).check(check));
    };
    if config.cors.origins == Origins::Any {
        say(
            &catalog::CORS_ORIGINS,
            "`*` lets every web page read what anonymous callers may read: list the origins",
            "W101",
        );
    }
    if let Some(mode @ (TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyCa)) = config.database.way_out() {
        let message = format!(
            "`sslmode={}` does not find out whether it is the server that answers: use `verify-full`, the default here",
            mode.as_str()
        );
        say(&catalog::DATABASE_URL, &message, "W125");
    }
    if config.redis.is_exposed {
        say(&catalog::REDIS_URL, "leaves this machine without TLS: use `rediss://`", "W124");
    }
    if !config.server.is_loopback() && !config.proxies.is_behind_proxy() {
        let message = "is empty: the server speaks plain HTTP on a public address; set it to the TLS proxy in front, or listen on 127.0.0.1";
        say(&catalog::TRUSTED_PROXIES, message, "E006");
    }
    if !config.server.is_loopback() && config.proxies.hops.is_some() && config.proxies.trusted.is_empty() {
        let message = "without TRUSTED_PROXIES believes whoever reaches this address about who they are: name the proxies, or listen where nobody else connects";
        say(&catalog::TRUSTED_PROXY_HOPS, message, "E006");
    }
    if !config.mail.is_enabled() {
        let message = "and SMTP_PASSWORD are not both set: no mail is sent, so nobody can verify an address, reset a password or hear of an attack";
        say(&catalog::SMTP_USER, message, "W105");
    }
    for (variable, networks) in [
        (&catalog::TRUSTED_PROXIES, &config.proxies.trusted),
        (&catalog::RATE_LIMIT_EXEMPT_CIDRS, &config.rate_limits.exempt),
    ] {
        if networks.iter().any(|network| network.prefix_len() == 0) {
            found.push(Warning::new(
                variable.name,
                "covers every address: anybody could claim to be anybody, or go unlimited",
            ));
        }
    }
    let server = &config.server;
    if !server.base_url.is_https() && !server.base_url.is_loopback() {
        found
            .push(Warning::new(catalog::BASE_URL.name, "is not https: links in mails would carry tokens in the clear"));
    }
    for (name, path) in secret_files(config) {
        if is_readable_by_others(&path) {
            let message = format!(
                "`{}` can be read by other users: make it readable by its owner only (mode 0600)",
                path.display()
            );
            found.push(Warning::new(name, message).check("E007"));
        }
    }
}

/// The files that secrets were read from, each under the name to speak of it by.
fn secret_files(config: &Config) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for one in config.effective.iter().filter(|one| one.is_secret) {
        match &one.source {
            Origin::File(path) => files.push((format!("{}_FILE", one.name), path.clone())),
            Origin::DotEnv(_) => files.push((DOTENV.to_owned(), config.directory.join(DOTENV))),
            Origin::Toml => files.push((TOML.to_owned(), config.directory.join(TOML))),
            Origin::Default | Origin::Argument | Origin::Environment | Origin::Age(_) | Origin::Manager(..) => {}
        }
    }
    let mut seen = HashSet::new();
    files.retain(|(_, path)| seen.insert(path.clone()));
    files
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

/// Whether `key` is among `others`. Both sides come from the operator: time tells nobody anything.
fn repeats(key: Option<&Secret<String>>, others: &[Secret<String>]) -> bool {
    key.is_some_and(|key| others.iter().any(|other| other.expose() == key.expose()))
}
