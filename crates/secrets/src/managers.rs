//! Managers of secrets: one question for all of them, asked of whichever a reference leads to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::{self, Aws, AwsSettings};
use crate::azure::{Azure, AzureSettings};
use crate::document::Document;
use crate::replacement::Unwritten;
use crate::resolution::{Resolution, Version};
use crate::transit::{TransitFault, TransitKey, TransitWhy, TransitWrapped};
use crate::unresolved::{Unresolved, Why};
use crate::vault::{Vault, VaultSettings};
use crate::{Reference, Secret};

/// How many earlier versions are looked through for the secret before the one in force: a version of Vault may differ in another field.
const LOOK_BACK: usize = 8;
/// What a transit key is tried with: no secret.
const TRIAL: &[u8] = b"fastcms/v1/trial";

/// How managers are reached.
#[derive(Debug, Clone, Default)]
pub struct ManagerSettings {
    /// Vault or `OpenBao`; none: not used.
    pub vault: Option<VaultSettings>,
    /// AWS Secrets Manager.
    pub aws: AwsSettings,
    /// Azure Key Vault.
    pub azure: AzureSettings,
}

/// What is wanted of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The version in force.
    Current,
    /// The versions before and after it too: what a rotation of keys needs.
    Ring,
}

/// The managers that references lead to.
pub struct Managers {
    vault: Option<Result<Vault, Why>>,
    aws: Option<Result<Aws, Why>>,
    azure: Option<Result<Azure, Why>>,
}

/// What was read in one round: several fields of one secret are one question.
#[derive(Default)]
struct Round {
    documents: BTreeMap<(Place, String), Result<Arc<Document>, Why>>,
    /// Managers that said nothing: each is waited for once a round, however many secrets it keeps.
    silent: BTreeMap<Host, Why>,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Vault,
    Aws,
    Azure(String),
}

