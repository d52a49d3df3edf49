use fastcms_secrets::{Given, VaultLogin};

use super::super::{Origin, Sources, catalog};
use super::{KEY, OTHER_KEY, World};

#[test]
fn the_first_source_that_has_a_name_wins() {
    let world = World::new(&[("APP_NAME", "environment")])
        .file(".env", "APP_NAME=dotenv\nAPP_PORT=1111\n\nSMTP_HOST=mail.example\n")
        .file("fastcms.toml", "app_name = 'toml'\napp_port = 2222\nsmtp_port = 25\n");
    let config = world.config();
    assert_eq!(config.server.app_name, "environment");
    assert_eq!(config.server.port, 1111);
    assert_eq!(config.mail.port, 25);
    assert_eq!(*config.origin(&catalog::APP_NAME), Origin::Environment);
    assert_eq!(*config.origin(&catalog::APP_PORT), Origin::DotEnv(2));
    assert_eq!(*config.origin(&catalog::SMTP_HOST), Origin::DotEnv(4));
    assert_eq!(*config.origin(&catalog::SMTP_PORT), Origin::Toml);
    assert_eq!(*config.origin(&catalog::LOG_LEVEL), Origin::Default);
    assert_eq!(config.origin(&catalog::APP_PORT).to_string(), ".env line 2");
}

#[test]
fn an_argument_wins_over_everything() {
    let mut world = World::new(&[("APP_PORT", "1111"), ("app_host", "0.0.0.0")]);
    world.sources = world.sources.clone().with_argument("APP_PORT", "3333").with_argument("APP_HOST", "127.0.0.1");
    let config = world.config();
    assert_eq!((config.server.port, config.server.is_loopback()), (3333, true));
    assert_eq!(*config.origin(&catalog::APP_PORT), Origin::Argument);
}

#[test]
fn an_empty_value_hides_the_next_source_and_means_the_default() {
    let world = World::new(&[("APP_PORT", ""), ("SMTP_USER", "  ")]).file(".env", "APP_PORT=1111\nSMTP_USER=me\n");
    let config = world.config();
    assert_eq!((config.server.port, config.mail.user), (8000, None));
}

#[test]
fn names_are_case_insensitive_and_the_documented_spelling_wins() {
    let config = World::new(&[("app_name", "lower"), ("APP_NAME", "upper"), ("App_Port", "1234")]).config();
    assert_eq!((config.server.app_name.as_str(), config.server.port), ("upper", 1234));
}

#[test]
fn toml_values_of_every_kind_are_read() {
    let world = World::new(&[]).file(
        "fastcms.toml",
        "debug = true\napp_port = 9\nallowed_hosts = ['a.example', \"b.example\"]\nimage_thumbnail_sizes = [50, 10]\n\
         accept_legacy_tokens_until = 2026-01-31\nBASE_URL = 'https://x.example'\n",
    );
    let config = world.config();
    assert!(config.server.debug);
    assert_eq!(config.server.port, 9);
    assert!(config.server.allowed_hosts.allows("b.example"));
    assert_eq!(config.images.thumbnail_sizes, [10, 50]);
    assert_eq!(config.tokens.accept_legacy_until.unwrap().to_string(), "2026-01-31");
    assert_eq!(config.server.base_url.as_str(), "https://x.example");
}

#[test]
fn a_faulty_file_is_a_fault_with_its_line_and_without_its_text() {
    let toml = World::new(&[]).file("fastcms.toml", "app_name = 'x'\nsecret_key = MARKER\n").lines();
    assert!(toml[0].starts_with("fastcms.toml: line 2: ") && !toml[0].contains("MARKER"), "{toml:?}");
    let section = World::new(&[]).file("fastcms.toml", "[server]\napp_name = 'x'\n").lines();
    assert!(section[0].starts_with("fastcms.toml: `server`: ") && section[0].contains("top level"), "{section:?}");
    let dotenv = World::new(&[]).file(".env", "APP_NAME=x\nSECRET_KEY \"MARKER\"\n").lines();
    assert!(dotenv[0].starts_with(".env: line 2: ") && !dotenv[0].contains("MARKER"), "{dotenv:?}");
    let latin = World::new(&[]).file(".env", b"A=1\nB=2\nC=\xe4\n").lines();
    assert_eq!(latin, [".env: line 3 is not UTF-8: save the file as UTF-8"]);
    let huge = World::new(&[]).file(".env", vec![b'#'; 1024 * 1024 + 1]).lines();
    assert_eq!(huge, [".env: is larger than 1048576 bytes"]);
    World::new(&[]).file(".env", vec![b'#'; 1024 * 1024]).config();
}

