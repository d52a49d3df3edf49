//! Changing a record.

use fastcms_expr::{Predicate, RuleKind};
use fastcms_secrets::Secret;
use fastcms_store::files::Reach;
use fastcms_store::records::{self as rows, Event, Shape, View};
use fastcms_store::{BoxFuture, Change, ChangeKind, Plan, Tx, accounts};
use serde_json::{Map, Value as Json};

use super::{Door, Failure, MAX_ATTEMPTS, never_settled, password, pointers, settled, write_failure};
use crate::access::{self, Permission, RequestFacts};
use crate::app::App;
use crate::audit::{self, Entry, Event as AuditEvent};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::fields::{self, Draft, Mode, Rights};
use crate::sealing;

/// Changes the record with this id, if the update rule admits it, and answers it as JSON.
pub async fn update(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    id: &str,
    data: &Map<String, Json>,
) -> Result<Vec<u8>> {
    if id.contains('\0') {
        return Err(Error::NotFound);
    }
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?.with_data(data);
        let attempt = attempt(&door, id, data).await;
        if let Some(record) = settled(app, attempt).await? {
            return Ok(record);
        }
    }
    Err(never_settled())
}

async fn attempt(door: &Door<'_>, id: &str, data: &Map<String, Json>) -> Result<Vec<u8>, Failure> {
    let change = prepare(door, id, data).await?;
    audit::write_of(door.caller, door.app, change.event(), move |tx| change.run(tx)).await
}

/// All that a change takes but its transaction. What is wrong with the data waits in it for the decision.
pub(super) async fn prepare(door: &Door<'_>, id: &str, data: &Map<String, Json>) -> Result<Replace, Failure> {
    let access = Access::of(door, RuleKind::Update)?;
    let manage = if door.collection.is_auth() {
        access::rule_on_the_way(&door.facts(), &door.collection, RuleKind::Manage, door.now)
    } else {
        Predicate::False
    };
    // Faults of the data are told to those who may write only, so they wait for the decision.
    if fields::is_dear(&door.collection, data) {
        access.precheck(door, id).await?;
    }
    let cleaned = door.app.cleaning.run(&door.collection, data, door.app.longest_value()).await?;
    let mut draft = fields::check(&door.collection, &cleaned, Mode::Update);
    let mut old_password = None;
    if let Ok(checked) = &mut draft
        && checked.password.is_some()
    {
        // Hashing is dear: nobody has it done for a record that they may not write.
        access.precheck(door, id).await?;
        match password::check_new(door, checked, id).await {
            Ok(old) => {
                old_password = old;
                password::hash(door, checked).await?;
            }
            Err(Failure::Final(error @ Error::PasswordPolicy(_))) => draft = Err(error),
            Err(failure) => return Err(failure),
        }
    }
    if let Ok(checked) = &mut draft {
        sealing::seal_draft(door.app, &door.collection, id, checked)?;
    }
    Ok(Replace {
        id: id.to_owned(),
        now: door.stamp(),
        now_seconds: door.app.now_seconds(),
        view: door.view(),
        access,
        manage,
        is_admin: door.caller.holds(Permission::RecordsWrite),
        reach: access::usable_files(door.caller),
        data: data.clone(),
        draft,
        old_password,
    })
}

/// The two rules that decide a write of a stored record: the verb's own, and the view rule, which says whether a refusal may be told
/// from a record that does not exist.
#[derive(Debug)]
pub(super) struct Access {
    rule: Predicate,
    view: Predicate,
    refusal: Error,
}

impl Access {
    pub(super) fn of(door: &Door<'_>, kind: RuleKind) -> Result<Self> {
        Ok(Self::with(door, door.rule(kind)?))
    }

    /// The same where a missing rule admits nobody instead of refusing the request.
    pub(super) fn on_the_way(door: &Door<'_>, kind: RuleKind) -> Self {
        Self::with(door, access::rule_on_the_way(&door.facts(), &door.collection, kind, door.now))
    }

    fn with(door: &Door<'_>, rule: Predicate) -> Self {
        let view = access::rule_on_the_way(&door.facts(), &door.collection, RuleKind::View, door.now);
        Self { rule, view, refusal: access::refusal(door.caller) }
    }

    /// Decides in the transaction of the write, with the record locked; `manage` is answered along.
    pub(super) async fn decide(
        self,
        tx: &mut Tx<'_>,
        view: &View,
        id: &str,
        manage: &Predicate,
    ) -> Result<Decision, Failure> {
        if self.rule == Predicate::True && self.view.decided().is_some() && manage.decided().is_some() {
            // The write itself finds out whether there is such a record.
            return Ok(Decision { may_view: self.view == Predicate::True, manages: *manage == Predicate::True });
        }
        let answers = rows::decide(tx, view, id, &[&self.rule, &self.view, manage]).await?;
        match answers.as_deref() {
            Some([true, may_view, manages]) => Ok(Decision { may_view: *may_view, manages: *manages }),
            Some([false, true, _]) => Err(self.refusal.into()),
            _ => Err(Error::NotFound.into()),
        }
    }

