use super::super::{Command, Config, Kind, Secrecy, catalog, table};
use super::World;

/// Long and mixed enough to be a key, and nowhere else.
const MARKER: &str = "MARKER-7f3a91c2e8d4b605-MARKER-0123456789";

/// A legal value for each secret, with the marker in it.
fn marked(secrecy: Secrecy, name: &str) -> String {
    match (secrecy, name) {
        (Secrecy::Url, "REDIS_URL") => format!("redis://user:{MARKER}@cache.example/0"),
        (Secrecy::Address, _) => format!("https://collector.example/{MARKER}?token={MARKER}"),
        // Only a comment of it may be of our choice.
        (_, "SECRETS_AGE_IDENTITY") => format!("{}# {MARKER}", include_str!("age/identity.txt")),
        (Secrecy::Url, _) => format!("postgresql://user:{MARKER}@db.example/cms"),
        _ => MARKER.to_owned(),
    }
}

fn everything_said(world: &World) -> String {
    match Config::load(&world.sources, Command::Other) {
        Ok(config) => {
            let json = serde_json::to_string(&table(&config)).unwrap();
            let said = serde_json::to_string(&(&config.warnings, &config.refusals)).unwrap();
            format!("{config:#?} {:?} {json} {said} {:?}", table(&config), world.sources)
        }
        Err(faults) => format!("{faults} {faults:?} {:?}", world.sources),
    }
}

#[test]
fn no_secret_shows_in_anything_said_about_a_sound_configuration() {
    for (file, production) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = if production { World::production(&[]) } else { World::new(&[]) };
        let is_secret = |name: &str| catalog::ALL.iter().any(|variable| variable.is_secret() && variable.name == name);
        world.sources.environment.retain(|(name, _)| !is_secret(name));
        for variable in catalog::ALL.iter().filter(|variable| variable.is_secret()) {
            let value = marked(variable.secrecy, variable.name);
            if file {
                world = world.file(variable.name, &value);
                world.sources.environment.push((format!("{}_FILE", variable.name), variable.name.to_owned()));
            } else {
                world.sources.environment.push((variable.name.to_owned(), value));
            }
        }
        let config = Config::load(&world.sources, Command::Other).unwrap();
        let masked = table(&config).iter().filter(|one| one.value.contains("******")).count();
        assert!(masked > 15, "{masked}");
        assert_eq!(config.keys.secret_key.as_ref().unwrap().expose(), MARKER);
        let said = everything_said(&world);
        assert!(!said.contains("MARKER"), "{said}");
    }
}

#[test]
fn no_secret_shows_in_a_fault_about_it() {
    for variable in catalog::ALL.iter().filter(|variable| variable.is_secret()) {
        for value in [
            format!("vault:{MARKER}"),
            format!(" {MARKER},\n "),
            format!("MARKER://user:{MARKER}@host:port/x?MARKER=MARKER"),
        ] {
            let world = World::production(&[(variable.name, &value)]);
            let said = everything_said(&world);
            assert!(!said.contains("MARKER"), "{}: {said}", variable.name);
        }
    }
}

#[test]
fn every_key_is_a_secret() {
    for variable in catalog::ALL.iter().filter(|variable| matches!(variable.kind, Kind::Key | Kind::Keys)) {
        assert_eq!(variable.secrecy, Secrecy::Secret, "{}", variable.name);
    }
}

#[test]
fn of_a_url_only_the_password_is_masked() {
    let shown = |name: &str, value: &str| {
        let config = World::new(&[(name, value)]).config();
        table(&config).into_iter().find(|one| one.name == name).unwrap().value
    };
    assert_eq!(shown("DATABASE_URL", "sqlite:///./x.db"), "sqlite:///./x.db");
    assert_eq!(
        shown("DATABASE_URL", "postgresql://u:MARKER@h:1/d?sslmode=require"),
        "postgresql://u:******@h:1/d?sslmode=require"
    );
    for (sent, said) in [
        ("https://h.example/x/MARKER?token=MARKER", "https://h.example/******"),
        ("https://h.example:8443/?MARKER", "https://h.example:8443/******"),
        ("https://h.example/", "https://h.example"),
    ] {
        assert_eq!(shown("AUDIT_WEBHOOK_URL", sent), said);
    }
    assert_eq!(shown("REDIS_URL", "redis://:MARKER@h/0"), "redis://:******@h/0");
    assert_eq!(shown("REDIS_URL", "redis://h/0?password=MARKER"), "redis://h/0?password=******");
}
