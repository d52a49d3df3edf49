//! Secrets that grow old: admins hear of it in good time, once, and a key that may rotate by itself does.
//!
//! A key rotates by itself where the operator set `SECRET_MAX_AGE_DAYS` and its place can be written: whoever names an age wants it kept.
//! Of several nodes the one that first writes down what is to be told tells it, and the one that takes a key replaces it.

use fastcms_store::Plan;
use fastcms_store::secret_rotations as rows;

use super::inventory::{self, About};
use super::rotation::{self, Care};
use crate::access;
use crate::app::App;
use crate::caller::Caller;
use crate::config::Variable;
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Mail};

/// What there is to say about an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A tenth of its time is left.
    Soon,
    /// Its time is up.
    Due,
}

/// Looks at the age of every secret whose source says when it was written.
pub async fn watch_ages(caller: &Caller, app: &App) -> Result<()> {
    for variable in inventory::secrets() {
        let Some((about, false)) = inventory::about(app, variable).await else { continue };
        let Some(created) = about.created else { continue };
        let limit = inventory::limit_days(variable, app.config.secrets.max_age_days);
        let age = (app.now_seconds() - created).max(0) / 86_400;
        let rotates = app.config.secrets.max_age_days.is_some() && rotation::can_rotate(app, variable);
        // A day ahead, so that it never is too old; where a day is much, on the day.
        if rotates && age >= limit - i64::from(limit >= 10) {
            if let Err(error) = rotate(caller, app, variable).await
                && !is_seen_to(app, variable).await?
            {
                rotation::note_refusal(caller, app, variable, &error).await;
                tell(app, variable, &about, (Stage::Due, age, limit), &format!("It could not be rotated: {error}."))
                    .await?;
            }
        } else if !rotates && age >= limit - (limit / 10).max(1).min(limit - 1) {
            let stage = if age >= limit { Stage::Due } else { Stage::Soon };
            tell(app, variable, &about, (stage, age, limit), "Rotate it where it is kept.").await?;
        }
    }
    Ok(())
}

async fn rotate(caller: &Caller, app: &App, variable: &'static Variable) -> Result<()> {
    let caller = access::recent(caller.clone(), app)?;
    rotation::replace_key(&caller, app, variable, Care::Full).await.map(drop)
}

/// Whether another node is at it, or has just done it: this one may not have seen what became of it.
async fn is_seen_to(app: &App, variable: &'static Variable) -> Result<bool> {
    let (name, now) = (variable.name, app.now_seconds());
    let read = app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { rows::is_seen_to(reader, name, now, now - 86_400).await })
    });
    Ok(read.await?)
}

/// Says it in the log and to the admins, once for each version and stage.
async fn tell(
    app: &App,
    variable: &'static Variable,
    about: &About,
    (stage, age, limit): (Stage, i64, i64),
    what_to_do: &str,
) -> Result<()> {
    let name = variable.name;
    let told = format!("{stage:?} {}", about.created.unwrap_or_default());
    let headline = match stage {
        Stage::Soon => format!("{name} is due for rotation soon"),
        Stage::Due => format!("{name} is due for rotation"),
    };
    let message = format!("{name} ({}) is {age} days old; the limit is {limit} days. {what_to_do}", about.source);
    let notice = Mail::new(app, Kind::NoticeToAdmins, "");
    let notice = notice.saying("headline", headline.as_str()).saying("message", message.as_str());
    let is_new = app.store.write(move |tx| {
        Box::pin(async move {
            if !rows::tell(tx, name, &told).await? {
                return Ok::<_, Error>(false);
            }
            mail::to_admins(tx, notice).await?;
            Ok(true)
        })
    });
    if is_new.await? {
        tracing::warn!(name, source = about.source, age_days = age, limit_days = limit, "{message}");
    }
    Ok(())
}
