//! Files of age, as the tool of that name wrote them: two recipients, armored.

use fastcms_secrets::{Given, VaultLogin};

use super::super::{Command, Config, Database, Origin, Redis, catalog, survey, table};
use super::{KEY, World};

const SETTINGS: &[u8] = include_bytes!("age/settings.age");
/// What opens all of them, and one that opens `settings.age` alone.
const IDENTITY: &str = include_str!("age/identity.txt");
const OTHER_IDENTITY: &str = include_str!("age/other_identity.txt");
/// What `settings.age` holds for `SECRET_KEY`.
const INSIDE: &str = "MARKER-7f3a91c2e8d4b605-MARKER-0123456789";

fn world(environment: &[(&str, &str)]) -> World {
    let base = [("SECRETS_AGE_IDENTITY_FILE", "identity")];
    let kept = base.iter().filter(|(name, _)| environment.iter().all(|(given, _)| given != name));
    World::new(&kept.chain(environment).copied().collect::<Vec<_>>())
        .file("identity", IDENTITY)
        .file("settings.age", SETTINGS)
        .file("odd.age", include_bytes!("age/odd.age"))
        .file("json.age", include_bytes!("age/json.age"))
}

fn said(world: &World) -> String {
    let said = match Config::load(&world.sources, Command::Other) {
        Ok(config) => format!("{config:?} {:?} {:?}", table(&config), config.warnings),
        Err(faults) => format!("{faults} {faults:?}"),
    };
    format!("{said} {:?} {:?}", world.sources, survey(&world.sources))
}

#[test]
fn a_secret_is_taken_out_of_a_file_of_age() {
    let world =
        world(&[("SECRET_KEY", "age:settings.age#SECRET_KEY"), ("SMTP_PASSWORD", "age:json.age#SMTP_PASSWORD")]);
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), INSIDE);
    assert_eq!(config.mail.password.as_ref().unwrap().expose(), "MARKER from JSON");
    let path = world.folder.path().display();
    assert_eq!(config.origin(&catalog::SECRET_KEY).to_string(), format!("age:{path}/settings.age#SECRET_KEY"));
    assert!(!said(&world).contains("MARKER"), "{}", said(&world));
}

#[test]
fn what_takes_us_to_a_manager_may_lie_in_a_file_of_age() {
    let given = [("VAULT_ADDR", "https://vault.example"), ("VAULT_TOKEN", "age:json.age#SMTP_PASSWORD")];
    let vault = world(&given).config().secrets.managers.vault.unwrap();
    assert!(matches!(vault.login, VaultLogin::Token(Given::Text(token)) if token.expose() == "MARKER from JSON"));
}

#[test]
fn either_recipient_opens_the_file_and_a_stranger_does_not() {
    let world = world(&[("SECRET_KEY", "age:settings.age#SECRET_KEY")]).file("identity", OTHER_IDENTITY);
    assert_eq!(world.config().keys.secret_key.as_ref().unwrap().expose(), INSIDE);
    let both = world.file("identity", format!("{OTHER_IDENTITY}\n{IDENTITY}"));
    both.config();
    let denied = self::world(&[("SECRET_KEY", "age:odd.age#APP_NAME")]).file("identity", OTHER_IDENTITY).lines();
    let message = "SECRET_KEY: `age:odd.age#APP_NAME` is denied (none of the identities in SECRETS_AGE_IDENTITY is among its recipients): \
                   let our identity read this secret, and only read it";
    assert_eq!(denied, [message]);
}

