//! OAuth providers given by environment; one stored under the same type wins over them.

use fastcms_secrets::Secret;

use super::catalog::{self, Variable};
use super::fault::Warning;
use super::reader::Reader;

/// OAuth providers by type.
#[derive(Debug, Clone)]
pub struct OAuth {
    /// Google.
    pub google: Option<OAuthClient>,
    /// GitHub.
    pub github: Option<OAuthClient>,
    /// Facebook.
    pub facebook: Option<OAuthClient>,
    /// Microsoft.
    pub microsoft: Option<OAuthClient>,
}

/// This installation's registration at a provider.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// Client id.
    pub id: String,
    /// Client secret.
    pub secret: Secret<String>,
}

impl OAuth {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            google: client(read, &catalog::GOOGLE_CLIENT_ID, &catalog::GOOGLE_CLIENT_SECRET),
            github: client(read, &catalog::GITHUB_CLIENT_ID, &catalog::GITHUB_CLIENT_SECRET),
            facebook: client(read, &catalog::FACEBOOK_CLIENT_ID, &catalog::FACEBOOK_CLIENT_SECRET),
            microsoft: client(read, &catalog::MICROSOFT_CLIENT_ID, &catalog::MICROSOFT_CLIENT_SECRET),
        }
    }
}

fn client(read: &mut Reader<'_>, id: &'static Variable, secret: &'static Variable) -> Option<OAuthClient> {
    match (read.text(id), read.secret(secret)) {
        (Some(given), Some(secret)) => {
            let message = "is not used in this version: nobody can sign in by this provider yet";
            read.warn(Warning::new(id.name, message));
            Some(OAuthClient { id: given, secret })
        }
        (None, None) => None,
        (given, _) => {
            let (set, missing) = if given.is_some() { (id, secret) } else { (secret, id) };
            read.warn(Warning::new(missing.name, format!("is not set but {} is: the provider stays off", set.name)));
            None
        }
    }
}
