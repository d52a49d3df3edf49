//! Pages that the server renders itself: they need no build of the admin UI and no login.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use fastcms_core::{App, Error, accounts};
use fastcms_guard::headers::{Nonce, PAGE_ISOLATION, PagePolicy};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{
    api::{Operation, get},
    error::Answer,
    extract::Anyone,
};

mod links;

/// What all pages look like.
const STYLE: &str = include_str!("../assets/pages/style.css");

pub fn routes() -> Vec<Operation> {
    let mut routes = vec![get("/setup", to_setup).hidden(), get("/admin/setup", setup).hidden()];
    routes.extend(links::routes());
    routes
}

/// Where people look for it first.
async fn to_setup(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Answer {
    if !accounts::needs_setup(&caller, &app).await? {
        return Err(Error::NotFound.into());
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/admin/setup"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The form for the first admin; gone once there is one.
async fn setup(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Answer {
    if !accounts::needs_setup(&caller, &app).await? {
        return Err(Error::NotFound.into());
    }
    let nonce = Nonce::generate(&app.rng);
    let policy = PagePolicy::new(nonce.clone()).to_string();
    Ok(page(include_str!("../assets/pages/setup.html"), &nonce, policy))
}

/// A page: the template with its style and its nonce filled in, under `policy`, kept by nobody.
pub(crate) fn page(template: &str, nonce: &Nonce, policy: String) -> Response {
    let text = template.replace("{{style}}", STYLE).replace("{{nonce}}", nonce.as_str());
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = HeaderValue::try_from(policy).expect("a policy is one line of visible ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in PAGE_ISOLATION {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
