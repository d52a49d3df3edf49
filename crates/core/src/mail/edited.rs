//! Texts of mails that admins wrote, in the place of those delivered with the program.
//!
//! A text names values and asks whether they are there; it can do nothing else: no loops, no assignments, no operators, no calls. It
//! may name what the delivered text of its kind names, and must show the link or code that the mail is for. All of that is checked
//! when it is saved and again when it is used: a text that has become unfit loses no mail, the delivered one is sent.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use fastcms_store::Plan;
use fastcms_store::mails::templates::{self as rows, StoredTemplate};
use serde_json::{Map, Value, json};

use super::Kind;
use super::template::{Rendered, Template, render};
use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event, Recorded};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};
use crate::time::stamp;

/// Longest subject and longest body as they are written, characters.
const MAX_SUBJECT: usize = 200;
const MAX_BODY: usize = 10_000;
/// Names that every text may use.
const COMMON: [&str; 3] = ["app_name", "base_url", "email"];

/// The texts in force on this node, by kind.
pub(super) type Edited = ArcSwap<HashMap<String, Template>>;

/// A text, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTemplate {
    pub kind: &'static str,
    pub subject: String,
    pub body: String,
    /// Whether an admin wrote it.
    pub edited: bool,
    /// What it may name.
    pub variables: Vec<&'static str>,
    pub updated: Option<String>,
    /// Why the delivered text is sent in its place.
    pub fault: Option<String>,
}

/// Reads the texts anew.
pub(crate) async fn reload(app: &App) -> Result<()> {
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let texts = stored.into_iter().map(|row| (row.kind, Template { subject: row.subject, text: row.body }));
    app.mail.edited.store(Arc::new(texts.collect()));
    Ok(())
}

/// The texts of all kinds.
pub async fn templates(caller: &Caller, app: &App) -> Result<Vec<ShownTemplate>> {
    access::require(caller, Permission::SettingsRead)?;
    all(app).await
}

async fn all(app: &App) -> Result<Vec<ShownTemplate>> {
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    Ok(Kind::ALL.iter().map(|kind| show(*kind, stored.iter().find(|row| row.kind == kind.name()))).collect())
}

/// The text of one kind.
///
/// # Errors
/// [`Error::NotFound`] for an unknown kind.
pub async fn template(caller: &Caller, app: &App, kind: &str) -> Result<ShownTemplate> {
    templates(caller, app).await?.into_iter().find(|shown| shown.kind == kind).ok_or(Error::NotFound)
}

/// Puts a text in the place of the delivered one; the next mail has it, on every node.
///
/// # Errors
/// What is wrong with it, under `subject` and `body`.
pub async fn set_template(caller: &Caller, app: &App, kind: &str, text: Template) -> Result<ShownTemplate> {
    access::require(caller, Permission::SettingsWrite)?;
    let kind = Kind::named(kind).ok_or(Error::NotFound)?;
    let text = Template { subject: text.subject.trim().to_owned(), text: text.text.replace("\r\n", "\n") };
    check(kind, &text)?;
    preview_of(app, kind, &text)?;
    let updated = stamp(app.now_millis());
    let row = StoredTemplate { kind: kind.name().to_owned(), subject: text.subject, body: text.text, updated };
    let stored = row.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let before = rows::of_kind(tx, &row.kind).await?;
            rows::put(tx, &row).await?;
            let event = Event::MailTextChanged.on("mail_template", row.kind.as_str());
            Ok::<_, Error>(trail.record(tx, event.change(seen(kind, before.as_ref()), seen(kind, Some(&row)))).with(()))
        })
    })
    .await?;
    reload(app).await?;
    Ok(show(kind, Some(&stored)))
}

/// Goes back to the delivered text.
pub async fn reset_template(caller: &Caller, app: &App, kind: &str) -> Result<()> {
    access::require(caller, Permission::SettingsWrite)?;
    let kind = Kind::named(kind).ok_or(Error::NotFound)?;
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let Some(before) = rows::of_kind(tx, kind.name()).await? else {
                return Ok(Recorded::nothing_happened().with(()));
            };
            rows::delete(tx, kind.name()).await?;
            let event = Event::MailTextChanged.on("mail_template", kind.name());
            Ok::<_, Error>(trail.record(tx, event.change(seen(kind, Some(&before)), seen(kind, None))).with(()))
        })
    })
    .await?;
    reload(app).await
}

/// A mail as it would be read, with values made up: of this text, or of the one in force.
pub async fn preview(caller: &Caller, app: &App, kind: &str, text: Option<Template>) -> Result<Rendered> {
    access::require(caller, Permission::SettingsWrite)?;
    let kind = Kind::named(kind).ok_or(Error::NotFound)?;
    let in_force = all(app).await?.into_iter().find(|shown| shown.kind == kind.name()).ok_or(Error::NotFound)?;
    let text = text.unwrap_or(Template { subject: in_force.subject, text: in_force.body });
    check(kind, &text)?;
    preview_of(app, kind, &text)
}

