//! What the process does to itself so that others on the host learn less of it: secrets given by environment leave it, memory is not
//! written to disk when it ends badly, and nobody but root looks into it.
//!
//! The environment that a process was started with stays readable in `/proc` whatever it does later. So the server starts itself anew,
//! once, without those variables; they travel in a file that has no name and lies in memory, by the standard input.

use fastcms_core::config::Sources;

/// The variable that says to a process of this id that its standard input holds what it is not to find in its environment.
#[cfg(target_os = "linux")]
const CARRIED: &str = "FASTCMS_CARRIED";

/// The environment and the working directory of this process, secrets taken out of the former: where some are in it, the process is
/// replaced by one that has them from elsewhere.
///
/// # Errors
/// What kept the secrets in the environment, for people.
#[cfg(target_os = "linux")]
pub fn sources() -> Result<Sources, String> {
    let mut sources = Sources::from_process();
    let own = std::process::id().to_string();
    let is_carried = sources.environment.iter().any(|(name, value)| name == CARRIED && *value == own);
    sources.environment.retain(|(name, _)| name != CARRIED);
    if is_carried {
        sources.environment.extend(carried().map_err(|error| format!("the environment could not be read: {error}"))?);
        return Ok(sources);
    }
    let names = sources.secret_names();
    if names.is_empty() {
        return Ok(sources);
    }
    let error = replace(&sources, &names);
    eprintln!("warning: secrets stay in the environment of the process: {error}");
    Ok(sources)
}

/// Elsewhere the environment of a process is nobody else's to read.
#[cfg(not(target_os = "linux"))]
pub fn sources() -> Result<Sources, String> {
    Ok(Sources::from_process())
}

/// Starts this program anew in this process, without these variables. Answers only where that did not work.
#[cfg(target_os = "linux")]
fn replace(sources: &Sources, names: &[String]) -> std::io::Error {
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::process::CommandExt;

    let hand_over = || -> std::io::Result<()> {
        let file = rustix::fs::memfd_create("environment", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        let moved: Vec<&(String, String)> =
            sources.environment.iter().filter(|(name, _)| names.contains(name)).collect();
        serde_json::to_writer(&mut file, &moved).map_err(std::io::Error::other)?;
        file.flush()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(rustix::stdio::dup2_stdin(&file)?)
    };
    if let Err(error) = hand_over() {
        return error;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(CARRIED, std::process::id().to_string());
    for name in names {
        command.env_remove(name);
    }
    command.exec()
}

/// What was handed over. The file that held it is gone afterwards.
#[cfg(target_os = "linux")]
fn carried() -> std::io::Result<Vec<(String, String)>> {
    use std::io::Read;

    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    let text = fastcms_secrets::Secret::new(text);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    serde_json::from_str(text.expose()).map_err(std::io::Error::other)
}

/// No core dumps, no looking into the memory for other processes of the same user, and no gaining of rights: what a production server
/// does before it opens anything. What the system refuses is said, and is no reason not to serve.
pub fn confine() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let done = [
            ("core dumps cannot be turned off", setrlimit(Resource::Core, none)),
            ("memory stays readable to the same user", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
            ("programs could gain rights", rustix::thread::set_no_new_privs(true)),
        ];
        for (what, outcome) in done {
            if let Err(error) = outcome {
                tracing::warn!(%error, "{what}");
            }
        }
    }
}
