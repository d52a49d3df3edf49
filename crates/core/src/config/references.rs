//! The secret settings that managers keep, and how those managers are reached: found before anything else is read.

use std::collections::BTreeMap;

use fastcms_secrets::{
    AwsSettings, AzureSettings, Given, ManagerSettings, Reference, Secret, VaultLogin, VaultSettings, Wanted,
};

use super::catalog::{self, Concern, Variable};
use super::fault::Fault;
use super::kind::Kind;
use super::managers::Secrets;
use super::reader::{Reader, reference};
use super::source::{Lookup, Origin, Sources};

/// What the settings want of managers.
#[derive(Debug, Clone)]
pub struct Managed {
    /// Each reference that leads to a manager.
    pub wanted: BTreeMap<Reference, Wanted>,
    /// The settings that each is for.
    pub names: BTreeMap<Reference, Vec<&'static str>>,
    /// How managers are reached.
    pub managers: ManagerSettings,
    /// Seconds between two looks at a manager.
    pub refresh_seconds: u32,
    /// Seconds that a start waits for a manager.
    pub boot_timeout_seconds: u32,
}

impl Managed {
    /// Looks for references; what is wrong with anything else is for [`Config::load`](super::Config::load) to say.
    pub fn find(sources: &Sources) -> Self {
        let mut read = Reader::new(sources, Lookup::collect(sources));
        let (mut wanted, mut names) = (BTreeMap::new(), BTreeMap::<Reference, Vec<&'static str>>::new());
        for variable in catalog::ALL.iter().filter(|variable| variable.is_secret() && !reaches_managers(variable)) {
            for found in read.references(variable) {
                let ring = if variable.kind == Kind::Key { Wanted::Ring } else { Wanted::Current };
                let most = wanted.entry(found.clone()).or_insert(ring);
                if ring == Wanted::Ring {
                    *most = ring;
                }
                names.entry(found).or_default().push(variable.name);
            }
        }
        let settings = Secrets::read(&mut read);
        let own_key = [&catalog::AWS_ACCESS_KEY_ID, &catalog::AWS_SECRET_ACCESS_KEY].map(|key| read.secret(key));
        let managers = managers(&read, &settings, own_key);
        let Secrets { refresh_seconds, boot_timeout_seconds, .. } = settings;
        Self { wanted, names, managers, refresh_seconds, boot_timeout_seconds }
    }
}

/// Whether it takes this variable to reach a manager: such a one cannot be kept by a manager.
pub(super) fn reaches_managers(variable: &Variable) -> bool {
    variable.concern == Concern::Managers
}

/// A fault of each variable that reaches managers and is to come from one.
pub(super) fn circles(read: &mut Reader<'_>) -> Vec<Fault> {
    let own = catalog::ALL.iter().filter(|variable| variable.is_secret() && reaches_managers(variable));
    let in_circles = own.filter(|variable| !read.references(variable).is_empty());
    let message = "takes us to a manager, so no manager can keep it: give it by the environment, or by a file";
    in_circles.map(|variable| Fault::new(variable.name, message)).collect()
}

fn managers(read: &Reader<'_>, settings: &Secrets, own_key: [Option<Secret<String>>; 2]) -> ManagerSettings {
    let vault = &settings.vault;
    // A secret that comes from a file is read again whenever we log in: whoever keeps the file fresh is followed.
    let given = |variable: &Variable, text: &Option<Secret<String>>| {
        let file = read.origin(variable).and_then(|origin| match origin {
            Origin::File(path) => Some(Given::File(path.clone())),
            _ => None,
        });
        file.or_else(|| text.clone().map(Given::Text))
    };
    let secret_id = given(&catalog::VAULT_SECRET_ID, &vault.secret_id);
    let login = if let Some(token) = given(&catalog::VAULT_TOKEN, &vault.token) {
        Some(VaultLogin::Token(token))
    } else if let (Some(role_id), Some(secret_id)) = (vault.role_id.clone(), secret_id) {
        Some(VaultLogin::AppRole { role_id, secret_id, is_wrapped: vault.is_secret_id_wrapped })
    } else if let Some(role) = vault.kubernetes_role.clone() {
        Some(VaultLogin::Kubernetes { role, token_file: vault.kubernetes_token_file.clone() })
    } else {
        let jwt = vault.jwt_role.clone().zip(vault.jwt_file.clone());
        jwt.map(|(role, token_file)| VaultLogin::Jwt { role, token_file })
    };
    let vault = vault.address.clone().zip(login).map(|(address, login)| VaultSettings {
        address,
        namespace: vault.namespace.clone(),
        authorities: vault.ca_certificate.clone(),
        login,
        login_mount: vault.login_mount.clone(),
    });
    let (aws, azure, [access_key_id, secret_access_key]) = (settings.aws.clone(), settings.azure.clone(), own_key);
    ManagerSettings {
        vault,
        aws: AwsSettings {
            region: aws.region,
            access_key_id,
            secret_access_key,
            session_token: aws.session_token,
            role_arn: aws.role_arn,
            web_identity_token_file: aws.web_identity_token_file,
            container_credentials: aws.container_credentials,
            container_token_file: aws.container_token_file,
            metadata_endpoint: aws.metadata_endpoint,
            secrets_endpoint: aws.secrets_endpoint,
            sts_endpoint: aws.sts_endpoint,
        },
        azure: AzureSettings {
            tenant_id: azure.tenant_id,
            client_id: azure.client_id,
            client_secret: azure.client_secret,
            federated_token_file: azure.federated_token_file,
            authority: azure.authority,
            identity_endpoint: azure.identity_endpoint,
            identity_header: azure.identity_header,
            metadata_endpoint: azure.metadata_endpoint,
        },
    }
}

/// References to managers in a text: of a list one an item.
pub(super) fn managed(text: &str, is_list: bool) -> Vec<Reference> {
    let items: Vec<&str> = if is_list { text.split(',').collect() } else { vec![text] };
    let found = items.into_iter().filter_map(|item| reference(item).ok().flatten());
    found.filter(Reference::is_managed).collect()
}
