//! `audit`: prove that nobody has touched the log, follow it, take it out.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use fastcms_core::audit::{self, CHECKPOINTS, Checkpoint, HEAD, PlacedRow, Report};
use fastcms_core::config::{Command, Sources};
use fastcms_core::{App, Caller};

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};
use crate::api::audit::RowBody;

/// How often `tail` looks for new events.
const LOOK: Duration = Duration::from_millis(500);
/// Links between two words of progress.
const WORD: i64 = 100_000;

/// Exit code 0: sound; 1: something is wrong, or could not be looked at.
pub fn verify(as_json: bool, checkpoints: Option<PathBuf>) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let checkpoints = if let Some(file) = checkpoints {
        read_checkpoints(&file, true)?
    } else {
        let folder = config.data_directory();
        let mut known = read_checkpoints(&folder.join(CHECKPOINTS), false)?;
        known.extend(read_checkpoints(&folder.join(HEAD), false)?);
        known
    };
    let report = block_on(async {
        let app = open(config).await?;
        let talks = !as_json && std::io::stderr().is_terminal();
        let mut said = 0;
        let mut progress = |links: i64| {
            if talks && links / WORD > said {
                said = links / WORD;
                complain!("{links} events checked");
            }
        };
        let report = audit::verify(&Caller::operator(), &app, &checkpoints, &mut progress).await;
        app.store.close().await;
        report.map_err(Failure::from)
    })??;
    if as_json {
        say!("{}", serde_json::to_string_pretty(&json(&report))?)?;
    } else {
        print(&report)?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file that was named must be there; the usual one may not exist yet.
fn read_checkpoints(file: &Path, given: bool) -> Result<Vec<Checkpoint>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !given => return Ok(Vec::new()),
        Err(error) => return Err(Failure::new(format!("error: `{}`: {error}", file.display()))),
    };
    // The last line may be half written; a line that is none says nothing.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn json(report: &Report) -> serde_json::Value {
    let finding = report.finding.as_ref().map(|finding| {
        serde_json::json!({
            "what": finding.what, "id": finding.row_id, "seq": finding.seq, "link": finding.link,
        })
    });
    serde_json::json!({
        "sound": report.is_sound(), "links": report.links, "pruned": report.pruned,
        "unreadable": report.unreadable, "not_linked": report.tail, "checkpoints": report.checkpoints,
        "unknown_checkpoints": report.strangers,
        "finding": finding,
    })
}

fn print(report: &Report) -> Result<(), Failure> {
    say!("{} events linked and verified, {} checkpoints met", report.links, report.checkpoints)?;
    if report.pruned > 0 {
        say!("{} events were deleted by retention, the ends of their segments are sealed", report.pruned)?;
    }
    if report.strangers > 0 {
        say!(
            "{} checkpoints are not by a key of this database that can be opened: nothing can be held against them",
            report.strangers
        )?;
    }
    if report.unreadable > 0 {
        say!("{} events are under a key that cannot be opened: nothing can be said of them", report.unreadable)?;
    }
    say!("{} events are not linked yet: a deletion among them would not be seen", report.tail)?;
    let Some(finding) = &report.finding else {
        return match (report.is_sound(), report.unreadable) {
            (true, _) => say!("SOUND"),
            (false, 0) => say!(
                "NOT VERIFIED: if these checkpoints are of another database, move them out of the data folder; \
                 else somebody took the log's key away"
            ),
            (false, _) => {
                say!("NOT VERIFIED: give the key that wrapped theirs in SECRET_KEY_PREVIOUS or ENCRYPTION_KEY_PREVIOUS")
            }
        };
    };
    let mut place = Vec::new();
    place.extend(finding.row_id.as_ref().map(|id| format!("id {id}")));
    place.extend(finding.seq.map(|seq| format!("row {seq}")));
    place.extend(finding.link.map(|link| format!("link {link}")));
    say!("BROKEN: {} ({})", finding.what, place.join(", "))
}

/// Follows the log until it is interrupted: one JSON line an event.
pub fn tail(lines: u32) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    block_on(async {
        let app = open(config).await?;
        let mut place = None;
        let mut before = std::collections::VecDeque::new();
        while let Some(last) = each(&app, place, |row| {
            before.push_back(row);
            if before.len() > lines as usize {
                before.pop_front();
            }
            Ok(())
        })
        .await?
        {
            place = Some(last);
        }
        before.into_iter().try_for_each(line)?;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(last) = each(&app, place, line).await? {
                place = Some(last);
            }
        }
        app.store.close().await;
        Ok(ExitCode::SUCCESS)
    })?
}

/// The whole log, the oldest first: one JSON line an event. That it was taken out stands in it.
pub fn export() -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    block_on(async {
        let app = open(config).await?;
        audit::note_export(&Caller::operator(), &app).await?;
        let mut place = None;
        while let Some(last) = each(&app, place, line).await? {
            place = Some(last);
        }
        app.store.close().await;
        Ok(ExitCode::SUCCESS)
    })?
}

/// Shows the next events; the place of the last, if there was one.
async fn each(
    app: &App,
    place: Option<(i64, i64)>,
    mut show: impl FnMut(PlacedRow) -> Result<(), Failure>,
) -> Result<Option<(i64, i64)>, Failure> {
    let rows = audit::following(&Caller::operator(), app, place).await?;
    let last = rows.last().map(|row| (row.position, row.seq));
    rows.into_iter().try_for_each(&mut show)?;
    Ok(last)
}

fn line(placed: PlacedRow) -> Result<(), Failure> {
    say!("{}", serde_json::to_string(&RowBody::from(placed.row))?)
}
