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

/// A program with an API key.
#[derive(Clone)]
pub struct Program<'p> {
    pub product: &'p Product,
    pub key: String,
}

/// Sends requests under an identity.
pub trait Calls {
    fn product(&self) -> &Product;
    fn token(&self) -> Option<&str>;

    /// Adds what else the caller presents.
    fn dress(&self, request: Request<Body>) -> Request<Body> {
        request
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.product().send(self.dress(request(self.token(), method, path, body))).await
    }

    /// Asks for a record of these values.
    async fn create(&self, collection: &str, data: &Value) -> Answer {
        self.post(&records(collection), &serde_json::json!({"data": data})).await
    }

    /// Makes a record; it must be accepted. The record.
    async fn make(&self, collection: &str, data: &Value) -> Value {
        self.create(collection, data).await.expect(201).json()
    }

    /// Asks for these values in an existing record.
    async fn change(&self, collection: &str, id: &Value, data: &Value) -> Answer {
        self.patch(&record(collection, id), &serde_json::json!({"data": data})).await
    }

    /// Asks for the records of a collection under these query parameters, which are encoded here.
    async fn list(&self, collection: &str, parameters: &[(&str, &str)]) -> Answer {
        self.get(&with_query(&records(collection), parameters)).await
    }

    /// The values of one field in a list that must be answered.
    async fn column(&self, collection: &str, parameters: &[(&str, &str)], field: &str) -> Vec<Value> {
        let page = self.list(collection, parameters).await.expect(200).json();
        page["items"].as_array().unwrap().iter().map(|item| item["data"][field].clone()).collect()
    }
}

impl Admin<'_> {
    /// Makes a collection; it must be accepted. The collection.
    pub async fn collection(&self, definition: &Value) -> Value {
        self.post(COLLECTIONS, definition).await.expect(201).json()
    }

    /// Changes a collection; it must be accepted. The collection.
    pub async fn reshape(&self, collection: &Value, change: &Value) -> Value {
        self.patch(&collection_path(collection), change).await.expect(200).json()
    }
}

pub const COLLECTIONS: &str = "/api/v1/collections";

/// Where a collection that was answered lives.
pub fn collection_path(collection: &Value) -> String {
    format!("{COLLECTIONS}/{}", crate::product::text(&collection["id"]))
}

/// Where the records of a collection live.
pub fn records(collection: &str) -> String {
    format!("{COLLECTIONS}/{collection}/records")
}

/// Where a record lives, by its id.
pub fn record(collection: &str, id: &Value) -> String {
    format!("{}/{}", records(collection), crate::product::text(id))
}

/// A path with a query string.
pub fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return path.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}

/// A collection of type base that everybody may do everything with.
pub fn open(name: &str, schema: &Value) -> Value {
    serde_json::json!({
        "name": name, "schema": schema, "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "", "delete_rule": "",
    })
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

impl Calls for Program<'_> {
    fn product(&self) -> &Product {
        self.product
    }

    fn token(&self) -> Option<&str> {
        None
    }

    fn dress(&self, mut request: Request<Body>) -> Request<Body> {
        request.headers_mut().insert("x-api-key", self.key.parse().unwrap());
        request
    }
}

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
