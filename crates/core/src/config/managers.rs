//! Secret managers: how they are reached and logged in to, in the words of `fastcms_secrets`. Nothing here speaks to one.

use fastcms_secrets::{
    AwsSettings, AzureSettings, Given, ManagerSettings, Reference, Secret, VaultLogin, VaultSettings,
};

use super::age;
use super::catalog::{self, Variable};
use super::reader::Reader;
use super::source::{Origin, Sources};
use super::storage::web_url;

/// Secret managers, and how old secrets may become.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Seconds between two looks at a manager.
    pub refresh_seconds: u32,
    /// Seconds that a start waits for a manager.
    pub boot_timeout_seconds: u32,
    /// Age in days from which a secret is due for rotation; none: by kind, and nothing rotates by itself.
    pub max_age_days: Option<u32>,
    /// How managers are reached.
    pub managers: ManagerSettings,
}

impl Secrets {
    /// `SECRET_MAX_AGE_DAYS`, whatever else is wrong.
    pub fn max_age_days(sources: &Sources) -> Option<u32> {
        Reader::new(sources).whole(&catalog::SECRET_MAX_AGE_DAYS)
    }

    /// Reads everything; the access key of AWS is that of S3, which is read there.
    pub(super) fn read(read: &mut Reader<'_>, own_key: [Option<Secret<String>>; 2]) -> Self {
        // Both were looked into before anything else was read.
        read.path(&catalog::SECRETS_AGE_FILE);
        age::check(read);
        Self {
            refresh_seconds: read.preset_whole(&catalog::SECRETS_REFRESH_SECONDS),
            boot_timeout_seconds: read.preset_whole(&catalog::SECRETS_BOOT_TIMEOUT),
            max_age_days: read.whole(&catalog::SECRET_MAX_AGE_DAYS),
            managers: ManagerSettings { vault: vault(read), aws: aws(read, own_key), azure: azure(read) },
        }
    }
}

/// Vault or `OpenBao`; none where no address, or no way to log in, is given.
fn vault(read: &mut Reader<'_>) -> Option<VaultSettings> {
    let address = read.parsed(&catalog::VAULT_ADDR, web_url);
    let namespace = read.text(&catalog::VAULT_NAMESPACE);
    let authorities = read.path(&catalog::VAULT_CACERT);
    let login_mount = read.text(&catalog::VAULT_AUTH_MOUNT);
    // Where it leads is for whoever looks for a secret there.
    read.parsed(&catalog::VAULT_SECRET_PATH, |place| match Reference::parse(&format!("vault:{place}#NAME")) {
        Ok(Some(_)) => Ok(()),
        _ => Err("is not `mount/path`"),
    });
    let login = login(read);
    let (address, login) = address.zip(login)?;
    Some(VaultSettings { address, namespace, authorities, login, login_mount })
}

/// The first way of logging in that is given.
fn login(read: &mut Reader<'_>) -> Option<VaultLogin> {
    let token = given(read, &catalog::VAULT_TOKEN);
    let role_id = read.text(&catalog::VAULT_ROLE_ID);
    let secret_id = given(read, &catalog::VAULT_SECRET_ID);
    let is_wrapped = read.is_set(&catalog::VAULT_SECRET_ID_WRAPPED);
    let kubernetes_role = read.text(&catalog::VAULT_K8S_ROLE);
    let kubernetes_token_file = read.path(&catalog::VAULT_K8S_TOKEN_FILE).unwrap_or_default();
    let jwt = read.text(&catalog::VAULT_JWT_ROLE).zip(read.path(&catalog::VAULT_JWT_FILE));
    if let Some(token) = token {
        Some(VaultLogin::Token(token))
    } else if let (Some(role_id), Some(secret_id)) = (role_id, secret_id) {
        Some(VaultLogin::AppRole { role_id, secret_id, is_wrapped })
    } else if let Some(role) = kubernetes_role {
        Some(VaultLogin::Kubernetes { role, token_file: kubernetes_token_file })
    } else {
        jwt.map(|(role, token_file)| VaultLogin::Jwt { role, token_file })
    }
}

/// A secret that we log in with. One that comes from a file is read again whenever we do: whoever keeps the file fresh is followed.
fn given(read: &mut Reader<'_>, variable: &'static Variable) -> Option<Given> {
    let text = read.secret(variable)?;
    match read.origin(variable) {
        Some(Origin::File(path)) => Some(Given::File(path.clone())),
        _ => Some(Given::Text(text)),
    }
}

fn aws(read: &mut Reader<'_>, [access_key_id, secret_access_key]: [Option<Secret<String>>; 2]) -> AwsSettings {
    AwsSettings {
        region: read.text(&catalog::AWS_REGION),
        access_key_id,
        secret_access_key,
        session_token: read.secret(&catalog::AWS_SESSION_TOKEN),
        role_arn: read.text(&catalog::AWS_ROLE_ARN),
        web_identity_token_file: read.path(&catalog::AWS_WEB_IDENTITY_TOKEN_FILE),
        container_credentials: read.parsed(&catalog::AWS_CONTAINER_CREDENTIALS_FULL_URI, web_url),
        container_token_file: read.path(&catalog::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE),
        metadata_endpoint: read.parsed(&catalog::AWS_EC2_METADATA_SERVICE_ENDPOINT, web_url),
        secrets_endpoint: read.parsed(&catalog::AWS_ENDPOINT_URL_SECRETS_MANAGER, web_url),
        sts_endpoint: read.parsed(&catalog::AWS_ENDPOINT_URL_STS, web_url),
    }
}

fn azure(read: &mut Reader<'_>) -> AzureSettings {
    AzureSettings {
        tenant_id: read.text(&catalog::AZURE_TENANT_ID),
        client_id: read.text(&catalog::AZURE_CLIENT_ID),
        client_secret: read.secret(&catalog::AZURE_CLIENT_SECRET),
        federated_token_file: read.path(&catalog::AZURE_FEDERATED_TOKEN_FILE),
        authority: read.parsed(&catalog::AZURE_AUTHORITY_HOST, web_url),
        identity_endpoint: read.parsed(&catalog::IDENTITY_ENDPOINT, web_url),
        identity_header: read.secret(&catalog::IDENTITY_HEADER),
        metadata_endpoint: read.parsed(&catalog::AZURE_POD_IDENTITY_AUTHORITY_HOST, web_url),
    }
}
