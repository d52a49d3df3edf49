//! AWS Secrets Manager: `GetSecretValue`, and what it takes to put another in its place (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/>).

mod credentials;
mod signature;

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::Secret;
use crate::document::{Content, Document, SecretText};
use crate::https::{Answer, Https, Request, code};
use crate::replacement::Unwritten;
use crate::resolution::Version;
use crate::unresolved::Why;
use credentials::Wallet;

/// How AWS is reached and who we are to it. Credentials are looked for in this order: the access key, web identity, container,
/// instance metadata.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    /// The region; of a secret given by its ARN, that of the ARN.
    pub region: Option<String>,
    /// Access key.
    pub access_key_id: Option<Secret<String>>,
    /// Its secret.
    pub secret_access_key: Option<Secret<String>>,
    /// Session token, of temporary ones.
    pub session_token: Option<Secret<String>>,
    /// Role taken by web identity.
    pub role_arn: Option<String>,
    /// File of the web identity token.
    pub web_identity_token_file: Option<PathBuf>,
    /// Where the container asks for credentials.
    pub container_credentials: Option<Url>,
    /// File of the token for that.
    pub container_token_file: Option<PathBuf>,
    /// Another address of the instance metadata service.
    pub metadata_endpoint: Option<Url>,
    /// Another endpoint of Secrets Manager.
    pub secrets_endpoint: Option<Url>,
    /// Another endpoint of STS.
    pub sts_endpoint: Option<Url>,
}

/// The stage that is in force.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// The stage before it.
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
/// The stage to come.
pub(crate) const PENDING: &str = "AWSPENDING";

/// Secrets Manager.
pub(crate) struct Aws {
    https: Https,
    settings: AwsSettings,
    wallet: Wallet,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<SecretText>,
    version_id: String,
    created_date: Option<f64>,
}

impl Aws {
    pub fn new(settings: AwsSettings) -> Result<Self, Why> {
        Ok(Self { https: Https::new(None)?, wallet: Wallet::default(), settings })
    }

    /// The version at a stage.
    pub async fn read(&self, id: &str, stage: &str) -> Result<Document, Why> {
        let answer = self.call(id, "GetSecretValue", json!({"SecretId": id, "VersionStage": stage})).await?;
        if answer.status != 200 {
            return Err(meaning(&answer, stage));
        }
        let value: SecretValue = answer.json()?;
        let Some(SecretText(text)) = value.secret_string else {
            return Err(Why::Unusable("it is binary, keep it as text".to_owned()));
        };
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit by far")]
        let created = value.created_date.map(|seconds| seconds as i64);
        Ok(Document { content: Content::Text(text), label: value.version_id, created })
    }

    /// Puts another value in the place of the version in force: written at `AWSPENDING` under this token, looked at there, then promoted
    /// from just the version that was in force. One that somebody staged already is promoted as it is.
    pub async fn replace(
        &self,
        (id, field): (&str, Option<&str>),
        was: &Version,
        staged: Option<&Version>,
        (fresh, token): (&Secret<String>, &str),
    ) -> Result<(), Unwritten> {
        let label = match staged {
            Some(staged) => staged.label.clone(),
            None => self.stage(id, field, was, (fresh, token)).await?,
        };
        let found = self.read(id, PENDING).await?;
        if found.label != label || found.version(field)?.value.expose() != fresh.expose() {
            return Err(Unwritten::Conflict);
        }
        let promotion = json!({"SecretId": id, "VersionStage": CURRENT, "MoveToVersionId": label, "RemoveFromVersionId": was.label});
        written(&self.call(id, "UpdateSecretVersionStage", promotion).await?)?;
        // The label that is left over says nothing of a version that is in force.
        let settled = json!({"SecretId": id, "VersionStage": PENDING, "RemoveFromVersionId": label});
        let _ = self.call(id, "UpdateSecretVersionStage", settled).await;
        Ok(())
    }

    /// Writes a new version at `AWSPENDING`; what AWS calls it.
    async fn stage(
        &self,
        id: &str,
        field: Option<&str>,
        was: &Version,
        (fresh, token): (&Secret<String>, &str),
    ) -> Result<String, Unwritten> {
        let current = self.read(id, CURRENT).await?;
        if current.label != was.label {
            return Err(Unwritten::Conflict);
        }
        let text = with_field(&current, field, fresh)?;
        let body = json!({
            "SecretId": id, "ClientRequestToken": token, "SecretString": text.expose(), "VersionStages": [PENDING],
        });
        written(&self.call(id, "PutSecretValue", body).await?)?;
        Ok(token.to_owned())
    }

    async fn call(&self, id: &str, operation: &str, body: Value) -> Result<Answer, Why> {
        let region = arn_region(id).or(self.settings.region.as_deref());
        let region = region.ok_or_else(|| Why::NotConfigured("the region is not known, set AWS_REGION".to_owned()))?;
        let (url, body) = (self.endpoint(region)?, Secret::new(body.to_string().into_bytes()));
        let answer = self.ask(&url, region, operation, &body).await?;
        if answer.status != 200 && is_expired(&refusal(&answer)) && self.wallet.forget().await {
            return self.ask(&url, region, operation, &body).await;
        }
        Ok(answer)
    }

