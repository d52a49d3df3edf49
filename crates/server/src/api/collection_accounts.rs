//! `/api/v1/collections/{name}/auth`: accounts of auth collections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use fastcms_core::accounts::{self, AuthCollection, Grant, Proof, Registered, SignIn};
use fastcms_core::{Account, App, Caller, FieldErrors};
use fastcms_secrets::Secret;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::account::{SessionsBody, TokenBody, device, remembering, sessions_schema, token_schema};
use super::auth::{
    AllButThis, ChangePassword, CodeRequest, Entry, Logout, RefreshToken, confirmed, message_schema, signed_out,
    to_be_verified, to_its_end,
};
use super::{Operation, delete, get, post};
use crate::error::{Answer, Refusal};
use crate::extract::{
    Anyone, Client, Facts, Form, Id, Json, JsonBytes, NoContent, Path, Place, Query, Recent, SignedIn,
};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let record = json!({"type": "object", "description": "The record of the account, without hidden fields"});
    let auth = json!({"type": "object", "required": ["user", "token"], "properties": {"user": record, "token": token_schema()}});
    let auth_again = auth.clone();
    vec![
        post("/api/v1/collections/{collection}/auth/register", register)
            .summary("Make an account in an auth collection and sign in; the create rule decides")
            .answers(201, "The record and its tokens", auth.clone())
            .answers(
                202,
                "Where addresses have to be verified: a mail was sent, whoever has the address",
                message_schema(),
            )
            .refuses(400, "wrong_collection_type")
            .refuses(403, "registration_closed, forbidden")
            .refuses(409, "email_taken")
            .refuses(422, "validation_failed, password_policy"),
        post("/api/v1/collections/{collection}/auth/login", login)
            .summary("Sign in to an auth collection")
            .answers(200, "The record and its tokens", auth)
            .refuses(401, "invalid_credentials")
            .refuses(403, "account_locked"),
        post("/api/v1/collections/{collection}/auth/otp/request", request_code)
            .summary("Have a one-time code sent to an address; the answer is the same whether or not somebody has it")
            .answers_empty(204, "Asked for")
            .refuses(400, "wrong_collection_type"),
        post("/api/v1/collections/{collection}/auth/otp/verify", login_with_code)
            .summary("Sign in with a one-time code; the address counts as verified then")
            .answers(200, "The record and its tokens", auth_again)
            .refuses(400, "wrong_collection_type")
            .refuses(401, "invalid_credentials")
            .refuses(403, "account_locked"),
        get("/api/v1/collections/{collection}/auth/me", me).summary("The own record").answers(
            200,
            "The record",
            record,
        ),
        post("/api/v1/collections/{collection}/auth/refresh", refresh)
            .summary("Exchange a refresh token for a new pair")
            .answers(200, "The new pair", token_schema())
            .refuses(401, "invalid_refresh_token"),
        post("/api/v1/collections/{collection}/auth/logout", logout)
            .summary("End the session of the credential, and of the refresh token where one is sent")
            .answers_empty(204, "Signed out"),
        get("/api/v1/collections/{collection}/auth/sessions", sessions)
            .summary("Live sessions of the account")
            .answers(200, "Newest first", sessions_schema()),
        delete("/api/v1/collections/{collection}/auth/sessions/{id}", end_session)
            .summary("End one of the own sessions")
            .answers_empty(204, "Ended"),
        delete("/api/v1/collections/{collection}/auth/sessions", end_others)
            .summary("End every session but the calling one")
            .answers_empty(204, "Ended"),
        post("/api/v1/collections/{collection}/auth/me/change-password", change_password)
            .summary("Change the own password; every session ends. Needs a recent sign-in")
            .answers_empty(204, "Changed")
            .refuses(401, "invalid_credentials")
            .refuses(422, "validation_failed, password_policy")
            .before_password_change(),
    ]
}

/// The answer to a sign-in of a collection: the record as it is written anyway, and the tokens.
#[derive(Serialize)]
struct AuthBody {
    user: Box<RawValue>,
    token: TokenBody,
}

impl AuthBody {
    fn new(record: Vec<u8>, grant: Grant) -> Answer<Self> {
        let text = String::from_utf8(record).map_err(fastcms_core::Error::internal)?;
        Ok(Self { user: RawValue::from_string(text).map_err(fastcms_core::Error::internal)?, token: grant.into() })
    }
}

/// A body whose names are the collection's own.
struct Named(Map<String, Value>);

impl Form for Named {
    fn read(object: Map<String, Value>, _: &Place<'_>, _: &mut FieldErrors) -> Option<Self> {
        Some(Self(object))
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }
}

async fn register(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    client: Client,
    facts: Facts,
    Json(Named(body)): Json<Named>,
) -> Answer {
    let registered =
        accounts::register_in_collection(&caller, &app, facts.request(), &collection, body, &device(&client)).await?;
    let Registered::SignedIn(grant, record) = registered else { return Ok(to_be_verified()) };
    let known = grant.device.clone();
    remembering(&client, known.as_ref(), (StatusCode::CREATED, Json(AuthBody::new(record, grant)?)))
}

