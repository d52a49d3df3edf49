use super::World;

/// One malformed value each, and words that its one line must hold.
const MALFORMED: &[(&str, &str, &str)] = &[
    ("RATE_LIMIT_PER_MINUTE", "many", "`many` is not a whole number from 1"),
    ("RATE_LIMIT_PER_MINUTE", "0", "from 1"),
    ("RATE_LIMIT_PER_HOUR", "-1", "`-1`"),
    ("RATE_LIMIT_PER_HOUR", "+1", "`+1`"),
    ("RATE_LIMIT_PER_HOUR", "1.5", "`1.5`"),
    ("APP_PORT", "65536", "from 0 to 65535"),
    ("STEP_UP_MINUTES", "4", "from 5 to 15"),
    ("STEP_UP_MINUTES", "16", "from 5 to 15"),
    ("REFRESH_GRACE_SECONDS", "61", "from 0 to 60"),
    ("SECRETS_REFRESH_SECONDS", "3601", "from 1 to 3600"),
    ("SECRETS_BOOT_TIMEOUT", "601", "from 1 to 600"),
    ("PASSWORD_MIN_LENGTH", "129", "from 1 to 128"),
    ("IMAGE_QUALITY", "101", "from 1 to 100"),
    ("IMAGE_THUMBNAIL_SIZES", "100,big", "`big`"),
    ("MAX_FILE_SIZE", "10MB", "`10MB`"),
    ("CORS_ALLOW_CREDENTIALS", "maybe", "neither `true` nor `false`"),
    ("ENVIRONMENT", "developement", "did you mean `development`?"),
    ("ENVIRONMENT", "live", "`development`, `staging`, `production`"),
    ("LOG_LEVEL", "LOUD", "`CRITICAL`"),
    ("RATE_LIMIT_HEADERS", "none", "`draft`"),
    ("STORAGE_TYPE", "ftp", "`azure`"),
    ("STORAGE_TYPE", "s3", "must be `local`"),
    ("REQUIRE_MFA", "some", "`admin`, `all`"),
    ("CLIENT_IP_HEADER", "X-Client-IP", "`X-Real-IP`"),
    ("ALGORITHM", "RS256", "the only value is `HS256`"),
    ("ALGORITHM", "none", "`HS256`"),
    ("CORS_ORIGINS", "app.example.com/path", "scheme"),
    ("CORS_ORIGINS", "https://app.example.com/", "slash"),
    ("CORS_ORIGINS", r#"["https://a.example""#, "JSON array"),
    ("CORS_ORIGINS", "*", "CORS_ALLOW_CREDENTIALS=false"),
    ("FILES_ORIGIN", "files.example.com", "scheme"),
    ("BASE_URL", "cms.example.com", "`https://cms.example.com`"),
    ("BASE_URL", "ftp://cms.example.com", "neither http nor https"),
    ("BASE_URL", "https://cms.example.com?x=1", "query"),
    ("APP_HOST", "127.0.0.1:8000", "APP_PORT"),
    ("APP_HOST", "not a host", "neither an IP address nor a host name"),
    ("APP_NAME", "a\r\nBcc: x", "control character"),
    ("ALLOWED_HOSTS", "https://cms.example.com", "not a host name"),
    ("ALLOWED_HOSTS", "*", "not a host name"),
    ("TRUSTED_PROXIES", "10.0.0.0/33", "`10.0.0.0/8`"),
    ("ADMIN_ALLOWED_CIDRS", "office", "`office`"),
    ("ALLOWED_FILE_TYPES", "png", "`image/png`"),
    ("SMTP_FROM_EMAIL", "nobody", "mail address"),
    ("ACCEPT_LEGACY_TOKENS_UNTIL", "31.01.2026", "`2026-01-31`"),
    ("DATABASE_URL", "mysql://localhost/db", "postgresql://"),
    ("DATABASE_URL", "sqlite:///:memory:", "name a file"),
    ("REDIS_URL", "localhost:6379", "`redis://localhost:6379/0`"),
    ("AWS_S3_ENDPOINT_URL", "minio:9000", "neither an http nor an https address"),
    ("SECRET_KEY", " 4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f", "white space"),
    ("SECRET_KEY", "4f1c0a9be37d52680c1f,9e4ab7d3365510e2c98f", "comma"),
    ("SECRET_KEY", "vault:secret/fastcms#SECRET_KEY", "`vault:secret/fastcms#SECRET_KEY`"),
    ("SECRET_KEY", "env:NO_SUCH_VARIABLE", "no such variable"),
    ("SMTP_PASSWORD", "file:none", "no such file"),
    ("SMTP_PASSWORD", "vault:secret", "vault:mount/path#field"),
];

#[test]
fn each_malformed_value_is_one_line_that_names_the_variable_and_helps() {
    for (name, value, words) in MALFORMED {
        let lines = World::new(&[(name, value)]).lines();
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
        assert!(lines[0].starts_with(&format!("{name}: ")), "{}", lines[0]);
        assert!(lines[0].contains(words), "{}", lines[0]);
        assert!(!lines[0].ends_with('.'), "{}", lines[0]);
    }
}

#[test]
fn five_faults_are_five_lines() {
    let lines = World::new(&[
        ("APP_PORT", "http"),
        ("ENVIRONMENT", "dev"),
        ("LOG_FORMAT", "xml"),
        ("TRUSTED_PROXIES", "proxy"),
        ("SECRET_KEY", "a,b"),
    ])
    .lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for name in ["APP_PORT", "ENVIRONMENT", "LOG_FORMAT", "TRUSTED_PROXIES", "SECRET_KEY"] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(&format!("{name}: "))).count(), 1, "{name}");
    }
}

#[test]
fn every_faulty_item_of_a_list_is_named() {
    let lines = World::new(&[("CORS_ORIGINS", "https://good.example,bad.example,https://worse.example/")]).lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("`bad.example`") && lines[1].contains("`https://worse.example/`"));
}

#[test]
fn a_value_is_shown_on_one_line_and_cut() {
    let long = format!("{}\n{}", "a".repeat(20), "b".repeat(200));
    let lines = World::new(&[("LOG_LEVEL", &long)]).lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 220 && lines[0].contains(r"aaa\nbbb"));
}

#[test]
fn words_and_flags_are_case_insensitive_and_trimmed() {
    let config = World::new(&[
        ("environment", " Staging "),
        ("LOG_LEVEL", "warning"),
        ("client_ip_header", "x-real-ip"),
        ("Redis_Enabled", "YES"),
        ("IP_FILTER_ENABLED", "1"),
        ("RATE_LIMIT_ENABLED", "Off"),
        ("ALLOWED_FILE_TYPES", "IMAGE/PNG"),
    ])
    .config();
    assert_eq!(config.server.environment.as_str(), "staging");
    assert_eq!(config.logging.level.as_str(), "WARNING");
    assert_eq!(config.proxies.client_ip_header.as_str(), "X-Real-IP");
    assert!(config.redis.enabled && config.proxies.ip_filter && !config.rate_limits.enabled);
    assert_eq!(config.storage.allowed_types, ["image/png"]);
}

#[test]
fn networks_are_kept_in_their_canonical_form() {
    let world = World::new(&[(
        "TRUSTED_PROXIES",
        "10.1.2.3/8, 127.0.0.1, ::ffff:192.0.2.0/120, ::ffff:192.0.2.9, 2001:db8::1/32",
    )]);
    let networks: Vec<_> = world.config().proxies.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "127.0.0.1/32", "192.0.2.0/24", "192.0.2.9/32", "2001:db8::/32"]);
}