#[test]
fn settings_in_the_file_count_after_all_that_is_in_plain_sight() {
    let world = world(&[("SECRETS_AGE_FILE", "settings.age")]);
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), INSIDE);
    assert_eq!(config.mail.password.as_ref().unwrap().expose(), "MARKER of # the mail server");
    assert_eq!((config.server.app_name.as_str(), config.server.port, config.mail.port), ("inside", 2222, 2525));
    let path = world.folder.path().display();
    assert_eq!(config.origin(&catalog::APP_NAME).to_string(), format!("age:{path}/settings.age#APP_NAME"));
    // Unknown names and names twice are told of as in `.env`.
    assert_eq!(
        world.warnings(),
        [
            "SECRETS_AGE_FILE: APP_PORT is set on line 8 and again on line 9: the last one counts",
            "SECRT_KEY: is not a known variable and is ignored: did you mean SECRET_KEY?"
        ]
    );
    assert!(!said(&world).contains("MARKER"), "{}", said(&world));
    let world = self::world(&[("SECRETS_AGE_FILE", "settings.age"), ("SECRET_KEY", KEY)])
        .file(".env", "APP_NAME=dotenv\n")
        .file("fastcms.toml", "smtp_port = 25\n");
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), KEY);
    assert_eq!((config.server.app_name.as_str(), config.server.port, config.mail.port), ("dotenv", 2222, 25));
}

#[test]
fn the_file_may_be_named_in_dotenv_and_the_identity_by_systemd() {
    let world = World::new(&[("CREDENTIALS_DIRECTORY", "credentials")])
        .file(".env", "SECRETS_AGE_FILE=settings.age\n")
        .file("settings.age", SETTINGS);
    std::fs::create_dir(world.folder.path().join("credentials")).unwrap();
    let world = world.file("credentials/secrets_age_identity", IDENTITY);
    assert_eq!(world.config().server.app_name, "inside");
}

#[test]
fn a_secret_inside_and_its_file_outside_are_a_fault() {
    let lines = world(&[("SECRETS_AGE_FILE", "settings.age"), ("SECRET_KEY_FILE", "key")]).file("key", KEY).lines();
    assert_eq!(lines, ["SECRET_KEY: both SECRET_KEY and SECRET_KEY_FILE are set: keep one of them"]);
}

#[test]
fn all_faults_are_said_together_and_each_says_what_to_do() {
    let lines = World::new(&[("SECRETS_AGE_FILE", "s.age"), ("SECRET_KEY", "age:s.age#A"), ("SMTP_PORT", "x")]).lines();
    let advice = "cannot be asked for: set SECRETS_AGE_IDENTITY_FILE to the file of the identity that opens it";
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("SECRETS_AGE_FILE: `/") && lines[0].ends_with(advice), "{lines:?}");
    assert_eq!(lines[1], format!("SECRET_KEY: `age:s.age#A` {advice}"));
    assert!(lines[2].starts_with("SMTP_PORT: "), "{lines:?}");

    for (identity, part) in [
        ("", "SECRETS_AGE_IDENTITY_FILE: secret file `"),
        ("# none\n", "SECRETS_AGE_IDENTITY: holds no identity"),
        ("#\nMARKER", "SECRETS_AGE_IDENTITY: line 2 is no identity"),
        ("AGE-PLUGIN-X-1MARKER", "SECRETS_AGE_IDENTITY: line 1 is an identity of a plugin"),
    ] {
        let world = world(&[("SECRETS_AGE_FILE", "settings.age")]).file("identity", identity);
        let lines = world.lines();
        assert!(lines.iter().any(|line| line.starts_with(part)), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("SECRETS_AGE_FILE: ")), "{lines:?}");
        assert!(!said(&world).contains("MARKER"));
    }
    let inside = world(&[("SECRETS_AGE_IDENTITY_FILE", ""), ("SECRETS_AGE_IDENTITY", "age:settings.age#X")]).lines();
    let circle = "SECRETS_AGE_IDENTITY: opens files of age, so none of them can keep it: give it by a file";
    assert_eq!(inside, [circle]);
    let managed = world(&[("SECRETS_AGE_IDENTITY_FILE", ""), ("SECRETS_AGE_IDENTITY", "vault:a/b#c")]).lines();
    assert!(managed.len() == 1 && managed[0].contains("no manager can keep it"), "{managed:?}");
}

