//! One POST to the address of the settings.

use std::time::Duration;

use bytes::Bytes;
use fastcms_core::audit::Batch;
use fastcms_guard::egress::Egress;
use fastcms_guard::webhook::signature;
use fastcms_secrets::Secret;
use http::{Request, header};
use http_body_util::Full;
use url::Url;

use crate::outbound::Destination;

/// How long a request may take, from the connection to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who takes the events.
pub(super) struct Receiver<'s> {
    destination: Destination,
    /// What stands in the request line.
    target: String,
    secret: Option<&'s Secret<String>>,
}

impl<'s> Receiver<'s> {
    pub(super) fn of(url: &Url, secret: Option<&'s Secret<String>>) -> Result<Self, String> {
        let destination = Destination::of(url).ok_or("the address names no host and port")?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { destination, target: format!("{}{query}", url.path()), secret })
    }

    /// Hands a batch in; `now` is in unix seconds.
    pub(super) async fn post(&self, egress: &Egress, batch: Batch, now: i64) -> Result<(), String> {
        let (authority, request) = (self.destination.authority(), self.request(batch, now)?);
        let done = tokio::time::timeout(PATIENCE, self.destination.send(egress, request, 0)).await;
        let status = done.map_err(|_| format!("`{authority}` does not answer in time"))??.status;
        if status.is_success() { Ok(()) } else { Err(format!("`{authority}` answered {status}")) }
    }

    fn request(&self, batch: Batch, now: i64) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(&self.target)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header("webhook-id", &batch.id)
            .header("webhook-timestamp", now);
        if let Some(secret) = self.secret {
            request = request.header("webhook-signature", signature(secret, &batch.id, now, &batch.lines));
        }
        request.body(Full::from(batch.lines)).map_err(|error| error.to_string())
    }
}
