//! The page of all commands, from the definitions that the command line is parsed by.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Arguments;

const HEAD: &str = "# Commands

Every command of `fastcms`. This page is generated from the code.

Commands read the same settings as the server (docs/settings.md), from the working directory. Exit codes: 0 done, 1 refused or failed,
2 wrong usage. Every command takes `--help`.

";

/// The page, as it lies in `docs/cli.md`.
pub fn reference_markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut root = Arguments::command();
    root.build();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(&mut page, command, "fastcms");
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// Writes a command that does something, or those below one that only groups them.
fn describe(page: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    let below: Vec<&Command> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    if !below.is_empty() {
        for command in below {
            describe(page, command, &name);
        }
        return;
    }
    let taken: Vec<&Arg> =
        command.get_arguments().filter(|one| !["help", "version"].contains(&one.get_id().as_str())).collect();
    let mut usage = name.clone();
    for argument in taken.iter().copied().filter(|argument| argument.is_positional()) {
        let _ = write!(usage, " <{}>", place(argument));
    }
    let _ = writeln!(page, "## `{usage}`\n\n{}\n", about(command));
    if taken.is_empty() {
        return;
    }
    page.push_str("| Argument | Default | Meaning |\n|---|---|---|\n");
    for argument in taken {
        let _ = writeln!(page, "| `{}` | {} | {} |", spelled(argument), default(argument), meaning(argument));
    }
    page.push('\n');
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// What stands for the value of an argument.
fn place(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string)
}

fn spelled(argument: &Arg) -> String {
    match argument.get_long() {
        Some(long) if argument.get_action().takes_values() => format!("--{long} <{}>", place(argument)),
        Some(long) => format!("--{long}"),
        None => format!("<{}>", place(argument)),
    }
}

fn default(argument: &Arg) -> String {
    let values = argument.get_default_values();
    if values.is_empty() || !argument.get_action().takes_values() {
        return "–".to_owned();
    }
    let texts: Vec<String> = values.iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    texts.join(", ")
}

/// What it is for, and which values it takes where there are only some.
fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values = argument.get_possible_values();
    if argument.get_action().takes_values() && !values.is_empty() {
        let names: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let separator = if text.is_empty() { "" } else { ": " };
        let _ = write!(text, "{separator}{}", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &Command, above: &str) {
            let name = format!("{above} {}", command.get_name());
            assert!(!about(command).is_empty(), "{name} does not say what it does");
            assert!(!about(command).ends_with('.'), "{name} ends with a full stop");
            for argument in command.get_arguments() {
                assert!(!meaning(argument).is_empty(), "`{}` of {name} says nothing", argument.get_id());
            }
            command.get_subcommands().for_each(|command| check(command, &name));
        }
        check(&Arguments::command(), "");
    }
}
