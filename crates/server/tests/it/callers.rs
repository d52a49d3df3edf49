//! Callers as types: what a test may do stands in its variables.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::Value;

use crate::product::{Answer, Product};

/// Without credential.
#[derive(Clone, Copy)]
pub struct Guest<'p> {
    pub product: &'p Product,
}

/// A registered user with an access token.
#[derive(Clone)]
pub struct User<'p> {
    pub product: &'p Product,
    pub id: String,
    pub token: String,
    /// The whole pair, as it was answered.
    pub tokens: Value,
}

/// The first admin.
#[derive(Clone)]
pub struct Admin<'p> {
    pub product: &'p Product,
    pub id: String,
    pub token: String,
    /// The whole pair, as it was answered.
    pub tokens: Value,
}

/// Whoever brings just a token.
#[derive(Clone)]
pub struct Bearer<'p> {
    pub product: &'p Product,
    pub token: String,
}

/// Sends requests under an identity.
pub trait Calls {
    fn product(&self) -> &Product;
    fn token(&self) -> Option<&str>;

    async fn get(&self, path: &str) -> Answer {
        call(self.product(), self.token(), Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        call(self.product(), self.token(), Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        call(self.product(), self.token(), Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        call(self.product(), self.token(), Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        call(self.product(), self.token(), method, path, body).await
    }
}

macro_rules! callers {
    ($($name:ident),*) => {$(
        impl Calls for $name<'_> {
            fn product(&self) -> &Product {
                self.product
            }

            fn token(&self) -> Option<&str> {
                Some(&self.token)
            }
        }
    )*};
}
callers!(User, Admin, Bearer);

impl Calls for Guest<'_> {
    fn product(&self) -> &Product {
        self.product
    }

    fn token(&self) -> Option<&str> {
        None
    }
}

/// A request as a client would write it.
pub fn request(token: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8000");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()
}

pub async fn call(product: &Product, token: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Answer {
    product.send(request(token, method, path, body)).await
}
