//! Tokens of Entra ID: for a client secret, for a workload's own token, or from the machine.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::AzureSettings;
use crate::Secret;
use crate::document::SecretText;
use crate::https::{Answer, Https, Request, code, fresh_token, is_own_service};
use crate::unresolved::Why;

/// How long before its end a token is replaced, in seconds.
const MARGIN: i64 = 300;
/// Who issues tokens in the public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where no way to an identity leads anywhere.
const NOBODY: &str = "nobody says who we are to Azure: no client secret, no workload identity, and no managed identity";
/// Where machines ask who they are.
const METADATA: &str = "http://169.254.169.254";

/// Tokens by what they are for.
pub(super) struct Tokens {
    settings: AzureSettings,
    held: Mutex<BTreeMap<String, Held>>,
}

struct Held {
    token: Secret<String>,
    until: i64,
}

#[derive(Deserialize)]
struct Issued {
    access_token: SecretText,
    /// Seconds; a number from some, a text from others.
    expires_in: Option<Value>,
    /// Unix seconds; App Service gives this alone.
    expires_on: Option<Value>,
}

impl Tokens {
    pub fn new(settings: AzureSettings) -> Self {
        Self { settings, held: Mutex::default() }
    }

    /// A token for this resource.
    pub async fn token(&self, https: &Https, resource: &str) -> Result<Secret<String>, Why> {
        let mut held = self.held.lock().await;
        let now = Timestamp::now().as_second();
        if let Some(known) = held.get(resource).filter(|known| now + MARGIN < known.until) {
            return Ok(known.token.clone());
        }
        let answer = self.ask(https, resource).await?;
        let issued: Issued = answer.json()?;
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let lasts = issued.expires_in.as_ref().and_then(number).map(|seconds| now + seconds);
        let until = lasts.or_else(|| issued.expires_on.as_ref().and_then(number)).unwrap_or(now);
        let token = issued.access_token.0;
        held.insert(resource.to_owned(), Held { token: token.clone(), until });
        Ok(token)
    }

    /// Drops what is held: it was refused.
    pub async fn forget(&self) {
        self.held.lock().await.clear();
    }

    async fn ask(&self, https: &Https, resource: &str) -> Result<Answer, Why> {
        let settings = &self.settings;
        let identity = (&settings.tenant_id, &settings.client_id);
        if let ((Some(tenant), Some(client)), Some(secret)) = (identity, &settings.client_secret) {
            return self.issue(https, tenant, client, resource, &[("client_secret", secret.expose())]).await;
        }
        if let ((Some(tenant), Some(client)), Some(file)) = (identity, &settings.federated_token_file) {
            let assertion = fresh_token(file)?;
            let proof = [
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.expose().as_str()),
            ];
            return self.issue(https, tenant, client, resource, &proof).await;
        }
        self.machine(https, resource).await
    }

    async fn issue(
        &self,
        https: &Https,
        tenant: &str,
        client: &str,
        resource: &str,
        proof: &[(&str, &str)],
    ) -> Result<Answer, Why> {
        let authority = self.settings.authority.as_ref().map_or(AUTHORITY, Url::as_str).trim_end_matches('/');
        let faulty = || Why::NotConfigured("AZURE_TENANT_ID or AZURE_AUTHORITY_HOST makes no address".to_owned());
        let is_tenant = tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        let url = Url::parse(&format!("{authority}/{tenant}/oauth2/v2.0/token"))
            .ok()
            .filter(|_| is_tenant)
            .ok_or_else(faulty)?;
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client)
            .append_pair("scope", &format!("{resource}/.default"))
            .extend_pairs(proof)
            .finish();
        let answer = https.ask(Request::post(&url, "application/x-www-form-urlencoded", body.into_bytes())).await?;
        match answer.status {
            200 => Ok(answer),
            400 | 401 => Err(Why::Denied(format!("Entra ID answers {}", refusal(&answer)))),
            _ => Err(answer.refused("Entra ID")),
        }
    }

    /// App Service where it says so, else the metadata service.
    async fn machine(&self, https: &Https, resource: &str) -> Result<Answer, Why> {
        let settings = &self.settings;
        let nobody = || NOBODY.to_owned();
        let app_service = settings.identity_endpoint.as_ref().zip(settings.identity_header.as_ref());
        let base = settings.metadata_endpoint.as_ref().map_or(METADATA, Url::as_str).trim_end_matches('/');
        let (mut url, version) = match app_service {
            Some((endpoint, _)) => (endpoint.clone(), "2019-08-01"),
            None => (
                Url::parse(&format!("{base}/metadata/identity/oauth2/token"))
                    .map_err(|_| Why::Unreachable(nobody()))?,
                "2018-02-01",
            ),
        };
        if !is_own_service(&url) {
            return Err(Why::Untrusted(
                "the identity's address is neither https nor on this machine or its link".to_owned(),
            ));
        }
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
        if let Some(client) = &settings.client_id {
            url.query_pairs_mut().append_pair("client_id", client);
        }
        let request = match app_service {
            Some((_, header)) => Request::get(&url).with("x-identity-header", header.expose()),
            None => Request::get(&url).with("metadata", "true"),
        };
        let answer = https.ask(request).await.map_err(|why| match why {
            Why::Silent(_) => Why::Silent(nobody()),
            _ => Why::Unreachable(nobody()),
        })?;
        match answer.status {
            200 => Ok(answer),
            400 => Err(Why::Denied("this machine has no such managed identity".to_owned())),
            _ => Err(answer.refused("the managed identity")),
        }
    }
}

fn refusal(answer: &Answer) -> String {
    let body = serde_json::from_slice::<Value>(answer.body.expose()).unwrap_or_default();
    body["error"].as_str().and_then(code).unwrap_or("a refusal").to_owned()
}
