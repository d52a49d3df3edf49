//! Name, address and mode of the server.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::catalog;
use super::fault::quoted;
use super::kind::choice;
use super::reader::{Reader, likely};
use super::{Choice as _, Command};

choice! {
    /// How strict the whole product is.
    pub enum Environment {
        /// Comfort first: documentation pages, loopback CORS origins, a key made at start.
        Development = "development",
        /// As development, without its CORS origins.
        Staging = "staging",
        /// Every hardening default on.
        Production = "production",
    }
}

/// Name, address and mode of the server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Name of this installation.
    pub app_name: String,
    /// Version shown to those who may see one.
    pub app_version: String,
    /// Address to listen on: an IP address or a name that resolves to one.
    pub host: String,
    /// Port to listen on; 0 for any free one.
    pub port: u16,
    /// Public address: links, redirect URIs, issuer.
    pub base_url: BaseUrl,
    /// How strict the whole product is.
    pub environment: Environment,
    /// Whether documentation pages and SQL logging are on; never in production.
    pub debug: bool,
    /// Host names under which requests are answered.
    pub allowed_hosts: AllowedHosts,
}

impl Server {
    pub(super) fn read(read: &mut Reader<'_>, command: Command) -> Self {
        let environment = environment(read);
        let dev = command == Command::Dev;

        let app_version = read.text(&catalog::APP_VERSION).unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        read.derive(&catalog::APP_VERSION, app_version.as_str());
        let host = read.parsed(&catalog::APP_HOST, listen_host);
        let host = host.unwrap_or_else(|| if dev { "127.0.0.1" } else { "0.0.0.0" }.to_owned());
        read.derive(&catalog::APP_HOST, host.as_str());
        let port = read.preset_whole(&catalog::APP_PORT);
        let base_url = read.parsed(&catalog::BASE_URL, BaseUrl::parse).unwrap_or_else(|| BaseUrl::local(port));
        read.derive(&catalog::BASE_URL, base_url.as_str());
        let debug = read.flag(&catalog::DEBUG).unwrap_or(dev);
        read.derive(&catalog::DEBUG, debug.to_string());

        let hosts = read.list(&catalog::ALLOWED_HOSTS, host_name);
        let allowed_hosts = match (hosts.is_empty(), environment) {
            (false, _) => AllowedHosts::These(hosts),
            (true, Environment::Production) => AllowedHosts::These(vec![base_url.host().to_owned()]),
            (true, _) => AllowedHosts::Any,
        };
        if let AllowedHosts::These(hosts) = &allowed_hosts {
            read.derive(&catalog::ALLOWED_HOSTS, hosts.join(","));
        }
        Self {
            app_name: read.preset_text(&catalog::APP_NAME),
            app_version,
            host,
            port,
            base_url,
            environment,
            debug,
            allowed_hosts,
        }
    }

    /// Whether the production rules hold.
    pub fn is_production(&self) -> bool {
        self.environment == Environment::Production
    }

    /// Whether the server listens on a loopback address only, by an explicit setting or by default.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Whether documentation pages and the schema are served.
    pub fn has_docs(&self) -> bool {
        self.debug && !self.is_production()
    }
}

/// The environment; of a misspelt one the likely meaning, so that the rules of that mode are judged along with the fault.
pub(super) fn environment(read: &mut Reader<'_>) -> Environment {
    let mut meant = None;
    let read_as = read.parsed(&catalog::ENVIRONMENT, |text| {
        Environment::named(text).ok_or_else(|| super::reader::not_among(text, Environment::NAMES))
    });
    if let Some(text) = read.raw(&catalog::ENVIRONMENT)
        && Environment::named(&text).is_none()
    {
        meant = likely(&text, Environment::NAMES).and_then(Environment::named);
    }
    meant.or(read_as).unwrap_or(Environment::Development)
}

/// Whether `host`, an address or a name without port, means this machine only.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn listen_host(text: &str) -> Result<String, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.parse::<SocketAddr>().is_ok() {
        return Err(format!("{} has a port: that is APP_PORT", quoted(text)));
    }
    host_name(text).map_err(|_| format!("{} is neither an IP address nor a host name", quoted(text)))
}

/// Which names requests may be addressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Any.
    Any,
    /// These: lower case, without port, IPv6 addresses in brackets.
    These(Vec<String>),
}

impl AllowedHosts {
    /// Whether a request to `host` (without port, lower case, IPv6 in brackets) may be answered.
    pub fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(hosts) => hosts.iter().any(|one| one == host),
        }
    }
}

/// A host name or address as it stands in a URL, its port dropped, in lower case.
fn host_name(text: &str) -> Result<String, String> {
    let malformed =
        || format!("{} is not a host name: write it without scheme and path, such as `cms.example.com`", quoted(text));
    if text.contains(['/', '*', '@', '?', '#', '\\']) || text.chars().any(char::is_whitespace) {
        return Err(malformed());
    }
    let bracketed = if text.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() };
    let url = Url::parse(&format!("http://{bracketed}/")).map_err(|_| malformed())?;
    url.host_str().map(str::to_owned).ok_or_else(malformed)
}

/// The public address of the installation: http or https, a host, perhaps a port and a path, no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    text: String,
}

impl BaseUrl {
    /// Parses `text`, tolerating one slash at the end.
    ///
    /// # Errors
    /// Says what the address must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = |why: &str| format!("{} {why}: write it as `https://cms.example.com`", quoted(text));
        let url = Url::parse(text).map_err(|_| malformed("is not an address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("carries a user name or password: write it as `https://cms.example.com`".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("has a query or fragment"));
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// The address of a server on this machine.
    fn local(port: u16) -> Self {
        let port = if port == 0 { 8000 } else { port };
        Self::parse(&format!("http://localhost:{port}")).expect("a name and a port make a URL")
    }

    /// The address without a slash at the end: also the issuer of tokens.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host: lower case, without port, IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().expect("an http address has a host")
    }

    /// Its origin, as a browser sends it.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is an https address.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it names this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback_url(&self.url)
    }
}

/// Whether the host of `url` is this machine.
pub(super) fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => is_loopback(name),
        None => false,
    }
}