/// What goes into a mail of this kind: the text of an admin where there is one that is fit, else the delivered one.
pub(super) fn render_for(app: &App, kind: Kind, values: &Map<String, Value>) -> std::result::Result<Rendered, String> {
    let edited = app.mail.edited.load();
    let Some(text) = edited.get(kind.name()) else { return render(&Template::delivered(kind), values) };
    let fit =
        check(kind, text).map_err(|error| error.to_string()).and_then(|()| complete(render(text, values)?, values));
    match fit {
        Ok(rendered) => Ok(rendered),
        Err(fault) => {
            let name = kind.name();
            tracing::error!(
                kind = name,
                fault,
                "the text that an admin wrote cannot be used: the delivered one is sent"
            );
            audit::note(
                &Caller::background(),
                app,
                Event::MailTextUnfit.on("mail_template", name).with("fault", fault),
            );
            render(&Template::delivered(kind), values)
        }
    }
}

/// A mail that is for a link or a code shows it.
fn complete(rendered: Rendered, values: &Map<String, Value>) -> std::result::Result<Rendered, String> {
    for name in ["link", "code"] {
        let wanted = values.get(name).and_then(Value::as_str);
        if wanted.is_some_and(|value| !rendered.text.contains(value)) {
            return Err(format!("`{name}` is not shown"));
        }
    }
    Ok(rendered)
}

fn preview_of(app: &App, kind: Kind, text: &Template) -> Result<Rendered> {
    let mut values = Map::new();
    for name in variables(kind) {
        values.insert(name.to_owned(), sample(app, kind, name));
    }
    let rendered = render(text, &values).and_then(|rendered| complete(rendered, &values));
    rendered.map_err(|fault| Error::field("body", fault))
}

/// Something that might stand in the place of a name.
fn sample(app: &App, kind: Kind, name: &str) -> Value {
    let page = kind.purpose().map_or("/", super::Purpose::page);
    match name {
        "app_name" => json!(app.config.server.app_name),
        "base_url" => json!(app.issuer),
        "email" | "new_email" => json!("somebody@example.com"),
        "link" => json!(format!("{}{page}#example", app.issuer)),
        "code" => json!("123456"),
        "ip_address" => json!("203.0.113.7"),
        "time" | "locked_until" | "until" => json!(super::written(app.now_millis())),
        other => json!(format!("({other})")),
    }
}

fn show(kind: Kind, stored: Option<&StoredTemplate>) -> ShownTemplate {
    let text = stored.map_or_else(
        || Template::delivered(kind),
        |row| Template { subject: row.subject.clone(), text: row.body.clone() },
    );
    ShownTemplate {
        kind: kind.name(),
        fault: stored.and_then(|_| check(kind, &text).err()).map(|error| error.to_string()),
        subject: text.subject,
        body: text.text,
        edited: stored.is_some(),
        variables: variables(kind).into_iter().collect(),
        updated: stored.map(|row| row.updated.clone()),
    }
}

/// A text as the audit log shows it.
fn seen(kind: Kind, stored: Option<&StoredTemplate>) -> Value {
    let shown = show(kind, stored);
    json!({"subject": shown.subject, "body": shown.body})
}

/// What a text of this kind may name.
fn variables(kind: Kind) -> BTreeSet<&'static str> {
    let (subject, text) = kind.text();
    let mut names: BTreeSet<&str> = COMMON.into();
    for source in [subject, text] {
        names.extend(tags(source).flatten().flat_map(|tag| tag.names));
    }
    names
}

/// Every fault of a text.
fn check(kind: Kind, text: &Template) -> Result<()> {
    let mut faults = FieldErrors::default();
    if text.subject.is_empty() {
        faults.add("subject", "This field is required");
    }
    if text.subject.contains(['\n', '\r']) {
        faults.add("subject", "Must be one line");
    }
    let allowed = variables(kind);
    for (field, source, most) in [("subject", &text.subject, MAX_SUBJECT), ("body", &text.text, MAX_BODY)] {
        if source.chars().count() > most || source.contains('\0') {
            faults.add(field, format!("Maximum length is {most}"));
            continue;
        }
        if let Some(fault) = fault_of(source, &allowed) {
            faults.add(field, fault);
        }
    }
    faults.into_result()
}