    /// A look ahead, outside the transaction.
    pub(super) async fn precheck(&self, door: &Door<'_>, id: &str) -> Result<(), Failure> {
        let (view, rule, seen, id) = (door.view(), self.rule.clone(), self.view.clone(), id.to_owned());
        let answers: Result<(bool, bool), Failure> = door
            .read(Plan::Scan, move |reader| {
                Box::pin(async move {
                    let allowed = rows::get(reader, &view, &id, &rule, &[]).await?.is_some();
                    Ok((allowed, allowed || rows::get(reader, &view, &id, &seen, &[]).await?.is_some()))
                })
            })
            .await;
        match answers? {
            (true, _) => Ok(()),
            (false, true) => Err(access::refusal(door.caller).into()),
            (false, false) => Err(Error::NotFound.into()),
        }
    }
}

/// What was found out about a caller whose write is admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    may_view: bool,
    manages: bool,
}

/// A change that is ready to run.
pub(super) struct Replace {
    id: String,
    now: String,
    now_seconds: i64,
    view: View,
    access: Access,
    manage: Predicate,
    is_admin: bool,
    reach: Reach,
    data: Map<String, Json>,
    draft: Result<Draft>,
    old_password: Option<Secret<String>>,
}

impl Replace {
    /// What the audit log says of it. What is in the fields is the record's, not the log's.
    pub(super) fn event(&self) -> Entry {
        let fields: Vec<&str> = self.data.keys().map(String::as_str).collect();
        let event = AuditEvent::RecordUpdated.on("record", self.id.as_str());
        event.with("collection", self.view.collection.name()).with("fields", fields)
    }

    /// Runs it, and answers the record as JSON.
    pub(super) fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<Vec<u8>, Failure>> {
        Box::pin(async move {
            let Self { id, now, now_seconds, mut view, access, manage, is_admin, reach, data, draft, old_password } =
                self;
            let decision = access.decide(tx, &view, &id, &manage).await?;
            let rights = Rights { manages: decision.manages, is_admin };
            let draft = match draft {
                Ok(draft) => draft,
                // To somebody whose right to write was not yet held against a record, an unknown id is unknown first.
                Err(error) => {
                    rows::decide(tx, &view, &id, &[]).await?.ok_or(Error::NotFound)?;
                    return Err(error.into());
                }
            };
            fields::check_rights(&view.collection, &data, Mode::Update, rights)?;
            if !decision.may_view {
                // Whoever may write what they may not see learns what they wrote and nothing else.
                view.shape = Shape::only(&view.collection, |name| data.contains_key(name));
            }
            let collection = &*view.collection;
            pointers::check(tx, &view, &draft, &reach, pointers::Holder::Stored(&id)).await?;
            let dialect = tx.dialect();
            let written = rows::update(tx, &view, &id, &Predicate::True, &draft.sets, &draft.increments, &now).await;
            let written = written.map_err(|error| match (&error, draft.increments.first()) {
                // `PostgreSQL` refuses a sum that no number can hold; elsewhere it shows below.
                (fastcms_store::Error::InvalidValue(_), Some((at, _))) => {
                    Failure::Final(Error::field(collection.fields()[*at].name.as_str(), "Must be a number"))
                }
                _ => write_failure(collection, dialect, error),
            });
            let written = written?.ok_or(Error::NotFound)?;
            if written.version != collection.version() {
                return Err(Failure::Stale);
            }
            for (at, number) in &written.numbers {
                fields::check_number(&collection.fields()[*at], *number)?;
            }
            if collection.is_auth() {
                password::remember(tx, collection.id(), &id, old_password.as_ref(), &now).await?;
                account_changed(tx, &view, &id, &data, now_seconds).await?;
            }
            rows::announce(tx, collection, Event::Updated, &id, &now);
            Ok(written.record)
        })
    }
}

/// A new password, address or role ends the account's sessions, and voids its links in mails.
async fn account_changed(
    tx: &mut Tx<'_>,
    view: &View,
    id: &str,
    data: &Map<String, Json>,
    now: i64,
) -> Result<(), Failure> {
    let realm = view.collection.id();
    if ["password", "email", "role"].iter().any(|key| data.contains_key(*key)) {
        accounts::sessions::revoke(tx, realm, id, accounts::sessions::Which::All, now).await?;
        crate::mail::void_links(tx, realm, id).await?;
    }
    if data.contains_key("password") {
        accounts::devices::forget(tx, realm, id, None).await?;
    }
    tx.announce(Change::new(ChangeKind::Account, id));
    Ok(())
}
