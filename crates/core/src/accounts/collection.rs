//! Accounts of auth collections: registering is making a record, signing in is the same as everywhere.

use std::sync::Arc;

use fastcms_expr::RuleKind;
use fastcms_store::Plan;
use fastcms_store::accounts as rows;
use fastcms_store::schema::{Collection, Rule};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::Device;
use super::proof::{Guess, Presented, Proof, Proven, SignIn, prove};
use super::sessions::{realm_text, table_of};
use super::tokens::{Grant, open_session};
use super::users::Registered;
use super::verification::invitation;
use crate::access::{self, Permission, RequestFacts};
use crate::app::App;
use crate::attempts::FLOOR;
use crate::caller::{Caller, Realm};
use crate::error::{Error, FieldErrors, Result};
use crate::mail;
use crate::records;

/// The name of the option that says which field identifies an account.
const IDENTITY_FIELD: &str = "identity_field";

/// An auth collection as a place to sign in to.
#[derive(Debug, Clone)]
pub struct AuthCollection(Arc<Collection>);

impl AuthCollection {
    /// The auth collection of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::WrongCollectionType`] where it holds no accounts.
    pub fn named(app: &App, name: &str) -> Result<Self> {
        let collection = app.schema.load().by_name(name).cloned().ok_or(Error::NotFound)?;
        if collection.is_auth() { Ok(Self(collection)) } else { Err(Error::WrongCollectionType) }
    }

    /// Where its accounts live.
    pub fn realm(&self) -> Realm {
        Realm::Collection(self.0.id().into())
    }

    /// The field that identifies an account at sign-in.
    pub fn identity_field(&self) -> &str {
        self.0.definition().options.get(IDENTITY_FIELD).and_then(Value::as_str).unwrap_or("email")
    }
}

/// Makes an account and signs it in. The collection's create rule decides; the fields are those of its schema that are neither hidden
/// nor the product's own, besides `email`, `password` and `password_confirm`.
pub async fn register(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    name: &str,
    mut data: Map<String, Value>,
    device: &Device,
) -> Result<Registered<Vec<u8>>> {
    let opened = Instant::now();
    let collection = AuthCollection::named(app, name)?;
    if matches!(collection.0.rules().get(RuleKind::Create), Rule::Admins) && !caller.holds(Permission::RecordsWrite) {
        return Err(Error::RegistrationClosed);
    }
    confirm(&collection.0, &mut data)?;
    let realm = collection.realm();
    let to_be_verified = app.settings.now().verification_required;
    let created = match records::create_at_the_door(caller, app, request, name, &data, None).await {
        Ok(created) => created,
        Err(Error::EmailTaken) if to_be_verified => {
            let email = data.get("email").and_then(Value::as_str).unwrap_or_default();
            super::users::tell_taken(caller, app, &realm, email).await?;
            sleep_until(opened + FLOOR).await;
            return Ok(Registered::ToBeVerified);
        }
        Err(Error::AuthenticationRequired) => return Err(Error::Forbidden),
        Err(other) => return Err(other),
    };
    let table = table_of(&app.schema.load(), realm_text(&realm)).ok_or(Error::NotFound)?;
    let id = created.id.clone();
    let credentials = app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_id(reader, &table, &id).await }))
        .await?
        .ok_or(Error::NotFound)?;
    if !credentials.verified {
        mail::enqueue_alone(app, invitation(app, realm_text(&realm), &credentials.id, &credentials.email)).await?;
    }
    if to_be_verified {
        sleep_until(opened + FLOOR).await;
        return Ok(Registered::ToBeVerified);
    }
    let grant = open_session(caller, app, &realm, Proven { credentials, attempt: None }, device).await?;
    let signed_in = super::authenticate(app, &grant.access_token).await?;
    let record = records::own(&signed_in, app).await?;
    Ok(Registered::SignedIn(grant, record))
}

/// Takes the confirmation out and refuses what a stranger may not set.
fn confirm(collection: &Collection, data: &mut Map<String, Value>) -> Result<()> {
    let mut faults = FieldErrors::default();
    if let Some(again) = data.remove("password_confirm")
        && data.get("password") != Some(&again)
    {
        faults.add("password_confirm", "Passwords do not match");
    }
    for name in data.keys() {
        let own = matches!(name.as_str(), "email" | "password");
        if !own && collection.field(name).is_none_or(|field| field.system || field.hidden) {
            faults.add(name.as_str(), "Unknown field");
        }
    }
    faults.into_result()
}

/// Signs an account of the collection in: with a password by its identity field, with a code by its address.
pub async fn sign_in(
    caller: &Caller,
    app: &App,
    collection: &AuthCollection,
    presented: Presented<'_>,
    device: &Device,
) -> Result<SignIn<Grant>> {
    let realm = collection.realm();
    let field = collection.identity_field();
    if field == "email" || matches!(presented.proof, Proof::Code(_)) {
        return super::sign_in(caller, app, &realm, presented, device).await;
    }
    super::sign_in::charge_account(caller, app, &realm, presented.name, device).await?;
    let opened = Instant::now();
    let table = table_of(&app.schema.load(), realm_text(&realm)).ok_or(Error::NotFound)?;
    let column = collection.0.position(field).map(|at| collection.0.column(at).clone());
    let (identity, wanted) = (presented.name.to_owned(), table.clone());
    let found = match column {
        Some(column) => {
            app.store
                .read(Plan::Bounded, move |reader| {
                    Box::pin(async move { rows::by_identity(reader, &wanted, &column, &identity).await })
                })
                .await?
        }
        None => None,
    };
    let guess = Guess { realm: &realm, table: &table, name: presented.name, found, device, opened };
    match prove(caller, app, guess, presented).await? {
        Some(proven) => open_session(caller, app, &realm, proven, device).await.map(SignIn::Done),
        None => Ok(SignIn::SecondFactorWanted),
    }
}

/// The caller's own record, if the caller is an account of this collection.
pub async fn own(caller: &Caller, app: &App, collection: &AuthCollection) -> Result<Vec<u8>> {
    let account = access::require_account(caller)?;
    if account.realm != collection.realm() {
        return Err(Error::InvalidToken);
    }
    records::own(caller, app).await
}
