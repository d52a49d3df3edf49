//! Azure Key Vault, data plane (<https://learn.microsoft.com/rest/api/keyvault/secrets/>).

mod token;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::Secret;
use crate::document::{Content, Document, SecretText};
use crate::https::{Answer, Https, Request, code};
use crate::replacement::Unwritten;
use crate::unresolved::Why;
use token::Tokens;

/// The version of the API that is spoken.
const API: &str = "api-version=7.4";
/// How often a version of somebody who wrote at the same moment, and gives way, is looked for.
const LOOKS: usize = 10;
/// Between two such looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Pages of a list of versions that are read: 25 versions each.
const MAX_PAGES: usize = 20;

/// Who we are to Azure. Identities are looked for in this order: client secret, workload identity, App Service, managed identity.
#[derive(Debug, Clone, Default)]
pub struct AzureSettings {
    /// Tenant.
    pub tenant_id: Option<String>,
    /// Client id; of a managed identity only where there are several.
    pub client_id: Option<String>,
    /// Client secret.
    pub client_secret: Option<Secret<String>>,
    /// File of the workload's token.
    pub federated_token_file: Option<PathBuf>,
    /// Another authority that issues tokens.
    pub authority: Option<Url>,
    /// Where App Service gives tokens.
    pub identity_endpoint: Option<Url>,
    /// What it wants to see for that.
    pub identity_header: Option<Secret<String>>,
    /// Another address of the instance metadata service.
    pub metadata_endpoint: Option<Url>,
}

/// Key Vault: any number of vaults, one identity.
pub(crate) struct Azure {
    https: Https,
    tokens: Tokens,
    /// For each vault the resource that it asked tokens for, once that was looked at.
    resources: Mutex<std::collections::BTreeMap<String, String>>,
}

/// A version as it is listed, without its value.
pub(crate) struct Listed {
    pub version: String,
    created: i64,
}

#[derive(Deserialize)]
struct Page {
    value: Vec<Item>,
    #[serde(rename = "nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    enabled: bool,
    nbf: Option<i64>,
    exp: Option<i64>,
    created: Option<i64>,
}

#[derive(Deserialize)]
struct Bundle {
    value: SecretText,
    id: String,
    attributes: Attributes,
}

impl Attributes {
    fn is_in_force(&self, now: i64) -> bool {
        self.enabled && self.nbf.is_none_or(|from| from <= now) && self.exp.is_none_or(|until| now < until)
    }
}

impl Azure {
    pub fn new(settings: AzureSettings) -> Result<Self, Why> {
        Ok(Self { https: Https::new(None)?, tokens: Tokens::new(settings), resources: Mutex::default() })
    }

    /// Versions that are enabled and in force, the newest first.
    pub async fn versions(&self, vault: &str, name: &str) -> Result<Vec<Listed>, Why> {
        let base = address(vault)?;
        let mut url = at(&base, &format!("secrets/{name}/versions?{API}"))?;
        let (mut found, now) = (Vec::new(), Timestamp::now().as_second());
        for _ in 0..MAX_PAGES {
            let page: Page = self.get(&base, &url).await?.json()?;
            let items = page.value.into_iter().filter(|item| item.attributes.is_in_force(now));
            found.extend(items.map(|item| Listed {
                version: last_segment(&item.id).to_owned(),
                created: item.attributes.created.unwrap_or_default(),
            }));
            let Some(next) = page.next.filter(|next| !next.is_empty()) else { break };
            let next = Url::parse(&next).ok().filter(|next| next.origin() == base.origin());
            url = next
                .ok_or_else(|| Why::Untrusted("the vault leads to another host for the rest of its list".to_owned()))?;
        }
        // Among versions of one second, the list's own order: the last one is the newest.
        found.reverse();
        found.sort_by_key(|one| std::cmp::Reverse(one.created));
        if found.is_empty() {
            return Err(Why::NotFound("no version is enabled and in force".to_owned()));
        }
        Ok(found)
    }

