//! A token for a file, made for somebody who may view it.

use super::viewable;
use crate::access::{self, RequestFacts};
use crate::accounts;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;

/// Opens one file for whoever has it, for a while.
pub struct FileToken {
    pub token: String,
    /// Seconds.
    pub expires_in: i64,
}

impl std::fmt::Debug for FileToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileToken").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Makes a token for a file that the caller may view. Whether they still may is asked again when it is used.
pub async fn make_token(caller: &Caller, app: &App, request: RequestFacts<'_>, id: &str) -> Result<FileToken> {
    access::require_account(caller)?;
    let file = viewable(caller, app, request, id).await?;
    let (token, expires_in) = accounts::file_token(caller, app, &file.id).await?;
    Ok(FileToken { token, expires_in })
}