    async fn ask(&self, url: &Url, region: &str, operation: &str, body: &Secret<Vec<u8>>) -> Result<Answer, Why> {
        let credentials = self.wallet.credentials(&self.https, &self.settings, region).await?;
        let request = Request::post(url, "application/x-amz-json-1.1", body.expose().clone())
            .with("x-amz-target", format!("secretsmanager.{operation}"));
        let signed = signature::sign(request, &credentials, region, "secretsmanager", jiff::Timestamp::now());
        self.https.ask(signed).await
    }

    fn endpoint(&self, region: &str) -> Result<Url, Why> {
        if let Some(endpoint) = &self.settings.secrets_endpoint {
            return Ok(endpoint.clone());
        }
        regional("secretsmanager", region)
    }
}

/// The public endpoint of a service in a region.
fn regional(service: &str, region: &str) -> Result<Url, Why> {
    let is_region = region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = is_region.then(|| Url::parse(&format!("https://{service}.{region}.{domain}/")).ok()).flatten();
    url.ok_or_else(|| Why::NotConfigured("AWS_REGION is no name of a region".to_owned()))
}

fn arn_region(id: &str) -> Option<&str> {
    let mut parts = id.split(':');
    (parts.next()? == "arn").then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

/// The code of a refusal, in JSON or in XML.
fn refusal(answer: &Answer) -> String {
    let body = answer.body.expose();
    let named = serde_json::from_slice::<Value>(body).ok();
    let named = named
        .as_ref()
        .and_then(|body| body.get("__type")?.as_str())
        .map(|name| name.rsplit('#').next().unwrap_or(name));
    let text = String::from_utf8_lossy(body);
    named.or_else(|| credentials::element(&text, "Code")).and_then(code).unwrap_or("UnknownError").to_owned()
}

fn is_expired(refusal: &str) -> bool {
    matches!(refusal, "ExpiredTokenException" | "ExpiredToken" | "RequestExpired")
}

fn meaning(answer: &Answer, stage: &str) -> Why {
    let refusal = refusal(answer);
    match refusal.as_str() {
        "ResourceNotFoundException" => Why::NotFound(format!("no such secret, or no version of it at {stage}")),
        "InvalidRequestException" => Why::NotFound("the secret is being deleted".to_owned()),
        "ThrottlingException" | "LimitExceededException" => Why::Unreachable(refusal),
        _ if answer.status >= 500 || answer.status == 429 => Why::Unreachable(format!("AWS answers {refusal}")),
        _ => Why::Denied(format!("AWS answers {refusal}")),
    }
}

/// The text of a secret in which one member, or all of it, is another value.
fn with_field(current: &Document, field: Option<&str>, fresh: &Secret<String>) -> Result<Secret<String>, Why> {
    let (Content::Text(text), Some(field)) = (&current.content, field) else { return Ok(fresh.clone()) };
    let mut members: Map<String, Value> = serde_json::from_str(text.expose())
        .map_err(|_| Why::Unusable(format!("it is no JSON object, so it has no field `{field}`")))?;
    members.insert(field.to_owned(), fresh.expose().clone().into());
    Ok(Secret::new(Value::Object(members).to_string()))
}

/// What AWS says to a write.
fn written(answer: &Answer) -> Result<(), Unwritten> {
    if answer.status == 200 {
        return Ok(());
    }
    let grant = "`secretsmanager:PutSecretValue` and `secretsmanager:UpdateSecretVersionStage` on this secret";
    match refusal(answer).as_str() {
        // The label that was to be moved is at another version, or the version is another's.
        "InvalidParameterException" | "ResourceExistsException" => Err(Unwritten::Conflict),
        "AccessDeniedException" | "AccessDenied" => Err(Unwritten::Denied(grant.to_owned())),
        _ => Err(meaning(answer, CURRENT).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_changes_and_every_other_stays_as_it_is() {
        let document = |text: &str| Document {
            content: Content::Text(Secret::new(text.to_owned())),
            label: String::new(),
            created: None,
        };
        let fresh = Secret::new("new \"one\"".to_owned());
        let written = with_field(&document(r#"{"b":[1,{"x":null}],"k":"old","a":1.5}"#), Some("k"), &fresh).unwrap();
        let read: Value = serde_json::from_str(written.expose()).unwrap();
        assert_eq!(read, json!({"b": [1, {"x": null}], "k": "new \"one\"", "a": 1.5}));
        assert_eq!(with_field(&document("old"), None, &fresh).unwrap().expose(), fresh.expose());
        assert!(with_field(&document("old"), Some("k"), &fresh).is_err());
    }

    #[test]
    fn the_region_of_an_arn_is_where_it_is_asked_for() {
        assert_eq!(arn_region("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b-AbCdEf"), Some("eu-west-1"));
        assert_eq!(arn_region("fastcms/prod"), None);
        assert_eq!(regional("sts", "cn-north-1").unwrap().as_str(), "https://sts.cn-north-1.amazonaws.com.cn/");
        assert!(regional("sts", "evil.example/").is_err());
    }
}