    /// One version.
    pub async fn read(&self, vault: &str, name: &str, version: &str) -> Result<Document, Why> {
        let base = address(vault)?;
        let url = at(&base, &format!("secrets/{name}/{version}?{API}"))?;
        let bundle: Bundle = self.get(&base, &url).await?.json()?;
        Ok(Document {
            content: Content::Text(bundle.value.0),
            label: last_segment(&bundle.id).to_owned(),
            created: bundle.attributes.created,
        })
    }

    /// Writes another version, provided the newest in force is still this one. Azure has no condition for a write, so it is looked at
    /// before and after: of two who write at once, the later one takes its version out of force and says so.
    pub async fn replace(
        &self,
        (vault, name): (&str, &str),
        newest: &str,
        fresh: &Secret<String>,
    ) -> Result<(), Unwritten> {
        if self.versions(vault, name).await?.first().is_none_or(|listed| listed.version != newest) {
            return Err(Unwritten::Conflict);
        }
        let base = address(vault)?;
        let url = at(&base, &format!("secrets/{name}?{API}"))?;
        let body = Secret::new(json!({"value": fresh.expose()}).to_string().into_bytes());
        let answer = self.answer(&base, &|| Request::json("PUT", &url, body.clone())).await?;
        let bundle: Bundle = written(answer)?.json()?;
        let ours = last_segment(&bundle.id);
        for _ in 0..LOOKS {
            let listed = self.versions(vault, name).await?;
            let place = |version: &str| listed.iter().position(|listed| listed.version == version);
            match (place(ours), place(newest)) {
                (Some(0), Some(1)) => return Ok(()),
                // Somebody wrote after us: they see the same, and take theirs back.
                (Some(ours), Some(old)) if old == ours + 1 => tokio::time::sleep(PAUSE).await,
                _ => {
                    let url = at(&base, &format!("secrets/{name}/{ours}?{API}"))?;
                    let body = Secret::new(json!({"attributes": {"enabled": false}}).to_string().into_bytes());
                    written(self.answer(&base, &|| Request::json("PATCH", &url, body.clone())).await?)?;
                    return Err(Unwritten::Conflict);
                }
            }
        }
        Err(Unwritten::Conflict)
    }

    async fn get(&self, base: &Url, url: &Url) -> Result<Answer, Why> {
        let answer = self.answer(base, &|| Request::get(url)).await?;
        match answer.status {
            200 => Ok(answer),
            403 => Err(Why::Denied(format!("the vault answers {}", refusal(&answer)))),
            404 => Err(Why::NotFound("no such secret, or no such version".to_owned())),
            _ => Err(answer.refused("the vault")),
        }
    }

    /// Asks with the token that the vault wants.
    async fn answer<'r>(&self, base: &Url, request: &(impl Fn() -> Request<'r> + Sync)) -> Result<Answer, Why> {
        let vault = base.as_str().to_owned();
        let known = self.resources.lock().await.get(&vault).cloned();
        let mut answer = match known {
            Some(resource) => self.ask(request(), &resource).await?,
            // Without a token, and without what else it is about: what it is asked for comes with the refusal.
            None => self.https.ask(Request::get(request().url)).await?,
        };
        if answer.status == 401 {
            let challenge = answer.challenge.as_deref().unwrap_or_default();
            let resource = resource(challenge, base)?;
            self.resources.lock().await.insert(vault, resource.clone());
            self.tokens.forget().await;
            answer = self.ask(request(), &resource).await?;
        }
        if answer.status == 401 {
            return Err(Why::Denied("the vault does not take our token".to_owned()));
        }
        Ok(answer)
    }

    async fn ask(&self, request: Request<'_>, resource: &str) -> Result<Answer, Why> {
        let token = self.tokens.token(&self.https, resource).await?;
        self.https.ask(request.with("authorization", format!("Bearer {}", token.expose()))).await
    }
}

/// The address of a vault: a bare name is one of the public cloud.
fn address(vault: &str) -> Result<Url, Why> {
    let host = if vault.contains(['.', ':']) { vault.to_owned() } else { format!("{vault}.vault.azure.net") };
    Url::parse(&format!("https://{host}/"))
        .map_err(|_| Why::NotConfigured("the vault's name is no name of a host".to_owned()))
}

