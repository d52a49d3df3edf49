//! `admin create` and `users list`: the same operations as the API's, by whoever runs the host.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use fastcms_core::accounts::{self, NewUser, User};
use fastcms_core::config::{Command, Sources};
use fastcms_core::{Caller, Error, attempts};
use fastcms_secrets::Secret;
use serde_json::json;

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};

/// Users a page when listing all of them.
const PAGE: i64 = 100;

pub fn create_admin(email: String, password_stdin: bool, name: Option<String>) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let password = read_password(password_stdin)?;
    block_on(async {
        let app = open(config).await?;
        let made =
            accounts::create_by_admin(&Caller::operator(), &app, NewUser { email, password, name }, "admin").await;
        app.store.close().await;
        match made {
            Ok(user) => {
                println!("admin `{}` created", user.email);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(refused(error)),
        }
    })?
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
        other => other.into(),
    }
}

pub fn list_users(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let users = block_on(async {
        let app = open(config).await?;
        let users = all_users(&app).await;
        app.store.close().await;
        users.map_err(Failure::from)
    })??;
    if as_json {
        let rows: Vec<_> = users.iter().map(row).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let widest = users.iter().map(|user| user.email.chars().count()).max().unwrap_or(0).max("EMAIL".len());
    println!("{:<36}  {:<widest$}  {:<5}  {:<8}  {:<8}  CREATED", "ID", "EMAIL", "ROLE", "VERIFIED", "DISABLED");
    for user in &users {
        let (verified, disabled) = (yes_no(user.verified), yes_no(user.disabled));
        println!(
            "{:<36}  {:<widest$}  {:<5}  {verified:<8}  {disabled:<8}  {}",
            user.id, user.email, user.role, user.created
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub fn unlock_user(email: &str) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let unlocked = block_on(async {
        let app = open(config).await?;
        let unlocked = attempts::unlock_by_email(&Caller::operator(), &app, email).await;
        app.store.close().await;
        match unlocked {
            Ok(user) => Ok(user),
            Err(Error::NotFound) => Err(Failure::new(format!("error: no user has the address `{email}`"))),
            Err(error) => Err(error.into()),
        }
    })??;
    println!("user `{}` unlocked", unlocked.email);
    Ok(ExitCode::SUCCESS)
}

async fn all_users(app: &fastcms_core::App) -> Result<Vec<User>, Error> {
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
        "verified": user.verified, "disabled": user.disabled, "created": user.created,
    })
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
