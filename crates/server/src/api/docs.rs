//! The API documentation: the OpenAPI document and two pages that show it. Only where it is to be seen are these routes in the
//! table at all, so that everywhere else they are what any unknown path is (contract 5.1).

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use fastcms_core::App;
use fastcms_guard::cookie::Cookie;
use fastcms_guard::headers::Nonce;
use http::{HeaderName, HeaderValue, header};

use super::{Operation, get, operations};
use crate::{
    edge::EdgeSettings,
    extract::{Anyone, Json},
    openapi::{self, Catalogue, Info},
    pages,
};

/// Script and style by nonce; what each library needs beyond that was tried out in a browser (`assets/docs/README.md`).
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'nonce-R'; style-src 'nonce-R'; img-src data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const REDOC_POLICY: &str = "default-src 'none'; script-src 'nonce-R'; style-src 'nonce-R' \
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; img-src data:; \
    connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes, describing all others. What they describe is made when somebody asks: kept, it would be a megabyte of memory.
pub fn routes() -> Vec<Operation> {
    let schema = |_: Anyone, State(app): State<Arc<App>>| {
        // Wherever the document was fetched from is where its requests go: by name or by number, behind a proxy or not.
        let document = describe(&app, &Catalogue::of(&operations()), "/");
        async move { Json(document) }
    };
    let page = |path, template: &'static str, policy: &'static str| {
        get(path, move |_: Anyone, State(app): State<Arc<App>>| async move {
            let nonce = Nonce::generate(&app.rng);
            pages::page(template, &nonce, policy.replace("nonce-R", &format!("nonce-{}", nonce.as_str())))
        })
        .hidden()
    };
    let asset = |path, bytes: &'static [u8], kind: &'static str| {
        get(path, move |_: Anyone| async move { packed(bytes, kind) }).hidden()
    };
    vec![
        get("/openapi.json", schema).hidden(),
        page("/docs", include_str!("../../assets/docs/swagger.html"), SWAGGER_POLICY),
        page("/redoc", include_str!("../../assets/docs/redoc.html"), REDOC_POLICY),
        asset("/docs/swagger-ui.css", include_bytes!("../../assets/docs/swagger-ui.css.gz"), "text/css; charset=utf-8"),
        asset(
            "/docs/swagger-ui-bundle.js",
            include_bytes!("../../assets/docs/swagger-ui-bundle.js.gz"),
            "text/javascript; charset=utf-8",
        ),
        asset(
            "/redoc/redoc.standalone.js",
            include_bytes!("../../assets/docs/redoc.standalone.js.gz"),
            "text/javascript; charset=utf-8",
        ),
    ]
}

/// The document as this installation serves it now.
pub fn describe(app: &App, catalogue: &Catalogue, server: &str) -> serde_json::Value {
    let settings = &app.config.server;
    let cookies = EdgeSettings::cookies(&app.config);
    let cookie = cookies.name(Cookie::Session);
    let info = Info { title: &settings.app_name, version: &settings.app_version, server, cookie };
    openapi::document(&info, catalogue, &openapi::shapes(&app.schema.load()))
}

/// An asset that lies in the binary compressed, and is sent so: every browser that can show these pages can unpack it.
fn packed(bytes: &'static [u8], kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(Bytes::from_static(bytes)));
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_ENCODING, "gzip"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