async fn login(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    client: Client,
    Json(Named(mut body)): Json<Named>,
) -> Answer {
    let collection = AuthCollection::named(&app, &collection)?;
    let mut faults = FieldErrors::default();
    let mut take = |name: &str, required: bool| match body.remove(name) {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) if !required => String::new(),
        None | Some(Value::Null) => {
            faults.add(name, "This field is required");
            String::new()
        }
        Some(_) => {
            faults.add(name, "Must be a string");
            String::new()
        }
    };
    let identity = take(collection.identity_field(), true);
    let password = Secret::new(take("password", true));
    let second = Some(take("two_factor_code", false));
    for name in body.keys() {
        faults.add(name.as_str(), "Unknown field");
    }
    faults.into_result()?;
    let entry = Entry { name: identity, proof: Proof::Password(password), second };
    enter(caller, app, client, collection, entry).await
}

async fn request_code(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    Json(body): Json<CodeRequest>,
) -> Answer<NoContent> {
    let realm = AuthCollection::named(&app, &collection)?.realm();
    accounts::request_code(&caller, &app, &realm, &body.email).await?;
    Ok(NoContent)
}

crate::form! {
    struct LoginWithCode {
        email: String,
        code: Secret<String>,
    }
}

async fn login_with_code(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    client: Client,
    Json(body): Json<LoginWithCode>,
) -> Answer {
    let collection = AuthCollection::named(&app, &collection)?;
    let entry = Entry { name: body.email, proof: Proof::Code(body.code), second: None };
    enter(caller, app, client, collection, entry).await
}

async fn enter(caller: Caller, app: Arc<App>, client: Client, collection: AuthCollection, entry: Entry) -> Answer {
    let (device, inner, place) = (device(&client), Arc::clone(&app), collection.clone());
    let signed_in = to_its_end(async move {
        accounts::sign_in_to_collection(&caller, &inner, &place, entry.presented(), &device).await
    });
    // Accounts of auth collections have no second factor.
    let SignIn::Done(grant) = signed_in.await? else { return Err(fastcms_core::Error::InvalidCredentials.into()) };
    let signed_in = accounts::authenticate(&app, &grant.access_token).await?;
    let record = accounts::own_record(&signed_in, &app, &collection).await?;
    let known = grant.device.clone();
    remembering(&client, known.as_ref(), Json(AuthBody::new(record, grant)?))
}

/// A caller who is an account of this very collection; everybody else's token means nothing here.
pub fn member(account: &Account, app: &App, collection: &str) -> Answer<AuthCollection> {
    let collection = AuthCollection::named(app, collection)?;
    if account.realm == collection.realm() {
        Ok(collection)
    } else {
        Err(Refusal::Core(fastcms_core::Error::InvalidToken))
    }
}

async fn me(signed_in: SignedIn, State(app): State<Arc<App>>, Path(collection): Path<String>) -> Answer<JsonBytes> {
    let collection = member(signed_in.account(), &app, &collection)?;
    Ok(JsonBytes(accounts::own_record(&signed_in.0, &app, &collection).await?.into()))
}

async fn refresh(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    Json(body): Json<RefreshToken>,
) -> Answer<Json<TokenBody>> {
    let realm = AuthCollection::named(&app, &collection)?.realm();
    Ok(Json(accounts::refresh(&caller, &app, &realm, body.refresh_token.expose()).await?.into()))
}

async fn logout(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    body: Option<Json<Logout>>,
) -> Answer<Response> {
    AuthCollection::named(&app, &collection)?;
    let token = body.and_then(|Json(body)| body.refresh_token);
    accounts::sign_out(&caller, &app, token.as_ref().map(|token| token.expose().as_str())).await?;
    Ok(signed_out())
}

async fn sessions(
    signed_in: SignedIn,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
) -> Answer<Json<SessionsBody>> {
    member(signed_in.account(), &app, &collection)?;
    let sessions = accounts::sessions_of(&signed_in.0, &app).await?;
    Ok(Json(SessionsBody::new(sessions, &signed_in.account().session)))
}

async fn end_session(
    signed_in: SignedIn,
    State(app): State<Arc<App>>,
    Path((collection, Id(id))): Path<(String, Id)>,
) -> Answer<NoContent> {
    member(signed_in.account(), &app, &collection)?;
    accounts::end_session(&signed_in.0, &app, Some(&id)).await?;
    Ok(NoContent)
}

async fn end_others(
    signed_in: SignedIn,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    Query(query): Query<AllButThis>,
) -> Answer<NoContent> {
    member(signed_in.account(), &app, &collection)?;
    if !query.others {
        return Err(Refusal::field("others", "Must be true"));
    }
    accounts::end_session(&signed_in.0, &app, None).await?;
    Ok(NoContent)
}

async fn change_password(
    signed_in: Recent<SignedIn>,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    client: Client,
    Json(body): Json<ChangePassword>,
) -> Answer<NoContent> {
    member(signed_in.account(), &app, &collection)?;
    confirmed("new_password_confirm", &body.new_password, &body.new_password_confirm)?;
    accounts::change_password(&signed_in, &app, body.old_password, body.new_password, &device(&client)).await?;
    Ok(NoContent)
}
