use super::{KEY, OTHER_KEY, World};

fn about(world: &World, name: &str) -> usize {
    world.warnings().iter().filter(|line| line.starts_with(&format!("{name}: "))).count()
}

#[test]
fn the_start_warnings_of_the_contract() {
    for (name, value) in [
        ("ADMIN_EMAIL", "a@example.com"),
        ("ADMIN_PASSWORD", "x"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "61"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "31"),
    ] {
        assert_eq!(about(&World::new(&[(name, value)]), name), 1, "{name}");
    }
    for (name, value) in
        [("ACCESS_TOKEN_EXPIRE_MINUTES", "60"), ("REFRESH_TOKEN_EXPIRE_DAYS", "30"), ("ADMIN_EMAIL", "")]
    {
        assert_eq!(about(&World::new(&[(name, value)]), name), 0, "{name}");
    }
}

#[test]
fn redis_in_the_clear_off_loopback_is_warned_about_in_production() {
    let redis = |url: &str| about(&World::production(&[("REDIS_URL", url), ("REDIS_ENABLED", "true")]), "REDIS_URL");
    assert_eq!(redis("redis://cache.example:6379/0"), 1);
    assert_eq!(redis("rediss://cache.example:6379/0"), 0);
    assert_eq!(redis("redis://127.0.0.1:6379/0"), 0);
    assert_eq!(redis("redis://[::1]:6379/0"), 0);
    assert_eq!(about(&World::new(&[("REDIS_URL", "redis://cache.example")]), "REDIS_URL"), 0);
}

#[test]
fn a_misspelt_name_is_warned_about_in_every_source() {
    let world = World::new(&[("SECRET_KEYS", KEY)])
        .file(".env", "rate_limit_per_minut=5\n")
        .file("fastcms.toml", "cors_orgins = '*'\nhome = '/'\n");
    let warnings = world.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings.contains(&"SECRET_KEYS: is not a known variable and is ignored: did you mean SECRET_KEY?".to_owned())
    );
    assert!(warnings.iter().all(|line| !line.contains(KEY)));
    assert_eq!(about(&world, "RATE_LIMIT_PER_MINUT"), 1);
    assert_eq!(about(&world, "CORS_ORGINS"), 1);
}

#[test]
fn a_public_listener_without_proxy_is_warned_about_in_production() {
    let public = World::production(&[("APP_HOST", "0.0.0.0")]);
    assert_eq!(about(&public, "TRUSTED_PROXIES"), 1);
    assert!(public.config().warnings.iter().any(|warning| warning.check == Some("E006")));
    for proxy in [("TRUSTED_PROXIES", "10.0.0.0/8"), ("TRUSTED_PROXY_HOPS", "1")] {
        assert_eq!(about(&World::production(&[("APP_HOST", "0.0.0.0"), proxy]), "TRUSTED_PROXIES"), 0);
    }
    // Whoever reaches the listener itself is believed about who they are.
    let hops = |host| World::production(&[("APP_HOST", host), ("TRUSTED_PROXY_HOPS", "1")]);
    assert_eq!(about(&hops("0.0.0.0"), "TRUSTED_PROXY_HOPS"), 1);
    assert_eq!(about(&hops("127.0.0.1"), "TRUSTED_PROXY_HOPS"), 0);
    assert_eq!(about(&World::production(&[("TRUSTED_PROXIES", "0.0.0.0/0")]), "TRUSTED_PROXIES"), 1);
}

#[test]
fn keys_in_the_wrong_place_are_warned_about() {
    let both = format!("{OTHER_KEY},{OTHER_KEY}");
    assert_eq!(about(&World::production(&[("SECRET_KEY_NEXT", KEY)]), "SECRET_KEY_NEXT"), 1);
    assert_eq!(about(&World::production(&[("SECRET_KEY_PREVIOUS", "changeme")]), "SECRET_KEY_PREVIOUS"), 1);
    assert_eq!(about(&World::production(&[("SECRET_KEY_PREVIOUS", &both)]), "SECRET_KEY_PREVIOUS"), 1);
    assert_eq!(about(&World::production(&[("ENCRYPTION_KEY", KEY)]), "ENCRYPTION_KEY"), 1);
    let vault = [("VAULT_ADDR", "https://vault.example"), ("VAULT_TOKEN", "token")];
    let both = [("ENCRYPTION_TRANSIT_KEY", "transit/fastcms"), ("ENCRYPTION_KEY", OTHER_KEY), vault[0], vault[1]];
    assert_eq!(about(&World::production(&both), "ENCRYPTION_KEY"), 1);
}

#[test]
fn half_an_oauth_provider_is_warned_about() {
    let world = World::new(&[("GITHUB_CLIENT_ID", "x")]);
    assert_eq!(about(&world, "GITHUB_CLIENT_SECRET"), 1);
    let world = World::new(&[("GITHUB_CLIENT_ID", "x"), ("GITHUB_CLIENT_SECRET", "y")]);
    assert_eq!(about(&world, "GITHUB_CLIENT_ID"), 1, "a whole one is, too: nothing reads it in this version");
    assert_eq!(world.config().oauth.github.unwrap().id, "x");
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_can_read_is_warned_about_in_production() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::production(&[("SECRET_KEY", ""), ("SECRET_KEY_FILE", "key")])
        .file("key", KEY)
        .file(".env", format!("ENCRYPTION_KEY={OTHER_KEY}\n"));
    for (mode, warned) in [(0o644, 1), (0o640, 1), (0o600, 0), (0o400, 0)] {
        for name in ["key", ".env"] {
            set_permissions(world.folder.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(about(&world, "SECRET_KEY_FILE"), warned, "{mode:o}");
        assert_eq!(about(&world, ".env"), warned, "{mode:o}");
    }
}
