//! Until when tokens of a key may live, written down before one is given out, so that "nobody depends on this key" is a fact.
//!
//! A write a token would be a write a request. So the end is written down a step ahead, and no further write is needed until a token
//! would outlive it: at most one a step, node, key and purpose. What is read back is never too early, and late by a step at most.
//!
//! Refresh tokens need none of this: each lives exactly as long as its row in `sessions`, which knows its key.

use fastcms_guard::keys::{Purpose, RingKey};
use fastcms_store::signing_keys as rows;

use crate::app::App;
use crate::error::{Error, Result};

/// How far ahead an end is written down, in seconds.
pub(super) const STEP_SECONDS: i64 = 60;

/// Makes sure that it is written down that tokens of `key` for `purpose` may live until `exp` (unix seconds).
pub(super) async fn record(app: &App, key: &RingKey, purpose: Purpose, exp: i64) -> Result<()> {
    if purpose == Purpose::Refresh || key.usage().is_recorded(purpose, exp) {
        return Ok(());
    }
    let _turn = app.key_ends.lock().await;
    if key.usage().is_recorded(purpose, exp) {
        return Ok(());
    }
    let (kid, end) = (key.kid().to_string(), exp + STEP_SECONDS);
    app.store
        .write(move |tx| {
            Box::pin(async move { rows::record_end(tx, &kid, purpose.as_str(), end).await.map_err(Error::from) })
        })
        .await?;
    key.usage().note_recorded(purpose, end);
    Ok(())
}
