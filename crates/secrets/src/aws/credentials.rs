//! Who we are to AWS: an access key, or a way to get one for an hour.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{AwsSettings, regional};
use crate::Secret;
use crate::document::SecretText;
use crate::https::{Answer, Https, Request, fresh_token, is_own_service};
use crate::unresolved::Why;

/// How long before their end credentials are replaced, in seconds.
const MARGIN: i64 = 300;
/// Where instances ask who they are.
const METADATA: &str = "http://169.254.169.254";
/// Where no way to an identity leads anywhere.
const NOBODY: &str =
    "nobody says who we are to AWS: no access key, no web identity, no container, and no metadata service of version 2";
/// How long a token of the metadata service is to last, in seconds.
const METADATA_TOKEN_SECONDS: &str = "21600";

/// An access key.
#[derive(Clone)]
pub(super) struct Credentials {
    pub access_key_id: Secret<String>,
    pub secret_access_key: Secret<String>,
    pub session_token: Option<Secret<String>>,
    /// When they end, unix seconds; `None`: never.
    pub until: Option<i64>,
}

/// Credentials that last for a while.
#[derive(Default)]
pub(super) struct Wallet {
    held: Mutex<Option<Credentials>>,
}

impl Wallet {
    /// Credentials that are good now.
    pub async fn credentials(&self, https: &Https, settings: &AwsSettings, region: &str) -> Result<Credentials, Why> {
        if let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
            return Ok(Credentials {
                access_key_id: id.clone(),
                secret_access_key: secret.clone(),
                session_token: settings.session_token.clone(),
                until: None,
            });
        }
        let mut held = self.held.lock().await;
        let now = Timestamp::now().as_second();
        if let Some(known) = held.as_ref().filter(|known| known.until.is_none_or(|until| now + MARGIN < until)) {
            return Ok(known.clone());
        }
        let fresh = if let (Some(role), Some(file)) = (&settings.role_arn, &settings.web_identity_token_file) {
            web_identity(https, settings, region, role, file).await?
        } else if let Some(url) = &settings.container_credentials {
            container(https, url, settings.container_token_file.as_deref()).await?
        } else {
            instance(https, settings.metadata_endpoint.as_ref()).await?
        };
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// Drops what is held; whether there was anything, so that asking again may help.
    pub async fn forget(&self) -> bool {
        self.held.lock().await.take().is_some()
    }
}

/// What the services of container and instance answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Temporary {
    access_key_id: SecretText,
    secret_access_key: SecretText,
    token: SecretText,
    expiration: String,
}

impl Temporary {
    fn read(answer: &Answer, who: &str) -> Result<Credentials, Why> {
        if answer.status != 200 {
            return Err(answer.refused(who));
        }
        let Self { access_key_id, secret_access_key, token, expiration } = answer.json()?;
        Ok(Credentials {
            access_key_id: access_key_id.0,
            secret_access_key: secret_access_key.0,
            session_token: Some(token.0),
            until: Some(end(&expiration)),
        })
    }
}

/// `AssumeRoleWithWebIdentity` of STS: the one call of AWS that is not signed.
async fn web_identity(
    https: &Https,
    settings: &AwsSettings,
    region: &str,
    role: &str,
    file: &Path,
) -> Result<Credentials, Why> {
    let url = settings.sts_endpoint.clone().map_or_else(|| regional("sts", region), Ok)?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", "fastcms")
        .append_pair("WebIdentityToken", fresh_token(file)?.expose())
        .finish();
    let answer = https.ask(Request::post(&url, "application/x-www-form-urlencoded", body.into_bytes())).await?;
    if answer.status == 400 {
        return Err(Why::Denied("STS refuses the web identity token".to_owned()));
    }
    if answer.status != 200 {
        return Err(answer.refused("STS"));
    }
    let text = Secret::new(String::from_utf8_lossy(answer.body.expose()).into_owned());
    let part = |name| element(text.expose(), name).map(|part| Secret::new(part.to_owned()));
    let all =
        (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"), element(text.expose(), "Expiration"));
    let (Some(access_key_id), Some(secret_access_key), session_token @ Some(_), Some(until)) = all else {
        return Err(Why::Unreachable("STS gave an answer that makes no sense".to_owned()));
    };
    Ok(Credentials { access_key_id, secret_access_key, session_token, until: Some(end(until)) })
}

/// What the container's agent knows: ECS, EKS Pod Identity.
async fn container(https: &Https, url: &Url, token_file: Option<&Path>) -> Result<Credentials, Why> {
    if !is_own_service(url) {
        let message = "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine or its link";
        return Err(Why::Untrusted(message.to_owned()));
    }
    let mut request = Request::get(url);
    if let Some(file) = token_file {
        request = request.with("authorization", fresh_token(file)?.expose());
    }
    Temporary::read(&https.ask(request).await?, "the container's agent")
}

/// What the instance's metadata service knows, in version 2 alone: version 1 answers whoever can make us ask.
async fn instance(https: &Https, endpoint: Option<&Url>) -> Result<Credentials, Why> {
    let base = endpoint.map_or(METADATA, Url::as_str).trim_end_matches('/').to_owned();
    let at = |path: &str| Url::parse(&format!("{base}/latest/{path}")).map_err(|_| Why::Unreachable(NOBODY.to_owned()));
    let url = at("api/token")?;
    let ask = Request { method: "PUT", ..Request::get(&url) }
        .with("x-aws-ec2-metadata-token-ttl-seconds", METADATA_TOKEN_SECONDS);
    let answer = https.ask(ask).await.map_err(|why| nobody(&why))?;
    if answer.status != 200 {
        return Err(Why::Unreachable(NOBODY.to_owned()));
    }
    let token = Secret::new(String::from_utf8_lossy(answer.body.expose()).trim().to_owned());
    let list = at("meta-data/iam/security-credentials/")?;
    let answer = https.ask(Request::get(&list).with("x-aws-ec2-metadata-token", token.expose())).await?;
    let role = String::from_utf8_lossy(answer.body.expose()).lines().next().unwrap_or_default().trim().to_owned();
    let is_role =
        !role.is_empty() && role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
    if answer.status != 200 || !is_role {
        return Err(Why::Denied("this instance has no role".to_owned()));
    }
    let url = at(&format!("meta-data/iam/security-credentials/{role}"))?;
    let answer = https.ask(Request::get(&url).with("x-aws-ec2-metadata-token", token.expose())).await?;
    Temporary::read(&answer, "the metadata service")
}

/// What becomes of whatever keeps the metadata service from answering: mostly there is none.
fn nobody(why: &Why) -> Why {
    match why {
        Why::Silent(_) => Why::Silent(NOBODY.to_owned()),
        _ => Why::Unreachable(NOBODY.to_owned()),
    }
}

/// When credentials end; without a sound date at once, after their first use.
fn end(text: &str) -> i64 {
    text.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

/// The text of the first XML element of this name.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
}
