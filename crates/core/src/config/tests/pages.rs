use super::super::{Concern, Preset, catalog, env_example, reference_markdown};
use super::World;

#[test]
fn the_reference_lists_every_variable_once_with_its_default() {
    let page = reference_markdown();
    for variable in catalog::ALL {
        let cell = format!("| `{}` ", variable.name);
        assert_eq!(page.matches(&cell).count(), 1, "{}", variable.name);
        let row = page.lines().find(|line| line.starts_with(&cell)).unwrap();
        assert!(row.contains(variable.doc), "{row}");
        if let Preset::Is(text) = variable.default {
            assert!(row.contains(&format!("`{}`", text.split(',').next().unwrap())), "{row}");
        }
    }
    assert!(page.ends_with("|\n"));
}

#[test]
fn the_columns_of_the_reference_line_up() {
    let page = reference_markdown();
    for rows in page.split("\n\n").filter(|part| part.starts_with('|')) {
        let third =
            |row: &str| row.char_indices().filter(|(_, c)| *c == '|').nth(3).map(|(at, _)| row[..at].chars().count());
        let columns: Vec<_> = rows.lines().map(third).collect();
        assert!(columns.iter().all(|column| *column == columns[0]), "{rows}");
    }
}

#[test]
fn the_example_changes_nothing_as_it_is() {
    let world = World::new(&[]).file(".env", env_example());
    let config = world.config();
    assert!(config.warnings.is_empty());
    assert!(env_example().lines().all(|line| line.is_empty() || line.starts_with('#')));
}

#[test]
fn the_example_uncommented_holds_the_defaults_and_keys_that_production_refuses() {
    let file = env_example();
    let uncommented: String = file
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let known = catalog::ALL.iter().filter(|variable| variable.concern != Concern::Retired);
    for variable in known {
        assert_eq!(uncommented.matches(&format!("\n{}=", variable.name)).count(), 1, "{}", variable.name);
    }
    let world = World::new(&[]).file(".env", &uncommented);
    assert!(world.load().is_ok(), "{:?}", world.load());

    let production = uncommented.replace("\nENVIRONMENT=development\n", "\nENVIRONMENT=production\n");
    let lines = World::new(&[]).file(".env", production).lines();
    for name in ["SECRET_KEY: ", "SECRET_KEY_NEXT: ", "ENCRYPTION_KEY: ", "BASE_URL: "] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}{lines:?}");
    }
}

#[test]
fn what_each_variable_does_is_said_in_sentences() {
    for variable in catalog::ALL {
        let doc = variable.doc;
        assert!(
            doc.ends_with('.') && doc.starts_with(|c: char| c.is_uppercase() || c == '`'),
            "{}: {doc}",
            variable.name
        );
    }
}
