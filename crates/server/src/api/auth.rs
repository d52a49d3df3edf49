//! `/api/v1/auth`: registering, signing in and out, the own profile, sessions of `users`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::accounts::{self, NewUser, OwnChange, Presented, Proof, Registered, SignIn};
use fastcms_core::{App, Caller, Error, Realm};
use fastcms_secrets::Secret;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::account::{
    AuthBody, SessionsBody, TokenBody, UserBody, auth_schema, device, remembering, sessions_schema, sign_in_schema,
    token_schema, user_schema,
};
use super::{Operation, delete, get, patch, post};
use crate::error::{Answer, Refusal};
use crate::extract::{
    Anyone, Client, Id, InPerson, Json, NoContent, Patch, Path, Query, Recent, SessionCookie, UsersAccount,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        post("/api/v1/auth/register", register)
            .summary("Make an account and sign in")
            .answers(201, "The account and its tokens", auth_schema())
            .answers(
                202,
                "Where addresses have to be verified: a mail was sent, whoever has the address",
                message_schema(),
            )
            .refuses(403, "registration_closed")
            .refuses(409, "email_taken")
            .refuses(422, "validation_failed, password_policy"),
        post("/api/v1/auth/login", login)
            .summary("Sign in with a password; `cookie` asks for a session cookie instead of tokens")
            .answers(200, "The account and its tokens", sign_in_schema())
            .refuses(401, "invalid_credentials")
            .refuses(403, "account_locked, password_auth_disabled"),
        post("/api/v1/auth/request-otp", request_code)
            .summary("Have a one-time code sent to an address; the answer is the same whether or not somebody has it")
            .answers_empty(204, "Asked for"),
        post("/api/v1/auth/auth-with-otp", login_with_code)
            .summary("Sign in with a one-time code; the address counts as verified then")
            .answers(200, "The account and its tokens", sign_in_schema())
            .refuses(401, "invalid_credentials")
            .refuses(403, "account_locked"),
        post("/api/v1/auth/refresh", refresh)
            .summary("Exchange a refresh token for a new pair")
            .answers(200, "The new pair", token_schema())
            .refuses(401, "invalid_refresh_token"),
        post("/api/v1/auth/logout", logout)
            .summary("End the session of the credential, of the cookie, and of the refresh token where one is sent")
            .answers_empty(204, "Signed out")
            .before_password_change()
            .before_enrolment(),
        post("/api/v1/auth/logout-all", logout_all)
            .summary("End every session of the account")
            .answers_empty(204, "Signed out everywhere"),
        get("/api/v1/auth/me", me)
            .summary("The own account")
            .answers(200, "The account", user_schema())
            .before_password_change()
            .before_enrolment(),
        patch("/api/v1/auth/me", change_me)
            .summary("Change the own profile")
            .answers(200, "The account", user_schema())
            .before_password_change(),
        delete("/api/v1/auth/me", delete_me)
            .summary("Delete the own account; needs a recent sign-in")
            .answers_empty(204, "Deleted")
            .before_password_change()
            .refuses(409, "last_admin"),
        post("/api/v1/auth/change-password", change_password)
            .summary("Change the own password; every session ends. Needs a recent sign-in")
            .answers_empty(204, "Changed")
            .refuses(401, "invalid_credentials")
            .refuses(422, "validation_failed, password_policy")
            .before_password_change()
            .before_enrolment(),
        get("/api/v1/auth/sessions", sessions).summary("Live sessions of the account").answers(
            200,
            "Newest first",
            sessions_schema(),
        ),
        delete("/api/v1/auth/sessions/{id}", end_session)
            .summary("End one of the own sessions")
            .answers_empty(204, "Ended"),
        delete("/api/v1/auth/sessions", end_others)
            .summary("End every session but the calling one")
            .answers_empty(204, "Ended"),
    ]
}

crate::form! {
    /// Body of a registration, of setup, and of a user made by an admin.
    pub struct Register {
        pub email: String,
        pub password: Secret<String>,
        pub password_confirm: Secret<String>,
        pub name: Option<String>,
    }
}

impl Register {
    /// The user to make, once the confirmation matches.
    pub fn into_new_user(self) -> Answer<NewUser> {
        confirmed("password_confirm", &self.password, &self.password_confirm)?;
        Ok(NewUser { email: self.email, password: self.password, name: self.name })
    }
}