fn at(base: &Url, path: &str) -> Result<Url, Why> {
    base.join(path).map_err(|_| Why::NotConfigured("the vault's address is faulty".to_owned()))
}

fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// What the vault says to a write.
fn written(answer: Answer) -> Result<Answer, Unwritten> {
    match answer.status {
        200 => Ok(answer),
        403 => Err(Unwritten::Denied("the role `Key Vault Secrets Officer` on this secret".to_owned())),
        404 => Err(Why::NotFound("no such secret".to_owned()).into()),
        409 => Err(Unwritten::Conflict),
        _ => Err(answer.refused("the vault").into()),
    }
}

/// The code of a refusal: the inner one says more.
fn refusal(answer: &Answer) -> String {
    let body = serde_json::from_slice::<Value>(answer.body.expose()).unwrap_or_default();
    let error = &body["error"];
    let named = error["innererror"]["code"].as_str().or_else(|| error["code"].as_str());
    named.and_then(code).unwrap_or("Forbidden").to_owned()
}

/// What a vault wants a token for. It must be the vault's own domain or the one that it is in: else who stands there, or in between,
/// would get a token that opens something else.
fn resource(challenge: &str, vault: &Url) -> Result<String, Why> {
    let parameter = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let is_bearer = challenge.trim_start().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let asked = parameter("resource").or_else(|| parameter("scope")).filter(|_| is_bearer);
    let asked = asked.ok_or_else(|| Why::Untrusted("it refuses without saying what token it wants".to_owned()))?;
    let resource = asked.trim_end_matches("/.default").trim_end_matches('/');
    let parsed = Url::parse(resource).ok().filter(|url| url.scheme() == "https" && url.path() == "/");
    let (Some(wanted), Some(host)) = (parsed.as_ref().and_then(Url::host_str), vault.host_str()) else {
        return Err(Why::Untrusted("it wants a token for something that is no https address".to_owned()));
    };
    // A domain of one label, or the top of a country, is nobody's own.
    let is_parent = wanted.contains('.') && host.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('.'));
    if host == wanted || is_parent {
        Ok(resource.to_owned())
    } else {
        Err(Why::Untrusted(format!("`{host}` wants a token for another domain, which it could use there in our name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(vault: &str, resource_: &str) -> Result<String, Why> {
        resource(
            &format!("Bearer authorization=\"https://login.example/t\", resource=\"{resource_}\""),
            &address(vault)?,
        )
    }

    #[test]
    fn a_token_is_given_for_the_vaults_own_domain_alone() {
        assert_eq!(wanted("prod", "https://vault.azure.net").unwrap(), "https://vault.azure.net");
        assert_eq!(wanted("prod", "https://vault.azure.net/.default").unwrap(), "https://vault.azure.net");
        assert_eq!(wanted("localhost:8443", "https://localhost").unwrap(), "https://localhost");
        for hostile in [
            "https://management.azure.com",
            "https://graph.microsoft.com",
            "https://other.vault.azure.net",
            "https://net",
            "https://azure.net.evil.example",
            "https://evil-vault.azure.net",
            "http://vault.azure.net",
            "https://vault.azure.net@evil.example",
            "vault.azure.net",
            "",
        ] {
            assert!(matches!(wanted("prod", hostile), Err(Why::Untrusted(_))), "{hostile}");
        }
        let vault = address("prod").unwrap();
        for challenge in ["", "Basic realm=\"x\"", "Bearer", "Basic resource=\"https://vault.azure.net\""] {
            assert!(matches!(resource(challenge, &vault), Err(Why::Untrusted(_))), "{challenge}");
        }
    }

    #[test]
    fn a_bare_name_is_a_vault_of_the_public_cloud() {
        assert_eq!(address("prod").unwrap().as_str(), "https://prod.vault.azure.net/");
        assert_eq!(address("prod.vault.azure.cn").unwrap().as_str(), "https://prod.vault.azure.cn/");
        assert_eq!(address("localhost:8443").unwrap().as_str(), "https://localhost:8443/");
    }
}
