//! The edge: what every request passes on its way in and every answer on its way out, in one place and one order (contract 9.1).
//!
//! One pass over the request, one over the answer; no stack of layers. The edge knows routes and credentials, not what a route
//! does: it asks the product through [`Backend`] who a credential belongs to, and nothing else.

pub(crate) mod body;
mod credentials;
mod exchange;
mod held;
mod host;
mod identity;
mod limits;
mod outgoing;
mod preflight;
mod request_id;
mod settings;
mod sole;
mod table;
mod thinning;

use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fastcms_core::{Caller, Error, request_log::Answered};
use fastcms_guard::limits::{Class, Verdict};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use tokio::{sync::Semaphore, time::Instant};

pub use exchange::{Exchange, FilesDoor};
pub(crate) use limits::class_of;
pub use request_id::RequestId;
pub use settings::EdgeSettings;
pub(crate) use thinning::Thinning;

use self::{
    body::{Progress, Watched},
    host::Sender,
    identity::{CookieRole, Identity},
    outgoing::Seen,
    table::{Found, Table},
};
use crate::{
    api::operation::{BodyLimit, Operation, Patience, Running},
    error::Refusal,
    extract::Audience,
    logging::panics,
};

/// Longest path and query, bytes (contract 16).
pub(crate) const MAX_URL: usize = 16 * 1024;
/// Largest header section, bytes, and most fields in it (contract 16).
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_HEADER_FIELDS: usize = 100;

/// Time of an answer, and of a body that stalls; that of backups, imports and reindexing (contract 16).
const USUAL: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(10);

/// What the edge asks of the product.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Who a bearer token belongs to; [`Error::InvalidToken`] when to nobody.
    fn authenticate(&self, bearer: &str) -> impl Future<Output = Result<Caller, Error>> + Send;

    /// Who an API key that comes from `client` belongs to; [`Error::InvalidToken`] when to nobody, [`Error::IpBlocked`] when it is not
    /// good from there.
    fn authenticate_key(&self, key: &str, client: IpAddr) -> impl Future<Output = Result<Caller, Error>> + Send;

    /// Who a session cookie belongs to; [`Error::InvalidToken`] when to nobody.
    fn authenticate_cookie(&self, value: &str) -> impl Future<Output = Result<Caller, Error>> + Send;

    /// Whether a client may come in at all, and to what is for admins. Must not wait.
    fn admits(&self, _: IpAddr, _for_admins: bool) -> bool {
        true
    }

    /// A minute is over in which every request came from this private address although no proxy is declared; `None`: it was not so.
    fn one_sender(&self, _: Option<IpAddr>) {}

    /// Counts a request by who sent it, or by its address. Refused ones are not counted; `None`: it is not limited.
    fn charge(&self, _: &Caller, _: Class, _: IpAddr) -> impl Future<Output = Option<Verdict>> + Send {
        std::future::ready(None)
    }

    /// Told of requests that [`Backend::charge`] refused. Must not wait.
    fn limited(&self, _: &Caller, _: Class) {}

    /// Told of every answer, for the metrics. Must not wait.
    fn count(&self, _method: &str, _status: u16, _took: Duration) {}

    /// Told of answered requests, for the request log. Must not wait: it runs before the answer leaves.
    fn answered(&self, _: &Answered<'_>) {}
}

/// What the edge knows of a connection, and tells whoever holds it.
#[derive(Debug)]
pub struct Connection {
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// Set when an answer leaves while its request's body is still on the way: the answer said that the connection is over, and the
    /// socket must be emptied before it is closed, or the client may lose the answer to a reset.
    pub unread: AtomicBool,
}

impl Connection {
    /// A connection from `peer`.
    pub fn new(peer: SocketAddr) -> Self {
        Self { peer, unread: AtomicBool::new(false) }
    }
}

/// All routes behind all protections. Cheap to clone.
pub struct Edge<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    state: S,
    table: Table<S>,
    settings: EdgeSettings,
    outgoing: outgoing::Headers,
    room: held::Room,
    bodies: Arc<Semaphore>,
    sole: sole::Sole,
}

