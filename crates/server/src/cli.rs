//! The command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

/// Writes a line to standard output, and says so where that is not possible: a command whose word cannot be heard has failed.
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::write_out(format_args!("{}\n", format_args!($($line)*))) };
}

/// Writes a line to standard error. Where nobody hears that, nothing is left to do about it.
macro_rules! complain {
    ($($line:tt)*) => { drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($line)*)))) };
}

mod accounts;
mod audit;
mod config;
mod doctor;
mod init;
mod ip_rules;
mod key_chores;
mod keys;
mod migrate;
mod openapi;
mod reference;
mod running;
mod secrets;
mod serve;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

pub use reference::reference_markdown;

use crate::logging::panics;

/// A headless CMS in one binary that hardens itself
#[derive(Debug, Parser)]
#[command(name = "fastcms", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server, as `ENVIRONMENT` says
    Serve(Listen),
    /// Run a development server on this machine only, with the API docs on
    Dev(Dev),
    /// Make a folder to start from: settings with a random secret, data folder, README
    Init {
        /// Folder to make; an existing one must be empty
        dir: PathBuf,
        /// Database that the settings name
        #[arg(long, value_enum, default_value_t = DatabaseKind::Sqlite)]
        database: DatabaseKind,
    },
    /// Admins
    Admin {
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Users
    Users {
        #[command(subcommand)]
        action: UsersAction,
    },
    /// Keys that sign tokens: what still depends on each, new ones, rotation
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Secrets of the settings: where each comes from and how old it is, never what it is
    Secrets {
        #[command(subcommand)]
        action: SecretsAction,
    },
    /// Which client addresses may come in
    IpRules {
        #[command(subcommand)]
        action: IpRulesAction,
    },
    /// The audit log: prove that nobody touched it, follow it, take it out
    Audit {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Look that nothing is wrong with what is stored
    Doctor {
        #[command(subcommand)]
        action: DoctorAction,
    },
    /// Schema of the database
    Migrate {
        #[command(subcommand)]
        action: MigrateAction,
    },
    /// Every setting: value in force (secrets masked), default, and where it came from
    Config {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the API schema, whether or not a server would show it
    Openapi {
        /// How it is written
        #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
        format: SchemaFormat,
    },
}

#[derive(Debug, clap::Args)]
struct Listen {
    /// Address to listen on, instead of `APP_HOST`
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on, instead of `APP_PORT`
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, clap::Args)]
struct Dev {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on, instead of `APP_PORT`
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DatabaseKind {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaFormat {
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    User,
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Subcommand)]
enum AdminAction {
    /// Make an admin; the password is asked for, or read from standard input
    Create {
        /// Address to sign in with
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Name shown to others
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum UsersAction {
    /// List users, newest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a user; the password is asked for, or read from standard input
    Create {
        /// Address of the account
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Name shown to others
        #[arg(long)]
        name: Option<String>,
        /// What the user is to be
        #[arg(long, value_enum, default_value_t = Role::User)]
        role: Role,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a user another password; every session of theirs ends
    ResetPassword {
        /// Address of the account
        email: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Mark a user, or everybody, as compromised: after the next sign-in only the password can be changed
    RequirePasswordChange {
        /// Address of the user
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        email: Option<String>,
        /// Every account, those of auth collections included; asks first
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long, requires = "all")]
        yes: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End the locks of a user and forget failed attempts
    Unlock {
        /// Address of the account
        email: String,
    },
    /// Delete a user with everything that hangs on the account; asks first
    Delete {
        /// Address of the account
        email: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// What still depends on each key; exit code 0 only when every previous key may be removed
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a new key, good for `SECRET_KEY`
    Generate,
    /// Put a new key where the old one is kept, and the old one among the previous ones; asks first
    Rotate {
        /// Only put the new key into `SECRET_KEY_NEXT`; once every node knows it, rotate
        #[arg(long, conflicts_with = "emergency")]
        next: bool,
        /// For a key that leaked: end every session and every token at once, and keep no other key
        #[arg(long)]
        emergency: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Wrap every data key anew by what wraps them now: another key, or the newest version of `ENCRYPTION_TRANSIT_KEY`
    Rewrap,
    /// Make another data key for what is sealed in the database, and seal every value anew under it
    Reseal {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SecretsAction {
    /// Follow every reference once and list what came of it; exit code 1 when a secret is not as it should be
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Do the same and say what would come of each; exit code 1 when a server would not start for the want of one
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a key anew where it is kept, in a manager or a file
    Rotate {
        /// Its setting
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum IpRulesAction {
    /// Remove every rule, those that block too: the way back in after locking everybody out; asks first
    Clear {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AuditAction {
    /// Check every event and the chain over them; exit code 1 and the first bad row when something is wrong
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Checkpoints kept elsewhere, instead of those in the data folder
        #[arg(long)]
        checkpoints: Option<PathBuf>,
    },
    /// Follow the log: one JSON line an event
    Tail {
        /// Events to begin with
        #[arg(long, default_value_t = 10)]
        lines: u32,
    },
    /// Print the whole log, the oldest event first: one JSON line each
    Export,
}

#[derive(Debug, Subcommand)]
enum DoctorAction {
    /// Try to open everything that is sealed; exit code 1 and the places where something does not open
    Secrets {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum MigrateAction {
    /// What was applied and what is pending; exit code 1 when something is
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Apply what is pending
    Up,
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    panics::take_over();
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(listen) => serve::serve(listen),
        Command::Dev(dev) => serve::dev(dev),
        Command::Init { dir, database } => init::init(&dir, database),
        Command::Admin { action: AdminAction::Create { email, password_stdin, name } } => {
            accounts::create_admin(email, password_stdin, name)
        }
        Command::Users { action } => users(action),
        Command::Keys { action: KeysAction::Status { json } } => keys::status(json),
        Command::Keys { action: KeysAction::Generate } => keys::generate(),
        Command::Keys { action: KeysAction::Rotate { next, emergency, yes } } => keys::rotate(next, emergency, yes),
        Command::Keys { action: KeysAction::Rewrap } => keys::rewrap(),
        Command::Keys { action: KeysAction::Reseal { yes } } => keys::reseal(yes),
        Command::Doctor { action: DoctorAction::Secrets { json } } => doctor::secrets(json),
        Command::Secrets { action: SecretsAction::List { json } } => secrets::list(json),
        Command::Secrets { action: SecretsAction::Check { json } } => secrets::check(json),
        Command::Secrets { action: SecretsAction::Rotate { name, json } } => secrets::rotate(&name, json),
        Command::IpRules { action: IpRulesAction::Clear { yes } } => ip_rules::clear(yes),
        Command::Audit { action: AuditAction::Verify { json, checkpoints } } => audit::verify(json, checkpoints),
        Command::Audit { action: AuditAction::Tail { lines } } => audit::tail(lines),
        Command::Audit { action: AuditAction::Export } => audit::export(),
        Command::Migrate { action: MigrateAction::Status { json } } => migrate::status(json),
        Command::Migrate { action: MigrateAction::Up } => migrate::up(),
        Command::Config { json } => config::print(json),
        Command::Openapi { format } => openapi::print(format),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure(lines)) => {
            for line in &lines {
                complain!("{line}");
            }
            // No line: the reader of our output has left, as `head` does. That is no failure of ours.
            if lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn users(action: UsersAction) -> Outcome {
    match action {
        UsersAction::List { json } => accounts::list_users(json),
        UsersAction::Create { email, password_stdin, name, role, json } => {
            accounts::create_user(email, password_stdin, name, role.name(), json)
        }
        UsersAction::ResetPassword { email, password_stdin, json } => {
            accounts::reset_password(&email, password_stdin, json)
        }
        UsersAction::RequirePasswordChange { email: Some(email), json, .. } => {
            accounts::require_password_change(&email, json)
        }
        UsersAction::RequirePasswordChange { email: None, yes, json, .. } => {
            accounts::require_password_change_of_all(yes, json)
        }
        UsersAction::Unlock { email } => accounts::unlock_user(&email),
        UsersAction::Delete { email, yes } => accounts::delete_user(&email, yes),
    }
}

/// Why a command was refused or failed: lines for standard error.
#[derive(Debug)]
struct Failure(Vec<String>);

impl Failure {
    fn new(line: impl Into<String>) -> Self {
        Self(vec![line.into()])
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string().lines().map(|line| format!("error: {line}")).collect())
    }
}

/// The way to standard output.
fn write_out(text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure(Vec::new())),
        Err(error) => Err(Failure::new(format!("error: standard output: {error}"))),
    }
}

/// Asks at the terminal; without one nobody has agreed to anything.
fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("error: no terminal to ask at: add `--yes`"));
    }
    write_out(format_args!("{question} [y/N] "))?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

type Outcome = Result<ExitCode, Failure>;
