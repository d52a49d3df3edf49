use super::super::{AllowedHosts, Command, Config, Engine, Environment, Origin, Origins, catalog, table};
use super::World;

/// What an empty environment means, spelt out once more on purpose: a default changes here too, or not at all.
const DEFAULTS: &str = "\
APP_NAME=FastCMS
APP_VERSION={version}
APP_HOST=0.0.0.0
APP_PORT=8000
BASE_URL=http://localhost:8000
ENVIRONMENT=development
DEBUG=false
ALLOWED_HOSTS=
DATABASE_URL=sqlite:///./data/app.db
SECRET_KEY=
SECRET_KEY_PREVIOUS=
SECRET_KEY_NEXT=
ENCRYPTION_KEY=
ENCRYPTION_KEY_PREVIOUS=
ENCRYPTION_TRANSIT_KEY=
SEALED_DATA_UNREADABLE=refuse
ALGORITHM=HS256
ACCESS_TOKEN_EXPIRE_MINUTES=15
REFRESH_TOKEN_EXPIRE_DAYS=30
REFRESH_GRACE_SECONDS=10
SESSION_IDLE_MINUTES=60
SESSION_ABSOLUTE_HOURS=12
STEP_UP_MINUTES=15
COOKIE_HOST_PREFIX=false
ACCEPT_LEGACY_TOKENS_UNTIL=
CORS_ORIGINS=http://localhost:3000,http://localhost:8000
CORS_ALLOW_CREDENTIALS=true
PASSWORD_MIN_LENGTH=
PASSWORD_REQUIRE_UPPERCASE=
PASSWORD_REQUIRE_LOWERCASE=
PASSWORD_REQUIRE_DIGIT=
PASSWORD_REQUIRE_SPECIAL=
PASSWORD_HISTORY_COUNT=0
PASSWORD_BREACH_URL=
CONTEXT_WORDS=
REQUIRE_MFA=
ACCOUNT_LOCKOUT_ENABLED=true
ACCOUNT_LOCKOUT_ATTEMPTS=5
ACCOUNT_LOCKOUT_DURATION=1800
ACCOUNT_LOCKOUT_REVEAL=false
RATE_LIMIT_ENABLED=true
RATE_LIMIT_PER_MINUTE=100
RATE_LIMIT_PER_HOUR=1000
RATE_LIMIT_HEADERS=both
RATE_LIMIT_EXEMPT_CIDRS=
TRUSTED_PROXIES=
TRUSTED_PROXY_HOPS=
CLIENT_IP_HEADER=X-Forwarded-For
IP_FILTER_ENABLED=false
ADMIN_ALLOWED_CIDRS=
EGRESS_ALLOWED_CIDRS=
STORAGE_TYPE=local
MAX_FILE_SIZE=10485760
ALLOWED_FILE_TYPES=image/jpeg,image/png,image/gif,image/webp,application/pdf,application/zip,text/plain,text/csv
FILES_ORIGIN=
LOCAL_STORAGE_PATH=./data/files
AWS_S3_BUCKET_NAME=
AWS_S3_REGION=us-east-1
AWS_S3_ENDPOINT_URL=
AWS_S3_PUBLIC_URL=
AWS_ACCESS_KEY_ID=
AWS_SECRET_ACCESS_KEY=
AZURE_STORAGE_CONTAINER_NAME=
AZURE_STORAGE_CONNECTION_STRING=
AZURE_STORAGE_ACCOUNT_NAME=
AZURE_STORAGE_ACCOUNT_KEY=
AZURE_STORAGE_PUBLIC_URL=
IMAGE_THUMBNAIL_SIZES=100,300,600
IMAGE_MAX_WIDTH=2000
IMAGE_MAX_HEIGHT=2000
IMAGE_QUALITY=85
SMTP_HOST=smtp.gmail.com
SMTP_PORT=587
SMTP_USER=
SMTP_PASSWORD=
SMTP_FROM_EMAIL=noreply@fastcms.dev
SMTP_FROM_NAME=FastCMS
SECURITY_NOTIFICATIONS_ENABLED=true
SECURITY_LOGIN_NOTIFICATIONS=false
REDIS_URL=redis://localhost:6379/0
REDIS_ENABLED=false
GOOGLE_CLIENT_ID=
GOOGLE_CLIENT_SECRET=
GITHUB_CLIENT_ID=
GITHUB_CLIENT_SECRET=
FACEBOOK_CLIENT_ID=
FACEBOOK_CLIENT_SECRET=
MICROSOFT_CLIENT_ID=
MICROSOFT_CLIENT_SECRET=
MAX_BODY_SIZE=1048576
LOG_LEVEL=INFO
LOG_FORMAT=json
AUDIT_FILE=
AUDIT_WEBHOOK_URL=
AUDIT_WEBHOOK_SECRET=
AUDIT_RETENTION_DAYS=365
SECRETS_REFRESH_SECONDS=60
SECRETS_BOOT_TIMEOUT=30
SECRET_MAX_AGE_DAYS=
SECRETS_AGE_FILE=
SECRETS_AGE_IDENTITY=
VAULT_ADDR=
VAULT_NAMESPACE=
VAULT_CACERT=
VAULT_TOKEN=
VAULT_ROLE_ID=
VAULT_SECRET_ID=
VAULT_SECRET_ID_WRAPPED=false
VAULT_K8S_ROLE=
VAULT_K8S_TOKEN_FILE=/var/run/secrets/kubernetes.io/serviceaccount/token
VAULT_JWT_ROLE=
VAULT_JWT_FILE=
VAULT_AUTH_MOUNT=
VAULT_SECRET_PATH=
AWS_REGION=
AWS_SESSION_TOKEN=
AWS_ROLE_ARN=
AWS_WEB_IDENTITY_TOKEN_FILE=
AWS_CONTAINER_CREDENTIALS_FULL_URI=
AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=
AWS_EC2_METADATA_SERVICE_ENDPOINT=
AWS_ENDPOINT_URL_SECRETS_MANAGER=
AWS_ENDPOINT_URL_STS=
AZURE_TENANT_ID=
AZURE_CLIENT_ID=
AZURE_CLIENT_SECRET=
AZURE_FEDERATED_TOKEN_FILE=
AZURE_AUTHORITY_HOST=
AZURE_POD_IDENTITY_AUTHORITY_HOST=
IDENTITY_ENDPOINT=
IDENTITY_HEADER=
ADMIN_EMAIL=
ADMIN_PASSWORD=";

