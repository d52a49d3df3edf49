//! `ip-rules`: the way back in for whoever locked everybody out.

use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};
use fastcms_core::{Caller, ip_rules};

use super::running::{block_on, open, settings};
use super::{Failure, Outcome, confirmed};

pub fn clear(yes: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    if !yes && !confirmed("Remove every IP rule? Addresses that are blocked may come in again")? {
        return Err(Failure::new("nothing has changed"));
    }
    let gone = block_on(async {
        let app = open(config).await?;
        let gone = ip_rules::clear(&Caller::operator(), &app).await;
        app.store.close().await;
        gone.map_err(Failure::from)
    })??;
    say!("{gone} IP rules removed; running servers follow within 5 seconds")?;
    Ok(ExitCode::SUCCESS)
}