/// Refuses a confirmation that is not the password again.
pub fn confirmed(field: &str, password: &Secret<String>, confirmation: &Secret<String>) -> Answer<()> {
    if password.expose() == confirmation.expose() {
        Ok(())
    } else {
        Err(Refusal::field(field, "Passwords do not match"))
    }
}

async fn register(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<Register>,
) -> Answer {
    let (new, device) = (body.into_new_user()?, device(&client));
    let inner = Arc::clone(&app);
    let registered = to_its_end(async move { accounts::register(&caller, &inner, new, &device).await });
    let Registered::SignedIn(grant, user) = registered.await? else { return Ok(to_be_verified()) };
    let known = grant.device.clone();
    remembering(&client, known.as_ref(), (StatusCode::CREATED, Json(AuthBody::new(user, grant))))
}

/// The answer to a registration that says nothing about the address.
pub fn to_be_verified() -> Response {
    let message = "Look into your mail: the account can be used once its address is verified";
    (StatusCode::ACCEPTED, Json(serde_json::json!({"message": message}))).into_response()
}

/// The schema of that.
pub fn message_schema() -> serde_json::Value {
    serde_json::json!({"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}})
}

crate::form! {
    struct Login {
        email: String,
        password: Secret<String>,
        two_factor_code: Option<String>,
        cookie: bool = false,
    }
}

async fn login(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    client: Client,
    cookie: SessionCookie,
    Json(body): Json<Login>,
) -> Answer {
    let entry = Entry { name: body.email, proof: Proof::Password(body.password), second: body.two_factor_code };
    enter(caller, app, client, &cookie, entry, body.cookie).await
}

crate::form! {
    struct LoginWithCode {
        email: String,
        code: Secret<String>,
        two_factor_code: Option<String>,
        cookie: bool = false,
    }
}

async fn login_with_code(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    client: Client,
    cookie: SessionCookie,
    Json(body): Json<LoginWithCode>,
) -> Answer {
    let entry = Entry { name: body.email, proof: Proof::Code(body.code), second: body.two_factor_code };
    enter(caller, app, client, &cookie, entry, body.cookie).await
}

crate::form! {
    /// Body of a request for a code.
    pub struct CodeRequest {
        pub email: String,
    }
}

async fn request_code(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<CodeRequest>,
) -> Answer<NoContent> {
    accounts::request_code(&caller, &app, &Realm::Users, &body.email).await?;
    Ok(NoContent)
}

/// Signs in by a cookie or by tokens, as was asked for.
async fn enter(
    caller: Caller,
    app: Arc<App>,
    client: Client,
    cookie: &SessionCookie,
    entry: Entry,
    by_cookie: bool,
) -> Answer {
    let device = device(&client);
    if by_cookie {
        let (before, inner) = (cookie.sent().map(|value| Secret::new(value.to_owned())), Arc::clone(&app));
        let signed_in = to_its_end(async move {
            let before = before.as_ref().map(|value| value.expose().as_str());
            accounts::sign_in_with_cookie(&caller, &inner, entry.presented(), before, &device).await
        });
        let SignIn::Done(grant) = signed_in.await? else {
            return Ok(Json(AuthBody::second_factor_wanted()).into_response());
        };
        let signed_in = accounts::authenticate_cookie(&app, grant.value.expose()).await?;
        let user = accounts::own(&signed_in, &app).await?;
        let answer = ([(header::SET_COOKIE, cookie.set(&grant)?)], Json(AuthBody::in_cookie(user)));
        return remembering(&client, Some(&grant.device), answer);
    }
    let inner = Arc::clone(&app);
    let signed_in =
        to_its_end(async move { accounts::sign_in(&caller, &inner, &Realm::Users, entry.presented(), &device).await });
    let SignIn::Done(grant) = signed_in.await? else {
        return Ok(Json(AuthBody::second_factor_wanted()).into_response());
    };
    let signed_in = accounts::authenticate(&app, &grant.access_token).await?;
    let user = accounts::own(&signed_in, &app).await?;
    let known = grant.device.clone();
    remembering(&client, known.as_ref(), Json(AuthBody::new(user, grant)))
}

/// What was sent to sign in.
pub struct Entry {
    pub name: String,
    pub proof: Proof,
    pub second: Option<String>,
}

impl Entry {
    pub fn presented(&self) -> Presented<'_> {
        Presented { name: &self.name, proof: self.proof.clone(), second: self.second.as_deref() }
    }
}

/// Runs a sign-in to its end, whether or not somebody still waits for the answer: who hangs up after a guess leaves no fewer traces.
pub async fn to_its_end<T: Send + 'static>(
    sign_in: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(sign_in).await.unwrap_or_else(|stopped| Err(Error::internal(stopped)))
}