#[test]
fn what_is_wrong_with_the_file_is_said_by_its_lines_and_without_its_text() {
    let world = world(&[("SECRETS_AGE_FILE", "odd.age")]);
    assert_eq!(
        world.lines(),
        [
            "SECRETS_AGE_FILE: line 3: expected `=` after the name",
            "SECRETS_AGE_FILE: line 4: SECRETS_AGE_FILE cannot stand inside, since it takes it to open the file",
            "SECRETS_AGE_FILE: line 1: SECRETS_AGE_IDENTITY_FILE cannot stand inside, since it takes it to open the file",
        ]
    );
    assert!(!said(&world).contains("MARKER"), "{}", said(&world));
    for (content, part) in [
        (&b""[..], "it is no file of age"),
        (b"SECRET_KEY=MARKER\n", "it is no file of age"),
        (&SETTINGS[..300], "its armor is damaged"),
        (b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 10\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "passphrase"),
        (&vec![b'a'; 1024 * 1024 + 1], "larger than 1 MiB"),
    ] {
        let lines = self::world(&[("SECRETS_AGE_FILE", "s.age")]).file("s.age", content).lines();
        assert!(lines.len() == 1 && lines[0].contains(part), "{lines:?}");
    }
    let absent = self::world(&[("SECRETS_AGE_FILE", "none.age")]).lines();
    assert!(absent.len() == 1 && absent[0].contains("is not there (no such file)"), "{absent:?}");
}

#[test]
fn an_address_is_not_taken_for_its_default_while_the_file_cannot_be_read() {
    let world = world(&[("SECRETS_AGE_FILE", "settings.age")]);
    assert!(Database::reread(&world.sources).is_some() && Redis::reread(&world.sources).is_some());
    let world = world.file("settings.age", &SETTINGS[..100]);
    assert!(Database::reread(&world.sources).is_none() && Redis::reread(&world.sources).is_none());
}

#[test]
fn secrets_are_surveyed_one_by_one() {
    let by_name = |world: &World, name: &str| {
        let all = survey(&world.sources);
        all.into_iter().find(|one| one.variable.name == name).unwrap_or_else(|| panic!("{name}"))
    };
    let sound = world(&[("SECRETS_AGE_FILE", "settings.age")]);
    assert!(matches!(by_name(&sound, "SECRET_KEY").origin, Origin::Age(_)));
    assert!(matches!(by_name(&sound, "SECRETS_AGE_IDENTITY").origin, Origin::File(_)));
    assert_eq!(by_name(&sound, "SECRETS_AGE_IDENTITY").faults, Vec::<String>::new());
    let broken = sound.file("settings.age", "MARKER");
    assert_eq!(by_name(&broken, "SECRETS_AGE_IDENTITY").faults.len(), 1);
}

#[cfg(unix)]
#[test]
fn an_identity_that_others_can_read_is_warned_about() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let world =
        World::production(&[("SECRET_KEY", "age:settings.age#SECRET_KEY"), ("SECRETS_AGE_IDENTITY_FILE", "identity")])
            .file("identity", IDENTITY)
            .file("settings.age", SETTINGS);
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        set_permissions(world.folder.path().join("identity"), Permissions::from_mode(mode)).unwrap();
        let warnings = world.warnings();
        assert_eq!(warnings.iter().any(|line| line.starts_with("SECRETS_AGE_IDENTITY_FILE: ")), warned, "{warnings:?}");
    }
}

#[test]
fn a_variable_that_the_file_refers_to_is_a_secret_name() {
    let given = [("SECRETS_AGE_FILE", "refers.age"), ("MAIL_WORD", "MARKER"), ("OTHER", "x")];
    let world = world(&given).file("refers.age", include_bytes!("age/refers.age"));
    assert_eq!(world.config().mail.password.as_ref().unwrap().expose(), "MARKER");
    assert_eq!(world.sources.secret_names(), ["MAIL_WORD"]);
}
