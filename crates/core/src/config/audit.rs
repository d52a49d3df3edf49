//! Where the audit log goes besides the database, and how long it stays there.

use std::path::PathBuf;

use fastcms_secrets::Secret;
use url::Url;

use super::catalog;
use super::reader::Reader;
use super::source::Sources;
use super::storage::web_url;

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    /// File that every event is appended to.
    pub file: Option<PathBuf>,
    /// Address that every event is posted to, well-formed; a token may stand in its path or query.
    pub webhook: Option<Secret<String>>,
    /// What those requests are signed with.
    pub webhook_secret: Option<Secret<String>>,
    /// How long segments are kept, days.
    pub retention_days: u32,
}

impl Audit {
    /// Reads where the log goes anew; `None` where something of it is faulty, or may stand in a source that could not be read.
    pub fn reread(sources: &Sources) -> Option<Self> {
        let mut read = Reader::new(sources);
        let audit = Self::read(&mut read);
        let is_whole = read.is_whole();
        let (_, faults, _) = read.finish();
        (is_whole && faults.iter().all(|fault| !fault.variable.starts_with("AUDIT_"))).then_some(audit)
    }

    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            file: read.path(&catalog::AUDIT_FILE),
            webhook: read.parsed(&catalog::AUDIT_WEBHOOK_URL, |text| {
                // A fault must not repeat the text: a token may stand in it.
                let wrong = "is no http or https address without a user name";
                web_url(text).map(|url| Secret::new(url.into())).map_err(|_| wrong)
            }),
            webhook_secret: read.secret(&catalog::AUDIT_WEBHOOK_SECRET),
            retention_days: read.preset_whole(&catalog::AUDIT_RETENTION_DAYS),
        }
    }

    /// The address that every event is posted to.
    pub fn webhook_url(&self) -> Option<Url> {
        self.webhook.as_ref().map(|text| Url::parse(text.expose()).expect("it was read as a URL"))
    }
}