#[test]
fn a_name_twice_in_one_file_is_warned_about_and_the_last_counts() {
    let world = World::new(&[]).file(".env", "APP_NAME=one\napp_name=two\n");
    assert_eq!(world.config().server.app_name, "two");
    assert_eq!(world.warnings(), [".env: APP_NAME is set on line 1 and again on line 2: the last one counts"]);
}

#[test]
fn a_secret_may_come_from_a_file() {
    let world = World::new(&[
        ("SECRET_KEY_FILE", "key"),
        ("smtp_password_file", "mail"),
        ("BAO_TOKEN_FILE", "bao"),
        ("BAO_ADDR", "https://bao.example"),
    ])
    .file("key", format!("{KEY}\n"))
    .file("mail", " pass word \n\n")
    .file("bao", "token");
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), KEY);
    assert_eq!(config.mail.password.as_ref().unwrap().expose(), " pass word \n");
    let login = &config.secrets.managers.vault.as_ref().unwrap().login;
    assert!(matches!(login, VaultLogin::Token(Given::File(path)) if *path == world.folder.path().join("bao")));
    assert_eq!(*config.origin(&catalog::SECRET_KEY), Origin::File(world.folder.path().join("key")));
}

#[test]
fn urls_with_passwords_may_come_from_a_file_too() {
    let world = World::new(&[("DATABASE_URL_FILE", "url")]).file("url", "postgresql+asyncpg://u:p@localhost/d\n");
    assert_eq!(world.config().database.url.to_string(), "postgresql://u:***@localhost:5432/d?sslmode=prefer");
}

#[test]
fn a_secret_and_its_file_together_are_a_fault_wherever_they_stand() {
    let world = World::new(&[("SECRET_KEY_FILE", "key")]).file("key", KEY).file(".env", format!("SECRET_KEY={KEY}\n"));
    assert_eq!(world.lines(), ["SECRET_KEY: both SECRET_KEY and SECRET_KEY_FILE are set: keep one of them"]);
    let world = World::new(&[("SECRET_KEY_FILE", "key"), ("SECRET_KEY", "")]).file("key", KEY);
    assert!(world.config().keys.secret_key.is_some());
}

#[test]
fn a_file_that_cannot_be_read_names_its_variable() {
    let missing = World::new(&[("SECRET_KEY_FILE", "nowhere")]).lines();
    assert!(missing[0].starts_with("SECRET_KEY_FILE: ") && missing[0].contains("nowhere"), "{missing:?}");
    let large = World::new(&[("SMTP_PASSWORD_FILE", "large")]).file("large", vec![b'x'; 64 * 1024 + 1]).lines();
    assert!(large[0].starts_with("SMTP_PASSWORD_FILE: "), "{large:?}");
}

