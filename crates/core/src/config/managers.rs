//! Secret managers: how they are reached and logged in to. Nothing here speaks to one.

use std::path::PathBuf;

use fastcms_secrets::Secret;
use url::Url;

use super::catalog;
use super::reader::Reader;
use super::storage::web_url;

/// Secret managers.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Seconds between two looks at a manager.
    pub refresh_seconds: u32,
    /// Seconds that a start waits for a manager.
    pub boot_timeout_seconds: u32,
    /// Age in days from which a secret is due for rotation; none: by kind.
    pub max_age_days: Option<u32>,
    /// File of variables encrypted with age.
    pub age_file: Option<PathBuf>,
    /// Vault or `OpenBao`.
    pub vault: Vault,
    /// AWS Secrets Manager; its access key is that of S3.
    pub aws: Aws,
    /// Azure Key Vault.
    pub azure: Azure,
}

/// Vault or `OpenBao`.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Address of the server; none: not used.
    pub address: Option<Url>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Certificate authority of the server, a PEM file.
    pub ca_certificate: Option<PathBuf>,
    /// Token to log in with.
    pub token: Option<Secret<String>>,
    /// `AppRole` to log in with.
    pub role_id: Option<String>,
    /// Secret of that `AppRole`.
    pub secret_id: Option<Secret<String>>,
    /// Whether that is a wrapping token, behind which the real one lies.
    pub is_secret_id_wrapped: bool,
    /// Kubernetes role to log in with.
    pub kubernetes_role: Option<String>,
    /// File of the token that Kubernetes keeps for the pod.
    pub kubernetes_token_file: PathBuf,
    /// Role to log in with by a token of another authority.
    pub jwt_role: Option<String>,
    /// File of that token.
    pub jwt_file: Option<PathBuf>,
    /// Where the way of logging in is mounted, if not at its usual place.
    pub login_mount: Option<String>,
    /// Path of the secret that holds our variables.
    pub secret_path: Option<String>,
}

/// AWS Secrets Manager.
#[derive(Debug, Clone)]
pub struct Aws {
    /// Region.
    pub region: Option<String>,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret<String>>,
    /// Role taken by web identity.
    pub role_arn: Option<String>,
    /// File with the web identity token.
    pub web_identity_token_file: Option<PathBuf>,
    /// Where the container asks for credentials.
    pub container_credentials: Option<Url>,
    /// File with the token for that.
    pub container_token_file: Option<PathBuf>,
    /// Another address of the instance metadata service.
    pub metadata_endpoint: Option<Url>,
    /// Another endpoint of Secrets Manager.
    pub secrets_endpoint: Option<Url>,
    /// Another endpoint of STS.
    pub sts_endpoint: Option<Url>,
}

/// Azure Key Vault.
#[derive(Debug, Clone)]
pub struct Azure {
    /// Tenant of the identity.
    pub tenant_id: Option<String>,
    /// Its client id.
    pub client_id: Option<String>,
    /// Its client secret.
    pub client_secret: Option<Secret<String>>,
    /// File with the workload identity token.
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

impl Secrets {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            refresh_seconds: read.preset_whole(&catalog::SECRETS_REFRESH_SECONDS),
            boot_timeout_seconds: read.preset_whole(&catalog::SECRETS_BOOT_TIMEOUT),
            max_age_days: read.whole(&catalog::SECRET_MAX_AGE_DAYS),
            age_file: read.path(&catalog::SECRETS_AGE_FILE),
            vault: Vault {
                address: read.parsed(&catalog::VAULT_ADDR, web_url),
                namespace: read.text(&catalog::VAULT_NAMESPACE),
                ca_certificate: read.path(&catalog::VAULT_CACERT),
                token: read.secret(&catalog::VAULT_TOKEN),
                role_id: read.text(&catalog::VAULT_ROLE_ID),
                secret_id: read.secret(&catalog::VAULT_SECRET_ID),
                is_secret_id_wrapped: read.is_set(&catalog::VAULT_SECRET_ID_WRAPPED),
                kubernetes_role: read.text(&catalog::VAULT_K8S_ROLE),
                kubernetes_token_file: read.path(&catalog::VAULT_K8S_TOKEN_FILE).unwrap_or_default(),
                jwt_role: read.text(&catalog::VAULT_JWT_ROLE),
                jwt_file: read.path(&catalog::VAULT_JWT_FILE),
                login_mount: read.text(&catalog::VAULT_AUTH_MOUNT),
                secret_path: read.text(&catalog::VAULT_SECRET_PATH),
            },
            aws: Aws {
                region: read.text(&catalog::AWS_REGION),
                session_token: read.secret(&catalog::AWS_SESSION_TOKEN),
                role_arn: read.text(&catalog::AWS_ROLE_ARN),
                web_identity_token_file: read.path(&catalog::AWS_WEB_IDENTITY_TOKEN_FILE),
                container_credentials: read.parsed(&catalog::AWS_CONTAINER_CREDENTIALS_FULL_URI, web_url),
                container_token_file: read.path(&catalog::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE),
                metadata_endpoint: read.parsed(&catalog::AWS_EC2_METADATA_SERVICE_ENDPOINT, web_url),
                secrets_endpoint: read.parsed(&catalog::AWS_ENDPOINT_URL_SECRETS_MANAGER, web_url),
                sts_endpoint: read.parsed(&catalog::AWS_ENDPOINT_URL_STS, web_url),
            },
            azure: Azure {
                tenant_id: read.text(&catalog::AZURE_TENANT_ID),
                client_id: read.text(&catalog::AZURE_CLIENT_ID),
                client_secret: read.secret(&catalog::AZURE_CLIENT_SECRET),
                federated_token_file: read.path(&catalog::AZURE_FEDERATED_TOKEN_FILE),
                authority: read.parsed(&catalog::AZURE_AUTHORITY_HOST, web_url),
                identity_endpoint: read.parsed(&catalog::IDENTITY_ENDPOINT, web_url),
                identity_header: read.secret(&catalog::IDENTITY_HEADER),
                metadata_endpoint: read.parsed(&catalog::AZURE_POD_IDENTITY_AUTHORITY_HOST, web_url),
            },
        }
    }
}
