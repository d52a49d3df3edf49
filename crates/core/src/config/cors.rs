//! Which foreign web pages may call the API.

pub use fastcms_guard::cors::Origin as WebOrigin;

use super::catalog;
use super::fault::quoted;
use super::reader::Reader;
use super::server::Environment;

/// What a development server allows when nothing is said: a front end and the server itself.
const DEVELOPMENT: [&str; 2] = ["http://localhost:3000", "http://localhost:8000"];

/// Which foreign web pages may call the API.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Their origins.
    pub origins: Origins,
    /// Whether they may send credentials.
    pub allow_credentials: bool,
}

/// A set of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one; never together with credentials.
    Any,
    /// These.
    These(Vec<WebOrigin>),
}

impl Cors {
    pub(super) fn read(read: &mut Reader<'_>, environment: Environment) -> Self {
        let given = read.is_given(&catalog::CORS_ORIGINS);
        let parsed =
            read.list(&catalog::CORS_ORIGINS, |text| if text == "*" { Ok(None) } else { origin(text).map(Some) });
        let origins = if !given && environment == Environment::Development {
            read.derive(&catalog::CORS_ORIGINS, DEVELOPMENT.join(","));
            let origins =
                DEVELOPMENT.iter().map(|text| WebOrigin::parse(text).expect("our own origins are well-formed"));
            Origins::These(origins.collect())
        } else {
            parsed.into_iter().collect::<Option<Vec<_>>>().map_or(Origins::Any, Origins::These)
        };
        Self { origins, allow_credentials: read.is_set(&catalog::CORS_ALLOW_CREDENTIALS) }
    }
}

/// An origin exactly as a browser sends it: nothing is repaired.
pub(super) fn origin(text: &str) -> Result<WebOrigin, String> {
    WebOrigin::parse(text).map_err(|bad| {
        // What stands before an `@` may be a password.
        if text.contains('@') {
            format!("holds no origin: {bad}")
        } else {
            format!("{} is no origin: {bad}", quoted(text))
        }
    })
}