#[test]
fn an_alias_is_read_when_the_name_itself_is_absent() {
    let world = World::new(&[
        ("BAO_ADDR", "https://bao.example"),
        ("BAO_TOKEN", "token"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
    ]);
    let managers = world.config().secrets.managers;
    assert_eq!(managers.vault.unwrap().address.as_str(), "https://bao.example/");
    assert_eq!(managers.aws.region.unwrap(), "eu-central-1");
    let both = [("BAO_ADDR", "https://bao.example"), ("VAULT_ADDR", "https://vault.example"), ("BAO_TOKEN", "token")];
    let managers = World::new(&both).config().secrets.managers;
    assert_eq!(managers.vault.unwrap().address.as_str(), "https://vault.example/");
}

#[test]
fn previous_keys_are_a_list() {
    let list = format!(" {KEY} , {OTHER_KEY},");
    let keys = World::new(&[("SECRET_KEY_PREVIOUS", &list)]).config().keys.secret_key_previous;
    assert_eq!(keys.iter().map(|key| key.expose().as_str()).collect::<Vec<_>>(), [KEY, OTHER_KEY]);
    let json = format!("[\"{KEY}\", \"{OTHER_KEY}\"]");
    assert_eq!(World::new(&[("SECRET_KEY_PREVIOUS", &json)]).config().keys.secret_key_previous.len(), 2);
}

#[test]
fn a_known_name_with_undecodable_bytes_is_a_fault_and_an_unknown_one_is_nothing() {
    let mut world = World::new(&[]);
    world.sources.undecodable = vec!["smtp_password".into(), "HOME".into()];
    assert_eq!(world.lines(), ["SMTP_PASSWORD: the value in the environment is not UTF-8: set it as UTF-8 text"]);
}

#[test]
fn what_is_secret_in_the_environment_is_known_by_name() {
    let world = World::new(&[
        ("secret_key", "one"),
        ("SECRET_KEY_PREVIOUS", "env:OLD, env:OLDER"),
        ("OLD", "two"),
        ("OLDER", "three"),
        ("BAO_TOKEN", "four"),
        ("DATABASE_URL", "postgres://user:five@127.0.0.1/db"),
        ("APP_NAME", "not one"),
        ("OLDEST", "not one"),
    ]);
    let mut names = world.sources.secret_names();
    names.sort_unstable();
    assert_eq!(names, ["BAO_TOKEN", "DATABASE_URL", "OLD", "OLDER", "SECRET_KEY_PREVIOUS", "secret_key"]);
}

#[test]
fn the_process_is_one_of_the_sources() {
    let sources = Sources::from_process();
    assert!(sources.directory.is_absolute());
    assert!(sources.environment.iter().any(|(name, _)| name == "PATH"));
}

#[test]
fn a_secret_may_be_a_reference() {
    let world = World::new(&[
        ("SECRET_KEY", "env:SIGNING"),
        ("SIGNING", KEY),
        ("SECRET_KEY_PREVIOUS", "file:old, env:SIGNED_EARLIER"),
        ("SIGNED_EARLIER", "earlier-b7e2d1906c5f4a3388f70e19ad2c6b55"),
        ("SMTP_PASSWORD", "file:mail"),
        ("DATABASE_URL", "file:url"),
    ])
    .file("old", format!("{OTHER_KEY}\n"))
    .file("mail", " pass word \n")
    .file("url", "postgresql://u:p@localhost/d\n");
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), KEY);
    assert_eq!(config.keys.secret_key_previous.len(), 2);
    assert_eq!(config.keys.secret_key_previous[0].expose(), OTHER_KEY);
    assert_eq!(config.mail.password.as_ref().unwrap().expose(), " pass word ");
    assert_eq!(config.database.url.to_string(), "postgresql://u:***@localhost:5432/d?sslmode=prefer");
    assert_eq!(*config.origin(&catalog::SMTP_PASSWORD), Origin::File(world.folder.path().join("mail")));
}

#[test]
fn every_reference_that_leads_nowhere_is_a_fault_of_its_own() {
    let lines = World::new(&[
        ("SECRET_KEY", "env:NONE"),
        ("SECRET_KEY_PREVIOUS", "file:none,vault:secret"),
        ("SMTP_PASSWORD", "vault:secret/app#mail"),
        ("REDIS_URL", "file:one"),
    ])
    .file("one", "file:other\n")
    .lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (line, words) in lines.iter().zip([
        "SECRET_KEY: `env:NONE`",
        "SECRET_KEY_PREVIOUS: `file:none`",
        "SECRET_KEY_PREVIOUS: begins like",
        "SMTP_PASSWORD: `vault:secret/app#mail`",
        "REDIS_URL: `file:one` leads to another reference",
    ]) {
        assert!(line.starts_with(words), "{line}");
    }
}

#[test]
fn an_open_setting_is_never_a_reference() {
    let config = World::new(&[("APP_NAME", "file:name")]).file("name", "x").config();
    assert_eq!(config.server.app_name, "file:name");
}

#[test]
fn a_credential_of_systemd_is_taken_where_nothing_else_is_given() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret_key"), format!("{KEY}\n")).unwrap();
    std::fs::write(folder.path().join("SMTP_PASSWORD"), "pass").unwrap();
    std::fs::write(folder.path().join("VAULT_TOKEN"), "").unwrap();
    let given = folder.path().to_str().unwrap();
    let world = World::new(&[("CREDENTIALS_DIRECTORY", given), ("SMTP_PASSWORD", "given"), ("VAULT_TOKEN", "given")]);
    let config = world.config();
    assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), KEY);
    assert_eq!(*config.origin(&catalog::SECRET_KEY), Origin::File(folder.path().join("secret_key")));
    assert_eq!(config.mail.password.as_ref().unwrap().expose(), "given");
    let lines = World::new(&[("CREDENTIALS_DIRECTORY", given)]).lines();
    assert!(lines.len() == 1 && lines[0].starts_with("VAULT_TOKEN: ") && lines[0].contains("is empty"), "{lines:?}");
}