impl<S> Clone for Edge<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Backend> Edge<S> {
    /// Serves `operations`. Panics when two of them claim the same method and path: that is a fault of the program.
    pub fn new(state: S, operations: Vec<Operation<S>>, settings: EdgeSettings) -> Self {
        let outgoing = outgoing::Headers::new(&settings);
        Self {
            inner: Arc::new(Inner {
                state,
                table: Table::new(operations),
                settings,
                outgoing,
                room: held::Room::new(),
                bodies: body::room(),
                sole: sole::Sole::default(),
            }),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &EdgeSettings {
        &self.inner.settings
    }

    /// Answers one request. Never fails, never panics.
    pub async fn answer<B>(&self, connection: &Connection, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let inner = &*self.inner;
        let request_id = RequestId::fresh();
        let (parts, body) = request.into_parts();
        let mut seen = Seen::new(&parts, connection, &inner.settings.cors);
        let progress = (!body.is_end_stream()).then(|| Arc::new(Progress::new()));
        let body = progress.as_ref().map(|progress| Watched::new(body, Arc::clone(progress)));
        // Whoever waits to be asked for its body does not send it after a refusal.
        let asks_first = body.is_some() && parts.headers.contains_key(header::EXPECT);

        // 1. Outermost: request id, security headers and the panic guard. Whatever happens below, the answer has them.
        let admitted = {
            let admitted = pin!(inner.admit(connection, parts, body, progress.as_deref(), request_id, &mut seen));
            AssertUnwindSafe(panics::named(request_id, admitted)).catch_unwind().await
        };
        let response = match admitted {
            Ok(Ok(response)) => inner.room.hold(response).unwrap_or_else(IntoResponse::into_response),
            Ok(Err(refusal)) => refusal.into_response(),
            // Where and why is in the log already, as far as it may be told.
            Err(_) => Refusal::Core(Error::internal("a handler panicked")).into_response(),
        };
        let took = seen.started.elapsed();
        let mut response = inner.outgoing.finish(response, &request_id, &seen, took);
        let unread = match progress {
            Some(progress) if !progress.finished() => asks_first || !progress.read_off().await,
            _ => false,
        };
        connection.unread.store(unread, Ordering::Relaxed);
        if unread {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        inner.state.count(seen.method(), response.status().as_u16(), took);
        if let Some(answered) = seen.to_note(response.status(), &request_id, took) {
            inner.state.answered(&answered);
        }
        response
    }

    /// Answers a request whose end cannot be told for sure: 400, and the connection is over.
    pub(crate) fn malformed<B>(&self, connection: &Connection, request: Request<B>) -> Response {
        let (parts, _) = request.into_parts();
        let seen = Seen::new(&parts, connection, &self.inner.settings.cors);
        let refusal = Refusal::BadRequest("The length of the body is given twice");
        connection.unread.store(true, Ordering::Relaxed);
        let mut response =
            self.inner.outgoing.finish(refusal.into_response(), &RequestId::fresh(), &seen, Duration::ZERO);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        self.inner.state.count(seen.method(), response.status().as_u16(), Duration::ZERO);
        response
    }

    /// The answer to a head that even the parser refuses as too large; `None` for other statuses.
    pub(crate) fn too_large(&self, status: StatusCode) -> Option<Response> {
        let refusal = match status {
            StatusCode::URI_TOO_LONG => Refusal::UriTooLong,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Refusal::HeadersTooLarge,
            _ => return None,
        };
        Some(self.unread(refusal))
    }

    /// The overload answer for a connection that is not taken at all.
    pub fn overloaded(&self) -> Response {
        self.unread(Refusal::Core(Error::Overloaded { retry_after_seconds: 1 }))
    }

    /// The answer to a request that was not read.
    fn unread(&self, refusal: Refusal) -> Response {
        let (request_id, seen) = (RequestId::fresh(), Seen::nothing());
        let response = self.inner.outgoing.finish(refusal.into_response(), &request_id, &seen, Duration::ZERO);
        self.inner.state.count(seen.method(), response.status().as_u16(), Duration::ZERO);
        response
    }
}

impl<S: Backend> Inner<S> {
    /// Steps 2 to 10 of contract 9.1.
    async fn admit(
        &self,
        connection: &Connection,
        mut parts: Parts,
        body: Option<Watched>,
        progress: Option<&Progress>,
        request_id: RequestId,
        seen: &mut Seen,
    ) -> Result<Response, Refusal> {
        let found = self.table.find(&parts.method, parts.uri.path());

        // 2. Client address, scheme and host: the socket's, or what a trusted proxy says.
        let sender = Sender::of(connection, &parts, &self.settings)?;
        seen.client = Some(sender.client);

        self.watch_senders(sender.client, &parts, seen.started);

        // 3. IP rules, and ADMIN_ALLOWED_CIDRS.
        if !host::is_health(parts.uri.path())
            && !self.state.admits(sender.client, is_for_admins(&found, parts.uri.path()))
        {
            return Err(Refusal::IpBlocked);
        }

        // 4. CORS: a preflight is answered here; `seen` carries what other answers say.
        if let Some(answer) = preflight::answer(&parts, &self.settings.cors) {
            return answer;
        }

        // 5. Host check, then HTTPS check.
        if let Some(redirect) = host::check(&sender, &parts, &self.settings)? {
            return Ok(redirect);
        }

        let door = host::files_door(&sender, &parts, &self.settings);
        // At the origin of uploaded bytes nothing else is served.
        if door == FilesDoor::Own && !found.operation().is_some_and(|operation| operation.file_token) {
            return Err(Refusal::MisdirectedHost);
        }

        // 6. Limits of URL, header section and body. The clock of the request starts with the last byte of the body.
        check_head(&parts)?;
        let body = self.limited_body(&parts, body, &found)?;

        // 7. Identity, verified once. What is wrong with a credential is only noted.
        let Identity { caller, noted, cookie } = if self.may_be_known(&parts, &sender).await {
            self.identify(&parts, &sender, &found).await
        } else {
            Identity::guest()
        };
        seen.caller = caller.clone();
        seen.cookie = cookie;
        seen.credential_refused = noted.is_some();
        seen.secure = sender.secure;

        // 8. The rate limit: by caller, and by client address for guests, for noted requests and for the strict budgets.
        if let Some(class) = limits::class(&found, &self.table, &parts)
            && let Some(verdict) = self.state.charge(&caller, class, sender.client).await
        {
            seen.standing = Some(verdict.standing());
            if !verdict.is_admitted() {
                self.state.limited(&caller.over_network(sender.client, request_id.bytes()), class);
                return Err(fastcms_core::limits::refusal(&verdict).into());
            }
        }

        // 9. The noted refusal, and whether a cookie may speak for this request.
        if let Some(refusal) = noted {
            return Err(refusal);
        }
        if cookie == CookieRole::Decides {
            identity::check_source(&parts, &sender, &self.settings)?;
        }

        // 10. The route.
        let (operation, params) = self.route(&found, &parts, &caller)?;
        let Some(operation) = operation else {
            return Ok(table::elsewhere(&found, &parts));
        };
        let patience = operation.patience;
        parts.extensions.insert(Exchange {
            request_id,
            client: sender.client,
            peer: connection.peer.ip().to_canonical(),
            secure: sender.secure,
            door,
            caller,
            cookies: self.settings.cookies,
            need: operation.scope.need(),
            permission: operation.docs.permission,
            params,
            faults: Arc::clone(&self.outgoing.faults),
        });
        let running = (operation.run)(Request::from_parts(parts, body), self.state.clone());
        within(patience, running, progress).await
    }

    /// Whether a credential is looked at. Health is answered to everybody, past rules and limits: a credential that comes with such a
    /// request must not be a way around them, and whether the process lives is a question that waits for no store.
    async fn may_be_known(&self, parts: &Parts, sender: &Sender) -> bool {
        if !host::is_health(parts.uri.path()) || !credentials::any(&parts.headers) {
            return true;
        }
        if parts.uri.path() == "/health/live" || !self.state.admits(sender.client, false) {
            return false;
        }
        self.state
            .charge(&Caller::guest(), Class::General, sender.client)
            .await
            .is_none_or(|verdict| verdict.is_admitted())
    }

    /// Says so when everybody seems to come from one private address.
    fn watch_senders(&self, client: IpAddr, parts: &Parts, started: Instant) {
        if !self.settings.address.proxies.is_empty() {
            return;
        }
        if let Some(minute) = self.sole.note(client, &parts.headers, started) {
            // A developer is alone with the server, and nobody forwards for them.
            let strange = match minute {
                sole::Minute::OneSender { forwarded } => forwarded || self.settings.production,
                sole::Minute::Ordinary => false,
            };
            self.state.one_sender(strange.then_some(client));
        }
    }

    /// The body with the limit of its route, its announced size checked.
    fn limited_body(&self, parts: &Parts, body: Option<Watched>, found: &Found<'_, S>) -> Result<Body, Refusal> {
        let Some(body) = body else {
            return Ok(Body::empty());
        };
        let (limit, body) = match found.operation().map(|operation| operation.body_limit) {
            Some(BodyLimit::File) => (self.settings.max_file, body),
            Some(BodyLimit::Usual) | None => (self.settings.max_body, body.in_memory(&self.bodies)),
        };
        body::check_announced(&parts.headers, limit)?;
        Ok(Body::new(body.within(limit)))
    }

    /// The operation to run, or `None` for an answer that needs none (a redirect, `OPTIONS`).
    fn route<'t>(
        &'t self,
        found: &Found<'t, S>,
        parts: &Parts,
        caller: &Caller,
    ) -> Result<(Option<&'t Operation<S>>, exchange::Segments), Refusal> {
        match found {
            Found::Operation { operation, segments } => {
                self.check_query(operation, segments, parts)?;
                let stale = caller.account().is_some_and(|account| account.must_change_password);
                if stale && operation.path.starts_with("/api/") && !operation.before_password_change {
                    return Err(Error::PasswordChangeRequired.into());
                }
                let bare = caller.account().is_some_and(|account| account.must_enrol);
                if bare && operation.path.starts_with("/api/") && !operation.before_enrolment {
                    return Err(Error::MfaEnrolmentRequired.into());
                }
                operation.admit_key(caller)?;
                Ok((Some(operation), *segments))
            }
            Found::OtherMethod { allow } if parts.method != Method::OPTIONS => {
                Err(Refusal::MethodNotAllowed((*allow).clone()))
            }
            Found::OtherMethod { .. } | Found::OtherSlash => Ok((None, exchange::Segments::default())),
            Found::Nothing => Err(Error::NotFound.into()),
        }
    }

    /// Refuses the first query name that the route does not know.
    fn check_query(
        &self,
        operation: &Operation<S>,
        segments: &exchange::Segments,
        parts: &Parts,
    ) -> Result<(), Refusal> {
        let Some(query) = parts.uri.query().filter(|query| !query.is_empty() && !operation.any_query) else {
            return Ok(());
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = credentials::query_name(pair);
            let known = operation.docs.query.iter().any(|(known, ..)| *known == name)
                || (operation.file_token && name == "token")
                || operation.known_name.is_some_and(|known| known(&self.state, &segments.of(parts.uri.path()), &name));
            if !known {
                return Err(Refusal::UnknownParameter(name.into_owned()));
            }
        }
        Ok(())
    }
}

/// Whether a request is for what only admins use: the admin UI, the admin API, setup.
fn is_for_admins<S>(found: &Found<'_, S>, path: &str) -> bool {
    const PLACES: [&str; 5] = ["/admin", "/setup", "/api/v1/admin", "/api/v1/setup", "/api/v1/ip-rules"];
    let below = |place: &&str| path.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    found.operation().is_some_and(|operation| operation.docs.audience == Audience::Admin) || PLACES.iter().any(below)
}

/// URL and header section within their limits. hyper's own ceilings lie above, so that these answers are ours.
fn check_head(parts: &Parts) -> Result<(), Refusal> {
    let url = parts.uri.path().len() + parts.uri.query().map_or(0, |query| query.len() + 1);
    if url > MAX_URL {
        return Err(Refusal::UriTooLong);
    }
    // Name, `: `, value, line end: as it stood on the wire.
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if parts.headers.len() > MAX_HEADER_FIELDS || bytes > MAX_HEADER_BYTES {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// Runs a handler within its time: counted from the last byte of the body, or from the last sign of life of a body under way.
async fn within(patience: Patience, mut running: Running, progress: Option<&Progress>) -> Result<Response, Refusal> {
    let limit = match patience {
        Patience::Usual => USUAL,
        Patience::Long => LONG,
        Patience::Endless => return Ok(running.await),
    };
    let mut since = Instant::now();
    loop {
        let reading = progress.is_some_and(|progress| !progress.finished());
        // A stalled body is cut after the usual time, however patient the route is.
        let limit = if reading { USUAL } else { limit };
        if let Ok(response) = tokio::time::timeout_at(since + limit, &mut running).await {
            return Ok(response);
        }
        // Time is up, unless the body moved or ended meanwhile: then it counts from there.
        match progress.map(Progress::last) {
            Some(last) if last > since => since = last,
            _ => return Err(Error::Timeout.into()),
        }
    }
}

/// The edge as a tower service for one connection: in-process callers and tests.
pub struct EdgeService<S> {
    edge: Edge<S>,
    connection: Arc<Connection>,
}

impl<S> Clone for EdgeService<S> {
    fn clone(&self) -> Self {
        Self { edge: self.edge.clone(), connection: Arc::clone(&self.connection) }
    }
}

impl<S: Backend> Edge<S> {
    /// A service that answers as if every request came over one connection from `peer`.
    pub fn service(&self, peer: SocketAddr) -> EdgeService<S> {
        EdgeService { edge: self.clone(), connection: Arc::new(Connection::new(peer)) }
    }
}

impl<S: Backend> tower::Service<Request> for EdgeService<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.edge.answer(&this.connection, request).await) })
    }
}

#[cfg(test)]
pub(crate) mod tests;
