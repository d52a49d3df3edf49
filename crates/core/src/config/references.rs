//! The secret settings that managers keep, and how those managers are reached: found before anything else is read.

use std::collections::{BTreeMap, BTreeSet};

use fastcms_secrets::{ManagerSettings, Reference, TransitKey, Wanted};

use super::age;
use super::catalog::{self, Concern, Variable};
use super::fault::Fault;
use super::keys::transit_key;
use super::kind::Kind;
use super::managers::Secrets;
use super::reader::{Reader, reference};
use super::source::{Origin, Sources};

/// What the settings want of managers.
#[derive(Debug, Clone)]
pub struct Managed {
    /// Each reference that leads to a manager.
    pub wanted: BTreeMap<Reference, Wanted>,
    /// Those of them that may lead nowhere: a setting that nobody gave is looked for at `VAULT_SECRET_PATH`.
    pub optional: BTreeSet<Reference>,
    /// The settings that each is for.
    pub names: BTreeMap<Reference, Vec<&'static str>>,
    /// The key of a vault that wraps data keys.
    pub transit: Option<TransitKey>,
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
        let mut read = Reader::new(sources);
        let (mut wanted, mut names) = (BTreeMap::new(), BTreeMap::<Reference, Vec<&'static str>>::new());
        let mut optional = BTreeSet::new();
        for variable in catalog::ALL.iter().filter(|variable| variable.is_secret() && !reaches_managers(variable)) {
            let at_path = read.at_secret_path(variable);
            optional.extend(at_path.clone());
            for found in read.references(variable).into_iter().chain(at_path) {
                let ring = if variable.kind == Kind::Key { Wanted::Ring } else { Wanted::Current };
                let most = wanted.entry(found.clone()).or_insert(ring);
                if ring == Wanted::Ring {
                    *most = ring;
                }
                names.entry(found).or_default().push(variable.name);
            }
        }
        let own_key = [&catalog::AWS_ACCESS_KEY_ID, &catalog::AWS_SECRET_ACCESS_KEY].map(|key| read.secret(key));
        let Secrets { refresh_seconds, boot_timeout_seconds, managers, .. } = Secrets::read(&mut read, own_key);
        // What is asked for by its own reference must be there, whatever else it serves.
        let given = given(&read);
        optional.retain(|reference| !given.contains(reference));
        let transit = transit_key(&mut read);
        Self { wanted, optional, names, transit, managers, refresh_seconds, boot_timeout_seconds }
    }

    /// Whether no manager will be asked for anything. A vault that is set up may be: it may have wrapped data keys.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.managers.vault.is_none()
    }
}

/// Every reference that a setting gives by itself.
fn given(read: &Reader<'_>) -> BTreeSet<Reference> {
    catalog::ALL.iter().filter(|variable| variable.is_secret()).flat_map(|variable| read.references(variable)).collect()
}

/// A secret of the settings as it was found, or not.
#[derive(Debug)]
pub struct Surveyed {
    pub variable: &'static Variable,
    /// Where it comes from; [`Origin::Default`] where it could not be had.
    pub origin: Origin,
    /// The references that it is given by.
    pub references: Vec<Reference>,
    /// What is wrong, as sentences.
    pub faults: Vec<String>,
}

/// Every secret that the settings give, each by itself: what is wrong with one says nothing of another.
pub fn survey(sources: &Sources) -> Vec<Surveyed> {
    let mut read = Reader::new(sources);
    let secrets: Vec<_> = catalog::ALL.iter().copied().filter(|variable| variable.is_secret()).collect();
    for variable in &secrets {
        if variable.kind.is_list() {
            read.secrets(variable);
        } else {
            read.secret(variable);
        }
    }
    let mut all: Vec<Surveyed> = secrets
        .into_iter()
        .map(|variable| Surveyed {
            variable,
            origin: read.origin(variable).cloned().unwrap_or(Origin::Default),
            references: read.references(variable).into_iter().chain(read.at_secret_path(variable)).collect(),
            faults: Vec::new(),
        })
        .collect();
    let circles = circles(&mut read);
    let (_, mut faults, _) = read.finish();
    faults.retain(|fault| circles.iter().all(|circle| circle.variable != fault.variable));
    faults.extend(circles);
    for one in &mut all {
        let is_its = |name: &str| one.variable.names().any(|its| its == name || name == format!("{its}_FILE"));
        // A file that does not open is a matter of what opens it.
        let is_age = one.variable == &catalog::SECRETS_AGE_IDENTITY;
        let is_its = |name: &str| is_its(name) || (is_age && name == catalog::SECRETS_AGE_FILE.name);
        one.faults = faults.iter().filter(|fault| is_its(&fault.variable)).map(|fault| fault.message.clone()).collect();
    }
    all.retain(|one| one.origin != Origin::Default || !one.faults.is_empty());
    all
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
    in_circles.map(|variable| Fault::new(variable.name, message)).chain(age::circle(read)).collect()
}

/// References to managers in a text: of a list one an item.
pub(super) fn managed(text: &str, is_list: bool) -> Vec<Reference> {
    let items: Vec<&str> = if is_list { text.split(',').collect() } else { vec![text] };
    let found = items.into_iter().filter_map(|item| reference(item).ok().flatten());
    found.filter(Reference::is_managed).collect()
}