fn fault_of(source: &str, allowed: &BTreeSet<&str>) -> Option<String> {
    let mut open = 0_i32;
    for tag in tags(source) {
        let Tag { names, opens } = match tag {
            Ok(tag) => tag,
            Err(fault) => return Some(fault),
        };
        if let Some(unknown) = names.iter().find(|name| !allowed.contains(*name)) {
            let known: Vec<&str> = allowed.iter().copied().collect();
            return Some(format!("Unknown name `{unknown}`: this mail knows {}", known.join(", ")));
        }
        open += opens;
        if open < 0 {
            return Some("An `endif` ends nothing".to_owned());
        }
    }
    (open != 0).then(|| "An `if` is not ended".to_owned())
}

/// What stands between braces: the names in it, and whether it begins (1) or ends (-1) a part.
struct Tag<'t> {
    names: Vec<&'t str>,
    opens: i32,
}

/// The tags of a text: `{{ name }}`, and `{% if … %}`, `{% elif … %}`, `{% else %}`, `{% endif %}` with names, `not`, `and`, `or`.
fn tags(source: &str) -> impl Iterator<Item = std::result::Result<Tag<'_>, String>> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let at = ["{{", "{%", "{#"].iter().filter_map(|head| rest.find(head)).min()?;
        let (kind, tail) = rest[at..].split_at(2);
        let end = match kind {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let Some((inner, after)) = tail.split_once(end) else {
            rest = "";
            return Some(Err(format!("A `{kind}` is not closed")));
        };
        rest = after;
        Some(tag(kind, inner))
    })
}

fn tag<'t>(kind: &str, inner: &'t str) -> std::result::Result<Tag<'t>, String> {
    let refused = || Err(format!("Only names and `if` with names may stand between braces, not `{}`", inner.trim()));
    let words: Vec<&str> = inner.split_whitespace().collect();
    match (kind, words.as_slice()) {
        ("{{", [name]) if is_name(name) => Ok(Tag { names: vec![name], opens: 0 }),
        ("{%", ["else"]) => Ok(Tag { names: Vec::new(), opens: 0 }),
        ("{%", ["endif"]) => Ok(Tag { names: Vec::new(), opens: -1 }),
        ("{%", [verb @ ("if" | "elif"), condition @ ..]) if is_condition(condition) => {
            let names = condition.iter().copied().filter(|word| !is_connective(word)).collect();
            Ok(Tag { names, opens: i32::from(*verb == "if") })
        }
        _ => refused(),
    }
}

/// Names, each perhaps behind `not`, with `and` or `or` between them.
fn is_condition(words: &[&str]) -> bool {
    words.split(|word| matches!(*word, "and" | "or")).all(|part| match part {
        [name] | ["not", name] => is_name(name),
        _ => false,
    })
}

fn is_connective(word: &str) -> bool {
    matches!(word, "and" | "or" | "not")
}

fn is_name(word: &str) -> bool {
    !is_connective(word)
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(kind: Kind, body: &str) -> bool {
        check(kind, &Template { subject: "s".to_owned(), text: body.to_owned() }).is_err()
    }

    #[test]
    fn every_delivered_text_is_fit() {
        for kind in Kind::ALL {
            check(*kind, &Template::delivered(*kind)).unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        }
    }

    #[test]
    fn names_and_conditions_are_all_that_may_stand_between_braces() {
        for fit in [
            "",
            "plain } text { with braces",
            "{{ email }} {{email}}",
            "{% if link and not email %}{{ link }}{% elif app_name or email %}b{% else %}c{% endif %}",
        ] {
            assert!(!faults(Kind::Verification, fit), "{fit}");
        }
        for unfit in [
            "{{ email.x }}",
            "{{ email|upper }}",
            "{{ 'a' ~ 'b' }}",
            "{{ email ~ email }}",
            "{{ [1] }}",
            "{{ range(9) }}",
            "{{ code }}",
            "{{ }}",
            "{{ email",
            "{% set email = email ~ email %}",
            "{% for a in email %}{% endfor %}",
            "{% if email == 'x' %}{% endif %}",
            "{% if %}{% endif %}",
            "{% if email %}",
            "{% endif %}{% if email %}",
            "{% include 'text' %}",
            "{% raw %}{% endraw %}",
            "{%- if email -%}{%- endif -%}",
            "{# a comment #}",
            "{{ true }}",
            "{{ loop }}",
            "a\u{0}b",
        ] {
            assert!(faults(Kind::Verification, unfit), "{unfit}");
        }
        assert!(faults(Kind::Verification, &"x".repeat(MAX_BODY + 1)));
        assert!(!faults(Kind::Verification, &"ü".repeat(MAX_BODY)));
    }

    #[test]
    fn a_text_may_name_what_the_delivered_one_names() {
        assert!(!faults(Kind::OneTimeCode, "{{ code }}") && faults(Kind::OneTimeCode, "{{ link }}"));
        assert!(!faults(Kind::AccountLocked, "{{ locked_until }} {{ ip_address }}"));
    }
}
