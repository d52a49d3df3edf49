//! `admin create` and `users …`: the same operations as the API's, by whoever runs the host.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use fastcms_core::accounts::{self, NewUser, User};
use fastcms_core::config::{Command, Sources};
use fastcms_core::{App, Caller, Error, access, attempts};
use fastcms_secrets::Secret;
use serde_json::json;

use super::running::{Settings, block_on, open, settings};
use super::{Failure, Outcome, confirmed};

/// Users a page when listing all of them.
const PAGE: i64 = 100;

pub fn create_admin(email: String, password_stdin: bool, name: Option<String>) -> Outcome {
    create(NewAccount { email, name, role: "admin", as_json: false }, password_stdin)
}

pub fn create_user(
    email: String,
    password_stdin: bool,
    name: Option<String>,
    role: &'static str,
    as_json: bool,
) -> Outcome {
    create(NewAccount { email, name, role, as_json }, password_stdin)
}

struct NewAccount {
    email: String,
    name: Option<String>,
    role: &'static str,
    as_json: bool,
}

fn create(new: NewAccount, password_stdin: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let password = read_password(password_stdin)?;
    let NewAccount { email, name, role, as_json } = new;
    let made = working_on(config, async |app| {
        let new = NewUser { email, password, name };
        accounts::create_by_admin(&Caller::operator(), app, new, role).await.map_err(refused)
    })?;
    tell(as_json, &row(&made), &format!("{role} `{}` created", made.email))
}

pub fn reset_password(email: &str, password_stdin: bool, as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let password = read_password(password_stdin)?;
    let user = working_on(config, async |app| {
        let changed = accounts::reset_password_by_email(&Caller::operator(), app, email, password).await;
        changed.map_err(|error| refused_for(error, email))
    })?;
    tell(
        as_json,
        &row(&user),
        &format!("user `{}` has another password, and every session of theirs is ended", user.email),
    )
}

pub fn require_password_change(email: &str, as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    working_on(config, async |app| {
        let marked = accounts::require_password_change_by_email(&Caller::operator(), app, email).await;
        marked.map_err(|error| refused_for(error, email))
    })?;
    let text = format!("user `{email}` was signed out, and has to change the password after the next sign-in");
    tell(as_json, &json!({"accounts": 1}), &text)
}

pub fn require_password_change_of_all(yes: bool, as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    if !yes && !confirmed("Have every account change its password before anything else?")? {
        return Err(Failure::new("nothing has changed"));
    }
    let marked = working_on(config, async |app| {
        accounts::require_password_change_of_all(&Caller::operator(), app).await.map_err(refused)
    })?;
    tell(as_json, &json!({"accounts": marked}), &format!("{marked} accounts have to change their passwords first"))
}

pub fn delete_user(email: &str, yes: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    if !yes && !confirmed(&format!("Delete the user `{email}` with everything that hangs on the account?"))? {
        return Err(Failure::new("nothing has changed"));
    }
    working_on(config, async |app| {
        let caller = access::recent(Caller::operator(), app).map_err(refused)?;
        accounts::delete_by_email(&caller, app, email).await.map_err(|error| refused_for(error, email))
    })?;
    say!("user `{email}` deleted")?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the product, does one thing with it, and closes it.
fn working_on<T>(settings: Settings, work: impl AsyncFnOnce(&App) -> Result<T, Failure>) -> Result<T, Failure> {
    block_on(async {
        let app = open(settings).await?;
        let done = work(&app).await;
        app.store.close().await;
        done
    })?
}

/// What was done: for a script, or for a person.
fn tell(as_json: bool, object: &serde_json::Value, text: &str) -> Outcome {
    if as_json {
        say!("{}", serde_json::to_string_pretty(object)?)?;
    } else {
        say!("{text}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// From a pipe when asked to, else asked for twice at the terminal. Never from an argument: those are for everybody to see.
fn read_password(from_stdin: bool) -> Result<Secret<String>, Failure> {
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let text = line.strip_suffix('\n').unwrap_or(&line);
        return Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "error: no terminal to ask for the password at: pipe it in and add `--password-stdin`",
        ));
    }
    let password = Secret::new(rpassword::prompt_password("Password: ")?);
    let again = Secret::new(rpassword::prompt_password("Password again: ")?);
    if password.expose() == again.expose() {
        Ok(password)
    } else {
        Err(Failure::new("error: the passwords do not match"))
    }
}

fn refused(error: Error) -> Failure {
    match error {
        Error::Validation(faults) | Error::PasswordPolicy(faults) => {
            Failure(faults.iter().map(|(field, message)| format!("error: {field}: {message}")).collect())
        }
        Error::EmailTaken => Failure::new("error: an account with this e-mail address exists already"),
        Error::LastAdmin => Failure::new("error: this is the last admin: make another one first"),
        other => other.into(),
    }
}

/// The same, where an address was given that may be nobody's.
fn refused_for(error: Error, email: &str) -> Failure {
    match error {
        Error::NotFound => Failure::new(format!("error: no user has the address `{email}`")),
        other => refused(other),
    }
}

pub fn list_users(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let users = working_on(config, async |app| all_users(app).await.map_err(Failure::from))?;
    if as_json {
        let rows: Vec<_> = users.iter().map(row).collect();
        say!("{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let widest = users.iter().map(|user| user.email.chars().count()).max().unwrap_or(0).max("EMAIL".len());
    say!("{:<36}  {:<widest$}  {:<5}  {:<8}  {:<8}  CREATED", "ID", "EMAIL", "ROLE", "VERIFIED", "DISABLED")?;
    for user in &users {
        let (verified, disabled) = (yes_no(user.verified), yes_no(user.disabled));
        say!(
            "{:<36}  {:<widest$}  {:<5}  {verified:<8}  {disabled:<8}  {}",
            user.id,
            user.email,
            user.role,
            user.created
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

pub fn unlock_user(email: &str) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let unlocked = working_on(config, async |app| {
        let unlocked = attempts::unlock_by_email(&Caller::operator(), app, email).await;
        unlocked.map_err(|error| refused_for(error, email))
    })?;
    say!("user `{}` unlocked", unlocked.email)?;
    Ok(ExitCode::SUCCESS)
}

async fn all_users(app: &App) -> Result<Vec<User>, Error> {
    let mut users = Vec::new();
    for page in 1.. {
        let found = accounts::list_by_admin(&Caller::operator(), app, page, PAGE).await?;
        let done = found.items.is_empty();
        users.extend(found.items);
        if done {
            break;
        }
    }
    Ok(users)
}

fn row(user: &User) -> serde_json::Value {
    json!({
        "id": user.id, "email": user.email, "name": user.name, "role": user.role,
        "verified": user.verified, "disabled": user.disabled, "must_change_password": user.must_change_password,
        "created": user.created,
    })
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
