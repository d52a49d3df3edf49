//! `ip-rules`: the way back in for whoever locked everybody out.

use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};
use fastcms_core::{Caller, ip_rules};

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};

pub fn clear() -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let gone = block_on(async {
        let app = open(config).await?;
        let gone = ip_rules::clear(&Caller::operator(), &app).await;
        app.store.close().await;
        gone.map_err(Failure::from)
    })??;
    println!("{gone} IP rules removed; running servers follow within 5 seconds");
    Ok(ExitCode::SUCCESS)
}