crate::form! {
    /// Body of a refresh.
    pub struct RefreshToken {
        pub refresh_token: Secret<String>,
    }
}

async fn refresh(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<RefreshToken>,
) -> Answer<Json<TokenBody>> {
    Ok(Json(accounts::refresh(&caller, &app, &Realm::Users, body.refresh_token.expose()).await?.into()))
}

crate::form! {
    /// Body of a sign-out; may be left out altogether.
    pub struct Logout {
        pub refresh_token: Option<Secret<String>>,
    }
}

async fn logout(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    cookie: SessionCookie,
    body: Option<Json<Logout>>,
) -> Answer {
    let token = body.and_then(|Json(body)| body.refresh_token);
    accounts::sign_out(&caller, &app, token.as_ref().map(|token| token.expose().as_str())).await?;
    // Beside a header credential the cookie has had no say so far.
    accounts::sign_out_cookie(&caller, &app, cookie.sent()).await?;
    let mut answer = signed_out();
    answer.headers_mut().append(header::SET_COOKIE, cookie.clear()?);
    Ok(answer)
}

/// 204 that also tells a browser to drop what it keeps of us.
pub fn signed_out() -> Response {
    let clear = HeaderValue::from_static("\"cache\", \"cookies\", \"storage\"");
    (StatusCode::NO_CONTENT, [(CLEAR_SITE_DATA, clear)]).into_response()
}

async fn logout_all(InPerson(caller): InPerson, State(app): State<Arc<App>>) -> Answer {
    accounts::sign_out_everywhere(&caller, &app).await?;
    Ok(signed_out())
}

async fn me(UsersAccount(caller): UsersAccount, State(app): State<Arc<App>>) -> Answer<Json<UserBody>> {
    Ok(Json(accounts::own(&caller, &app).await?.into()))
}

crate::form! {
    struct ChangeMe {
        name: Patch<String>,
        avatar: Patch<String>,
        email_visibility: Option<bool>,
    }
}

/// What a patch of a nullable text means for the row.
#[expect(clippy::option_option, reason = "outer: was it sent; inner: a text or null")]
pub fn nullable(patch: Patch<String>) -> Option<Option<String>> {
    match patch {
        Patch::Leave => None,
        Patch::Clear => Some(None),
        Patch::Set(text) => Some(Some(text)),
    }
}

async fn change_me(
    UsersAccount(caller): UsersAccount,
    State(app): State<Arc<App>>,
    Json(body): Json<ChangeMe>,
) -> Answer<Json<UserBody>> {
    let change =
        OwnChange { name: nullable(body.name), avatar: nullable(body.avatar), email_visibility: body.email_visibility };
    Ok(Json(accounts::change_own(&caller, &app, change).await?.into()))
}

async fn delete_me(caller: Recent<InPerson>, State(app): State<Arc<App>>) -> Answer {
    accounts::delete_own(&caller, &app).await?;
    Ok(signed_out())
}

crate::form! {
    /// Body of a password change.
    pub struct ChangePassword {
        pub old_password: Secret<String>,
        pub new_password: Secret<String>,
        pub new_password_confirm: Secret<String>,
    }
}

async fn change_password(
    caller: Recent<InPerson>,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<ChangePassword>,
) -> Answer<NoContent> {
    confirmed("new_password_confirm", &body.new_password, &body.new_password_confirm)?;
    accounts::change_password(&caller, &app, body.old_password, body.new_password, &device(&client)).await?;
    Ok(NoContent)
}

async fn sessions(signed_in: InPerson, State(app): State<Arc<App>>) -> Answer<Json<SessionsBody>> {
    let sessions = accounts::sessions_of(&signed_in.0, &app).await?;
    Ok(Json(SessionsBody::new(sessions, &signed_in.account().session)))
}

async fn end_session(
    InPerson(caller): InPerson,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<NoContent> {
    accounts::end_session(&caller, &app, Some(&id)).await?;
    Ok(NoContent)
}

crate::query! {
    /// Ending all but the calling session must be asked for by name.
    pub struct AllButThis {
        pub others: bool,
    }
}

async fn end_others(
    InPerson(caller): InPerson,
    State(app): State<Arc<App>>,
    Query(query): Query<AllButThis>,
) -> Answer<NoContent> {
    if !query.others {
        return Err(Refusal::field("others", "Must be true"));
    }
    accounts::end_session(&caller, &app, None).await?;
    Ok(NoContent)
}
