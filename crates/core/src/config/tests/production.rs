use super::super::{Command, Config};
use super::{KEY, OTHER_KEY, World};

/// One change each that makes a safe production configuration unsafe, the variable that the line names, and its check id.
const UNSAFE: &[(&str, &str, &str, &str)] = &[
    ("SECRET_KEY", "", "SECRET_KEY", "E001"),
    ("SECRET_KEY", "x", "SECRET_KEY", "E001"),
    ("SECRET_KEY", "your-new-secret-key-here", "SECRET_KEY", "E001"),
    ("SECRET_KEY", "your-new-secret-key-here-at-least-32-bytes", "SECRET_KEY", "E001"),
    ("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SECRET_KEY", "E001"),
    ("SECRET_KEY", "4f1c0a9be37d52680c1f9e4ab7d3365", "SECRET_KEY", "E001"),
    ("SECRET_KEY_NEXT", "short", "SECRET_KEY_NEXT", "E001"),
    ("ENCRYPTION_KEY", "changeme", "ENCRYPTION_KEY", "E001"),
    ("SECRET_KEY_PREVIOUS", KEY, "SECRET_KEY_PREVIOUS", "E002"),
    ("DEBUG", "true", "DEBUG", "E003"),
    ("CORS_ORIGINS", "*", "CORS_ORIGINS", "E004"),
    ("BASE_URL", "", "BASE_URL", "E005"),
    ("AWS_S3_ENDPOINT_URL", "http://s3.example.com", "AWS_S3_ENDPOINT_URL", "E013"),
];

#[test]
fn production_refuses_each_unsafe_setting_and_names_it() {
    for (name, value, named, check) in UNSAFE {
        let world = World::production(&[(name, value)]);
        let lines = world.lines();
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
        assert!(lines[0].starts_with(&format!("{named}: ")), "{}", lines[0]);
        assert_eq!(world.load().unwrap_err().0[0].check, Some(*check), "{name}={value}");
    }
}

#[test]
fn the_refusals_that_are_malformed_values_hold_in_production_too() {
    for (name, value) in [
        ("ENVIRONMENT", "prod"),
        ("CORS_ORIGINS", "app.example.com/path"),
        ("RATE_LIMIT_PER_MINUTE", "many"),
        ("ALGORITHM", "EdDSA"),
    ] {
        let lines = World::production(&[(name, value)]).lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("{name}: ")), "{lines:?}");
    }
}

#[test]
fn a_misspelt_production_is_judged_as_production() {
    let lines = World::new(&[("ENVIRONMENT", "prod"), ("DEBUG", "true")]).lines();
    for name in ["ENVIRONMENT: ", "SECRET_KEY: ", "BASE_URL: ", "DEBUG: "] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}{lines:?}");
    }
}

#[test]
fn everything_unsafe_is_reported_together() {
    let lines = World::production(&[
        ("SECRET_KEY", "x"),
        ("DEBUG", "true"),
        ("CORS_ORIGINS", "*"),
        ("BASE_URL", ""),
        ("RATE_LIMIT_PER_MINUTE", "many"),
    ])
    .lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[test]
fn a_safe_production_configuration_starts_without_a_word() {
    let world = World::production(&[("SECRET_KEY_PREVIOUS", OTHER_KEY)]);
    let config = world.config();
    assert!(config.server.is_production() && !config.server.has_docs());
    assert_eq!(world.warnings(), Vec::<String>::new());
}

#[test]
fn an_equal_encryption_key_among_the_previous_ones_is_refused() {
    let list = format!("{KEY},{OTHER_KEY}");
    let lines = World::production(&[("ENCRYPTION_KEY", OTHER_KEY), ("ENCRYPTION_KEY_PREVIOUS", &list)]).lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("ENCRYPTION_KEY_PREVIOUS: "));
}

#[test]
fn plain_http_storage_is_taken_on_loopback_and_outside_production() {
    for endpoint in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://s3.example.com"] {
        World::production(&[("AWS_S3_ENDPOINT_URL", endpoint)]).config();
    }
    World::new(&[("AWS_S3_ENDPOINT_URL", "http://minio:9000")]).config();
}

#[test]
fn development_takes_what_production_refuses() {
    for (name, value, ..) in UNSAFE.iter().filter(|(name, ..)| *name != "CORS_ORIGINS") {
        World::new(&[(name, value)]).config();
    }
}

#[test]
fn dev_is_no_command_for_production() {
    let world = World::production(&[]);
    let faults = Config::load(&world.sources, Command::Dev).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.to_string().starts_with("ENVIRONMENT: ") && faults.to_string().contains("DEBUG"));
}

#[test]
fn another_command_gets_the_refusals_to_speak_about() {
    let world = World::production(&[("SECRET_KEY", ""), ("DEBUG", "true")]);
    let config = Config::load(&world.sources, Command::Other).unwrap();
    let checks: Vec<_> = config.refusals.iter().filter_map(|fault| fault.check).collect();
    assert_eq!(checks, ["E001", "E003"]);
    let malformed = World::production(&[("APP_PORT", "http")]);
    assert!(Config::load(&malformed.sources, Command::Other).is_err());
}

#[test]
fn a_transit_key_wants_a_way_to_its_vault() {
    let about = |key: &'static str, way: &[(&'static str, &'static str)]| {
        let changes = [&[("ENCRYPTION_TRANSIT_KEY", key)], way].concat();
        World::production(&changes).load().map_or_else(|faults| faults.to_string(), |_| String::new())
    };
    let (address, token) = (("VAULT_ADDR", "https://vault.example"), ("VAULT_TOKEN", "token"));
    assert_eq!(about("transit/fastcms", &[address, token]), "");
    for half in [&[][..], &[address], &[token]] {
        let said = about("transit/fastcms", half);
        assert!(said.starts_with("ENCRYPTION_TRANSIT_KEY: needs VAULT_ADDR and a way to log in"), "{said}");
    }
    let said = about("fastcms", &[address, token]);
    assert!(said.starts_with("ENCRYPTION_TRANSIT_KEY: is not `mount/key`"), "{said}");
}
