//! The way to the service that knows breached passwords (`PASSWORD_BREACH_URL`): one GET. What is asked, and what follows from it, is
//! `fastcms_core::breaches`'s.

use bytes::Bytes;
use fastcms_core::App;
use fastcms_core::breaches::Ranges;
use fastcms_guard::egress::Egress;
use futures_util::future::BoxFuture;
use http::Request;
use http_body_util::Full;
use url::Url;

use crate::outbound::Destination;

/// Largest answer: a range has some 40 KiB.
const MAX_ANSWER: usize = 1024 * 1024;

/// Has new passwords asked for, where the settings name a service.
pub fn connect(app: &App) {
    let Some(url) = &app.config.passwords.breach_url else { return };
    if let Some(service) = Service::of(url, &app.egress) {
        app.breaches.ask_at(Box::new(service));
    } else {
        tracing::warn!("PASSWORD_BREACH_URL names no host and port: nobody is asked");
    }
}

struct Service {
    destination: Destination,
    /// What the head of a digest is put behind.
    path: String,
    egress: Egress,
}

impl Service {
    fn of(url: &Url, egress: &Egress) -> Option<Self> {
        let path = format!("{}/", url.path().trim_end_matches('/'));
        Some(Self { destination: Destination::of(url)?, path, egress: egress.clone() })
    }

    async fn exchange(&self, head: String) -> Result<String, String> {
        let request = Request::get(format!("{}{head}", self.path))
            // Answers of one length: who watches the line does not see which range it was.
            .header("add-padding", "true")
            .body(Full::<Bytes>::default())
            .map_err(|error| error.to_string())?;
        let answer = self.destination.send(&self.egress, request, MAX_ANSWER).await?;
        let authority = self.destination.authority();
        if !answer.status.is_success() {
            return Err(format!("`{authority}` answered {}", answer.status));
        }
        String::from_utf8(answer.body.into()).map_err(|_| format!("`{authority}` answered no text"))
    }
}

impl Ranges for Service {
    fn range(&self, head: String) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(self.exchange(head))
    }
}