impl Host {
    fn of(reference: &Reference) -> Option<Self> {
        match reference {
            Reference::Vault { .. } => Some(Self::Vault),
            Reference::Aws { .. } => Some(Self::Aws),
            Reference::Azure { vault, .. } => Some(Self::Azure(vault.clone())),
            Reference::Environment(_) | Reference::File(_) | Reference::Age { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Vault(String, String),
    Aws(String),
}

impl Managers {
    /// Gets ready to ask those managers that these references lead to, and a vault that is set up: it may have wrapped something for us.
    pub fn new<'r>(settings: ManagerSettings, references: impl IntoIterator<Item = &'r Reference>) -> Self {
        let ManagerSettings { vault, aws, azure } = settings;
        let mut managers = Self { vault: vault.map(Vault::new), aws: None, azure: None };
        for reference in references {
            match reference {
                Reference::Aws { .. } if managers.aws.is_none() => managers.aws = Some(Aws::new(aws.clone())),
                Reference::Azure { .. } if managers.azure.is_none() => managers.azure = Some(Azure::new(azure.clone())),
                _ => {}
            }
        }
        managers
    }

    /// Follows references, all of them whatever becomes of each. What is held of one spares questions about versions that are known.
    pub async fn follow(
        &self,
        wanted: &BTreeMap<Reference, Wanted>,
        held: &BTreeMap<Reference, Resolution>,
    ) -> BTreeMap<Reference, Result<Resolution, Unresolved>> {
        let (mut round, mut found) = (Round::default(), BTreeMap::new());
        for (reference, wanted) in wanted {
            let host = Host::of(reference);
            let silence = host.as_ref().and_then(|host| round.silent.get(host)).cloned();
            let resolution = match silence {
                Some(why) => Err(why),
                None => self.follow_one(&mut round, reference, *wanted, held.get(reference)).await,
            };
            if let (Some(host), Err(why @ Why::Silent(_))) = (host, &resolution) {
                round.silent.insert(host, why.clone());
            }
            found.insert(reference.clone(), resolution.map_err(|why| why.of(reference)));
        }
        found
    }

    /// Puts another value in the place of the version in force, provided that is still the one in `was`; reads back what is there then.
    /// Where a version is staged, `fresh` must be that one. The token names the new version where the manager lets us name it.
    ///
    /// # Errors
    /// [`Unwritten::Conflict`] where somebody else was first; what they wrote is left as it is.
    pub async fn replace(
        &self,
        reference: &Reference,
        was: &Resolution,
        (fresh, token): (&Secret<String>, &str),
    ) -> Result<Resolution, Unwritten> {
        if reference.is_pinned() {
            return Err(Unwritten::Pinned);
        }
        match reference {
            Reference::Vault { mount, path, field, .. } => {
                let newest = was.current.label.parse().map_err(|_| Unwritten::Conflict)?;
                self.vault()?.replace((mount, path, field), newest, fresh).await?;
            }
            Reference::Aws { id, field, .. } => {
                let place = (id.as_str(), field.as_deref());
                self.aws()?.replace(place, &was.current, was.next.as_ref(), (fresh, token)).await?;
            }
            Reference::Azure { vault, name, .. } => {
                self.azure()?.replace((vault, name), &was.current.label, fresh).await?;
            }
            Reference::Environment(_) | Reference::File(_) | Reference::Age { .. } => return Err(elsewhere().into()),
        }
        let found = self.follow_one(&mut Round::default(), reference, Wanted::Ring, None).await?;
        if found.current.value.expose() == fresh.expose() { Ok(found) } else { Err(Unwritten::Conflict) }
    }

    /// Tries a key: whether it is there, and we may wrap and unwrap with it. What is answered is good for [`Managers::try_again`] and names
    /// the newest version.
    ///
    /// # Errors
    /// What is wrong with the key, or with us.
    pub async fn try_transit_key(&self, key: &TransitKey) -> Result<TransitWrapped, TransitFault> {
        let tried = async {
            let vault = self.transit()?;
            vault.find(key).await?;
            vault.wrap(key, TRIAL, TRIAL).await
        };
        tried.await.map_err(|why| key.fault(why))
    }

    /// The same of a key that was tried before, with one question.
    ///
    /// # Errors
    /// What is wrong with the key, or with us.
    pub async fn try_again(&self, key: &TransitKey, tried: &TransitWrapped) -> Result<(), TransitFault> {
        self.unwrap(key, tried, TRIAL).await.map(drop)
    }

    /// Has a key wrap a secret, bound to a place. What is answered was unwrapped again, and does not unwrap for another place: who keeps it
    /// may forget the secret.
    ///
    /// # Errors
    /// What is wrong with the key, or with us.
    pub async fn wrap(
        &self,
        key: &TransitKey,
        secret: &Secret<Vec<u8>>,
        bound: &[u8],
    ) -> Result<TransitWrapped, TransitFault> {
        let wrap = async {
            let vault = self.transit()?;
            vault.find(key).await?;
            let wrapped = vault.wrap(key, secret.expose(), bound).await?;
            match vault.unwrap(key, &wrapped, &[bound, b"elsewhere"].concat()).await {
                Err(TransitWhy::Refused) => {}
                Err(why) => return Err(why),
                Ok(_) => {
                    return Err(TransitWhy::Unusable("this vault binds nothing to a place, it is too old".to_owned()));
                }
            }
            let back = vault.unwrap(key, &wrapped, bound).await?;
            let is_whole = back.expose() == secret.expose();
            is_whole
                .then_some(wrapped)
                .ok_or_else(|| TransitWhy::Unusable("it unwraps another secret than it wrapped".to_owned()))
        };
        wrap.await.map_err(|why| key.fault(why))
    }

    /// Has a key unwrap what it wrapped for the same place.
    ///
    /// # Errors
    /// What is wrong with the key, with what it wrapped, or with us.
    pub async fn unwrap(
        &self,
        key: &TransitKey,
        wrapped: &TransitWrapped,
        bound: &[u8],
    ) -> Result<Secret<Vec<u8>>, TransitFault> {
        let unwrap = async { self.transit()?.unwrap(key, wrapped, bound).await };
        unwrap.await.map_err(|why| key.fault(why))
    }

    fn transit(&self) -> Result<&Vault, TransitWhy> {
        self.vault().map_err(TransitWhy::Away)
    }

    fn vault(&self) -> Result<&Vault, Why> {
        ready(self.vault.as_ref(), "VAULT_ADDR and a way to log in are not set")
    }

    fn aws(&self) -> Result<&Aws, Why> {
        ready(self.aws.as_ref(), "AWS is not set up")
    }

    fn azure(&self) -> Result<&Azure, Why> {
        ready(self.azure.as_ref(), "Azure is not set up")
    }

    /// Does what is due without being asked: tokens are renewed. Answers when to come again, if ever.
    pub async fn keep(&self) -> Option<Duration> {
        match &self.vault {
            Some(Ok(vault)) => vault.keep().await,
            _ => None,
        }
    }

    async fn follow_one(
        &self,
        round: &mut Round,
        reference: &Reference,
        wanted: Wanted,
        held: Option<&Resolution>,
    ) -> Result<Resolution, Why> {
        let is_ring = wanted == Wanted::Ring && !reference.is_pinned();
        match reference {
            Reference::Vault { .. } => in_vault(self.vault()?, round, reference, is_ring, held).await,
            Reference::Aws { id, field, stage } => {
                in_aws(self.aws()?, round, (id, field.as_deref(), stage.as_deref()), is_ring).await
            }
            Reference::Azure { vault, name, version: Some(version) } => {
                Ok(Resolution::only(self.azure()?.read(vault, name, version).await?.version(None)?))
            }
            Reference::Azure { vault, name, version: None } => {
                in_azure(self.azure()?, (vault, name), is_ring, held).await
            }
            Reference::Environment(_) | Reference::File(_) | Reference::Age { .. } => Err(elsewhere()),
        }
    }
}

async fn in_vault(
    vault: &Vault,
    round: &mut Round,
    reference: &Reference,
    is_ring: bool,
    held: Option<&Resolution>,
) -> Result<Resolution, Why> {
    let Reference::Vault { mount, path, field, version } = reference else {
        return Err(Why::NotConfigured("it is in no vault".to_owned()));
    };
    let place = Place::Vault(mount.clone(), path.clone());
    let read = |version: Option<u32>| vault.read(mount, path, version);
    let label = version.map_or_else(String::new, |version| version.to_string());
    let current = round.document(&place, &label, || read(*version)).await?.version(Some(field))?;
    if let Some(held) = unchanged(held, &current) {
        return Ok(held);
    }
    let newest: u32 = if is_ring { current.label.parse().unwrap_or(1) } else { 1 };
    let mut found = Resolution::only(current);
    for version in (1..newest).rev().take(LOOK_BACK) {
        let document = round.document(&place, &version.to_string(), || read(Some(version))).await;
        let Some(earlier) = there(document.and_then(|document| document.version(Some(field))))? else { break };
        if !earlier.is_same_secret(&found.current) {
            found.previous = Some(earlier);
            break;
        }
    }
    Ok(found)
}

async fn in_aws(
    aws: &Aws,
    round: &mut Round,
    (id, field, stage): (&str, Option<&str>, Option<&str>),
    is_ring: bool,
) -> Result<Resolution, Why> {
    let place = Place::Aws(id.to_owned());
    let stage = stage.unwrap_or(aws::CURRENT);
    let current = round.document(&place, stage, || aws.read(id, stage)).await?.version(field)?;
    let mut found = Resolution::only(current);
    if is_ring {
        // Stages move without the version in force changing, so they are asked for each time.
        for (stage, beside) in [(aws::PREVIOUS, &mut found.previous), (aws::PENDING, &mut found.next)] {
            let document = round.document(&place, stage, || aws.read(id, stage)).await;
            let version = there(document.and_then(|document| document.version(field)))?;
            *beside = version.filter(|version| !version.is_same_secret(&found.current));
        }
    }
    Ok(found)
}

async fn in_azure(
    azure: &Azure,
    (vault, name): (&str, &str),
    is_ring: bool,
    held: Option<&Resolution>,
) -> Result<Resolution, Why> {
    let listed = azure.versions(vault, name).await?;
    let mut versions = listed.iter().map(|listed| listed.version.as_str());
    let newest = versions.next().unwrap_or_default();
    let earlier = versions.next().filter(|_| is_ring);
    let is_known = |held: &&Resolution| {
        let known = held.previous.as_ref().map(|earlier| earlier.label.as_str());
        held.current.label == newest && (known == earlier || known.is_none())
    };
    if let Some(held) = held.filter(is_known) {
        return Ok(held.clone());
    }
    let mut found = Resolution::only(azure.read(vault, name, newest).await?.version(None)?);
    if let Some(earlier) = earlier {
        let earlier = there(azure.read(vault, name, earlier).await.and_then(|document| document.version(None)))?;
        found.previous = earlier.filter(|earlier| !earlier.is_same_secret(&found.current));
    }
    Ok(found)
}

/// A version beside the one in force: one that was deleted, or never was, is none; that it may not be read is a fault.
fn there(version: Result<Version, Why>) -> Result<Option<Version>, Why> {
    match version {
        Ok(version) => Ok(Some(version)),
        Err(Why::NotFound(_) | Why::Unusable(_)) => Ok(None),
        Err(why) => Err(why),
    }
}

/// What is held, if the version in force is still the one in it.
fn unchanged(held: Option<&Resolution>, current: &Version) -> Option<Resolution> {
    held.filter(|held| held.current.label == current.label && held.current.is_same_secret(current)).cloned()
}

fn elsewhere() -> Why {
    Why::NotConfigured("it is followed on this machine, by no manager".to_owned())
}

fn ready<'m, M>(manager: Option<&'m Result<M, Why>>, missing: &str) -> Result<&'m M, Why> {
    match manager {
        Some(Ok(manager)) => Ok(manager),
        Some(Err(why)) => Err(why.clone()),
        None => Err(Why::NotConfigured(missing.to_owned())),
    }
}

impl Round {
    /// A document, asked for once a round.
    async fn document<F>(&mut self, place: &Place, version: &str, ask: impl FnOnce() -> F) -> Result<Arc<Document>, Why>
    where
        F: Future<Output = Result<Document, Why>>,
    {
        match self.documents.entry((place.clone(), version.to_owned())) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(ask().await.map(Arc::new)).clone(),
        }
    }
}