#[test]
fn an_empty_environment_means_the_documented_defaults() {
    let config = World::new(&[]).config();
    let version = env!("CARGO_PKG_VERSION");
    let lines: Vec<_> = table(&config).iter().map(|one| format!("{}={}", one.name, one.value)).collect();
    assert_eq!(lines.join("\n"), DEFAULTS.replace("{version}", version));
    assert!(table(&config).iter().all(|one| one.source == Origin::Default));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn every_variable_of_the_catalog_is_read_exactly_once() {
    let read: Vec<_> = table(&World::new(&[]).config()).iter().map(|one| one.name).collect();
    let known: Vec<_> = catalog::ALL.iter().map(|variable| variable.name).collect();
    assert_eq!(read, known);
}

#[test]
fn no_two_variables_share_a_name() {
    let mut names: Vec<String> = Vec::new();
    for variable in catalog::ALL {
        for name in variable.names() {
            names.push(name.to_owned());
            names.extend(variable.is_secret().then(|| format!("{name}_FILE")));
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(
        names.iter().all(|name| { name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') })
    );
}

#[test]
fn the_checked_values_of_the_defaults() {
    let world = World::new(&[]);
    let config = world.config();
    assert_eq!(config.server.environment, Environment::Development);
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 8000));
    assert!(!config.server.debug && !config.server.has_docs() && !config.server.is_loopback());
    assert_eq!(config.server.allowed_hosts, AllowedHosts::Any);
    assert_eq!(config.database.engine, Engine::Sqlite { path: world.folder.path().join("./data/app.db") });
    assert_eq!(config.data_directory(), world.folder.path().join("./data"));
    assert!(config.keys.secret_key.is_none());
    assert_eq!((config.tokens.access_minutes, config.tokens.refresh_days), (15, 30));
    assert_eq!(config.passwords.min_length, None);
    assert_eq!((config.rate_limits.per_minute, config.rate_limits.per_hour), (100, 1000));
    assert_eq!((config.lockout.attempts, config.lockout.duration_seconds), (5, 1800));
    assert_eq!((config.limits.max_body_size, config.limits.max_file_size), (1 << 20, 10 << 20));
    assert_eq!(config.images.thumbnail_sizes, [100, 300, 600]);
    assert_eq!(config.storage.allowed_types.len(), 8);
    assert!(!config.mail.is_enabled() && !config.redis.enabled && config.oauth.google.is_none());
    assert!(!config.proxies.is_behind_proxy());
}

#[test]
fn dev_is_on_loopback_with_debug() {
    let world = World::new(&[]);
    let config = Config::load(&world.sources, Command::Dev).unwrap();
    assert!(config.server.debug && config.server.has_docs() && config.server.is_loopback());
    let world = World::new(&[("DEBUG", "false"), ("APP_HOST", "0.0.0.0")]);
    let config = Config::load(&world.sources, Command::Dev).unwrap();
    assert!(!config.server.debug && !config.server.is_loopback());
}

#[test]
fn cors_origins_default_by_environment() {
    let texts = |world: &World| match world.config().cors.origins {
        Origins::Any => vec!["*".to_owned()],
        Origins::These(origins) => origins.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(texts(&World::new(&[])), ["http://localhost:3000", "http://localhost:8000"]);
    assert!(texts(&World::new(&[("CORS_ORIGINS", "")])).is_empty());
    assert!(texts(&World::new(&[("ENVIRONMENT", "staging")])).is_empty());
    assert!(texts(&World::production(&[("CORS_ORIGINS", "")])).is_empty());
    let two = ["https://a.example", "https://b.example:8443"];
    for list in ["https://a.example, https://b.example:8443,,", r#"["https://a.example", " https://b.example:8443"]"#] {
        assert_eq!(texts(&World::new(&[("CORS_ORIGINS", list)])), two);
    }
    assert_eq!(texts(&World::new(&[("CORS_ORIGINS", "*"), ("CORS_ALLOW_CREDENTIALS", "false")])), ["*"]);
}

#[test]
fn allowed_hosts_default_to_the_public_one_in_production() {
    let hosts = |world: &World| world.config().server.allowed_hosts;
    assert_eq!(hosts(&World::production(&[])), AllowedHosts::These(vec!["cms.example.com".into()]));
    assert_eq!(
        hosts(&World::production(&[("ALLOWED_HOSTS", "")])),
        AllowedHosts::These(vec!["cms.example.com".into()])
    );
    let given = hosts(&World::new(&[("ALLOWED_HOSTS", "CMS.example.com:8443, 127.0.0.1, ::1, [::1]:80, localhost")]));
    let AllowedHosts::These(names) = &given else { panic!("a list") };
    assert_eq!(names, &["cms.example.com", "127.0.0.1", "[::1]", "[::1]", "localhost"]);
    assert!(given.allows("cms.example.com") && !given.allows("evil.example"));
    assert!(AllowedHosts::Any.allows("evil.example"));
}

#[test]
fn the_base_url_follows_the_port_until_it_is_given() {
    assert_eq!(World::new(&[("APP_PORT", "9000")]).config().server.base_url.as_str(), "http://localhost:9000");
    let given = World::new(&[("BASE_URL", "https://CMS.example.com:443/")]).config().server.base_url;
    assert_eq!(
        (given.as_str(), given.host(), given.origin().as_str()),
        ("https://cms.example.com", "cms.example.com", "https://cms.example.com")
    );
    assert!(given.is_https() && !given.is_loopback());
}

#[test]
fn a_variable_can_be_found_by_any_of_its_names() {
    assert_eq!(catalog::find("secret_key"), Some(&catalog::SECRET_KEY));
    assert_eq!(catalog::find("BAO_ADDR"), Some(&catalog::VAULT_ADDR));
    assert_eq!(catalog::find("NOBODY"), None);
}
