//! One file.

use super::{File, viewable};
use crate::access::RequestFacts;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;

/// What is known of a file, for whoever may view it.
pub async fn get(caller: &Caller, app: &App, request: RequestFacts<'_>, id: &str) -> Result<File> {
    let stored = viewable(caller, app, request, id).await?;
    Ok(File::seen_by(caller, app, stored))
}
