//! What people read about the variables: the settings reference and the example file, both written from the catalog.

use std::fmt::Write as _;

use super::catalog::{self, Concern, Preset, Variable};
use super::keys::PLACEHOLDER;
use super::kind::Kind;

const REFERENCE_INTRO: &str = "# Settings

Every variable of the configuration. This page is generated from the code.

Values are looked for in the process environment, then in `.env`, then in `fastcms.toml` (the same names, lower case), both in the
working directory; the first that has a name wins. Names are case-insensitive. `fastcms config` prints the effective values and
where each came from.

- An empty value is as good as none, except for a list, where it is the empty list.
- A list is written with commas or as a JSON array: `a, b` or `[\"a\", \"b\"]`.
- A secret `X` may come from a file named by `X_FILE` instead: at most 64 KiB, one newline at its end is cut. Setting both is an error.
  Without either, a file of its name in `$CREDENTIALS_DIRECTORY` (systemd) is taken.
- A secret may be a reference to where it is kept: `env:NAME`, `file:/path`, or one to a secret manager (docs/secrets.md).
- A malformed value stops the start. All faults are reported together, one line each.
";

const EXAMPLE_INTRO: &str = "# Settings of FastCMS, read from the working directory. Copy this file to `.env` (mode 0600), uncomment what you change.
# This file is generated from the code; docs/settings.md says the same at more length.
#
# Keys below are placeholders, and production refuses them: `fastcms keys generate` prints a good one.
";

/// The settings reference: one table for each concern.
pub fn reference_markdown() -> String {
    let mut page = REFERENCE_INTRO.to_owned();
    for (concern, variables) in by_concern() {
        let rows = variables.iter().map(|variable| {
            [format!("`{}`", variable.name), variable.kind.label(), default_cell(variable), meaning(variable)]
        });
        let head = ["Name", "Type", "Default", "Meaning"].map(str::to_owned);
        let _ = write!(page, "\n## {}\n\n{}", concern.title(), table(std::iter::once(head).chain(rows).collect()));
    }
    page
}

/// The example file: every variable in use, commented out, with its default or a placeholder.
pub fn env_example() -> String {
    let mut file = EXAMPLE_INTRO.to_owned();
    for (concern, variables) in by_concern() {
        // Nobody should be led to a variable that is not read.
        if concern == Concern::Retired {
            continue;
        }
        let _ = writeln!(file, "\n# --- {} ---", concern.title());
        for variable in variables {
            let value = match (variable.kind, variable.default) {
                (Kind::Key, _) => PLACEHOLDER,
                (_, Preset::Is(text)) => text,
                (_, Preset::Unset | Preset::Depends(_)) => "",
            };
            let default = match variable.default {
                Preset::Depends(text) => format!(" Default: {text}."),
                Preset::Is(_) | Preset::Unset => String::new(),
            };
            let quote = if value.contains(' ') { "\"" } else { "" };
            let _ = writeln!(file, "# {}{default}\n#{}={quote}{value}{quote}", variable.doc, variable.name);
        }
    }
    file
}

/// The catalog cut where the concern changes.
fn by_concern() -> impl Iterator<Item = (Concern, &'static [&'static Variable])> {
    catalog::ALL.chunk_by(|one, next| one.concern == next.concern).map(|chunk| (chunk[0].concern, chunk))
}

fn default_cell(variable: &Variable) -> String {
    match variable.default {
        Preset::Unset => "–".to_owned(),
        // Long lists may break between items.
        Preset::Is(text) => text.split(',').map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", "),
        Preset::Depends(text) => text.to_owned(),
    }
}

fn meaning(variable: &Variable) -> String {
    let mut text = variable.doc.to_owned();
    if !variable.aliases.is_empty() {
        let aliases = variable.aliases.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = write!(text, " Also read as {aliases}.");
    }
    if variable.is_secret() {
        let _ = write!(text, " Secret, also as `{}_FILE`.", variable.name);
    }
    text
}

/// A Markdown table whose columns line up; the last one is left ragged.
fn table(rows: Vec<[String; 4]>) -> String {
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| cell.replace('|', "\\|"))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (name, kind, default) = (width(0), width(1), width(2));
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let [a, b, c, d] = row;
        let _ = writeln!(text, "| {a:name$} | {b:kind$} | {c:default$} | {d} |");
        if i == 0 {
            let _ = writeln!(text, "|{:-<1$}|{2:-<3$}|{4:-<5$}|---|", "", name + 2, "", kind + 2, "", default + 2);
        }
    }
    text
}
