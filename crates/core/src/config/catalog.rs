//! The one table of variables. Parsing, printout, reference page, `.env.example` and typo warnings all read it; nothing about a
//! variable is written down a second time.

#![expect(
    clippy::doc_markdown,
    reason = "the sentences also stand outside rustdoc, where names of products carry no backticks"
)]

use super::keys::SealedData;
use super::kind::{Choice, Kind};
use super::limits::LimitHeaders;
use super::logging::{LogFormat, LogLevel};
use super::network::ClientIpHeader;
use super::passwords::RequireMfa;
use super::server::Environment;
use super::storage::StorageType;
use super::tokens::Algorithm;
use Kind::{Date, Flag, Hosts, Key, Keys, List, Networks, Origin, Origins, Path, Text, Url, Whole, Wholes};
use Preset::{Depends, Is, Unset};

/// One variable of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment; lower case in `fastcms.toml`.
    pub name: &'static str,
    /// Names accepted in its place, read when the name itself is absent.
    pub aliases: &'static [&'static str],
    /// What it is about.
    pub concern: Concern,
    /// What its text must be.
    pub kind: Kind,
    /// What holds without it.
    pub default: Preset,
    /// How its value may be shown.
    pub secrecy: Secrecy,
    /// What it does: one sentence, or a few.
    pub doc: &'static str,
}

impl Variable {
    /// Whether the value may come from a file named by `NAME_FILE`, and is masked wherever it is shown.
    pub fn is_secret(&self) -> bool {
        self.secrecy != Secrecy::Open
    }

    /// The name itself, then its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// How the value of a variable may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// As it is.
    Open,
    /// Without the password inside the URL.
    Url,
    /// Where the URL leads, but neither its path nor its query: collectors put their token there.
    Address,
    /// Not at all.
    Secret,
}

/// What holds when a variable is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Nothing: the thing is off, empty or decided elsewhere.
    Unset,
    /// This text, read as if it had been given.
    Is(&'static str),
    /// Something that depends on other values; the text says how, for people.
    Depends(&'static str),
}

/// Groups of variables, in the order of the reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says it, and `title` says it to people")]
pub enum Concern {
    Server,
    Database,
    Keys,
    Tokens,
    Cors,
    Passwords,
    Lockout,
    RateLimits,
    Network,
    Storage,
    Images,
    Mail,
    Redis,
    OAuth,
    Limits,
    Logging,
    Audit,
    Managers,
    Retired,
}

impl Concern {
    /// Its heading on the reference page.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Database => "Database",
            Self::Keys => "Keys",
            Self::Tokens => "Tokens and sessions",
            Self::Cors => "CORS",
            Self::Passwords => "Passwords and second factors",
            Self::Lockout => "Account lockout",
            Self::RateLimits => "Rate limits",
            Self::Network => "Proxies and networks",
            Self::Storage => "Files",
            Self::Images => "Images",
            Self::Mail => "Mail",
            Self::Redis => "Redis",
            Self::OAuth => "OAuth providers",
            Self::Limits => "Limits",
            Self::Logging => "Logging",
            Self::Audit => "Audit log",
            Self::Managers => "Secret managers",
            Self::Retired => "Retired",
        }
    }
}

macro_rules! catalog {
    ($($concern:ident { $($name:ident $([$($alias:literal),+])?: $secrecy:ident, $kind:expr, $default:expr, $doc:literal;)+ })+) => {
        $($(
            #[doc = $doc]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                aliases: &[$($($alias),+)?],
                concern: Concern::$concern,
                kind: $kind,
                default: $default,
                secrecy: Secrecy::$secrecy,
                doc: $doc,
            };
        )+)+

        /// Every variable, by concern.
        pub static ALL: &[&Variable] = &[$($(&$name,)+)+];
    };
}

/// The largest number that a count or a time may reach: far beyond use, small enough never to overflow when multiplied.
const MANY: u64 = 1_000_000_000;
const ANY_COUNT: Kind = Whole { min: 1, max: MANY };
const BYTES: Kind = Whole { min: 1, max: 1 << 40 };
const PIXELS: Kind = Whole { min: 1, max: 20_000 };

catalog! {
    Server {
        APP_NAME: Open, Text, Is("FastCMS"), "Name of this installation: on the root page, in mails, and as issuer in authenticator apps.";
        APP_VERSION: Open, Text, Depends("the binary's version"), "Version shown to admins, and in development to everybody.";
        APP_HOST: Open, Text, Depends("`0.0.0.0`; `127.0.0.1` with `fastcms dev`"), "Address that `fastcms serve` listens on; `--host` wins.";
        APP_PORT: Open, Whole { min: 0, max: 65_535 }, Is("8000"), "Port that `fastcms serve` listens on, 0 for any free one; `--port` wins.";
        BASE_URL: Open, Url, Depends("`http://localhost:8000` (the port is `APP_PORT`)"), "Public address, the only source of links in mails, of redirect URIs and of the issuer of tokens. Required in production.";
        ENVIRONMENT: Open, Kind::Choice(Environment::NAMES), Is("development"), "Production turns on every hardening default and refuses to start on an unsafe configuration.";
        DEBUG: Open, Flag, Depends("`false`; `true` with `fastcms dev`"), "Serves the documentation pages and the schema, and logs SQL. Error bodies carry no internals, whatever its value. Refused in production.";
        ALLOWED_HOSTS: Open, Hosts, Depends("production: the host of `BASE_URL`; otherwise any"), "Host names under which requests are answered, ports ignored; any other is 421. The health paths, and a loopback name on a listener bound to a loopback address, are exempt.";
    }
    Database {
        DATABASE_URL: Url, Url, Is("sqlite:///./data/app.db"), "Where data is kept: `sqlite:///path` (four slashes for an absolute path) or `postgresql://user:password@host/name`. Behind `?` may stand `sslmode`, `sslrootcert` (a file of certificates, or `system`), `application_name`, `host` and `user`. `sslmode` is `prefer` unless given; in production and off this machine it is `verify-full`, `disable` is refused, and anything in between draws a warning. On PostgreSQL a node opens up to twice as many connections as it has cores for reads, as many and at least 16 for writes, and one that listens.";
    }
    Keys {
        SECRET_KEY: Secret, Key, Unset, "Key material that tokens are signed with and data keys are wrapped by; every key in use is derived from it. Required in production: at least 32 bytes and 10 different characters, no known placeholder. `fastcms keys generate` prints a good one.";
        SECRET_KEY_PREVIOUS: Secret, Keys, Unset, "Keys being retired: what they signed is still accepted, nothing new is signed with them.";
        SECRET_KEY_NEXT: Secret, Key, Unset, "Key about to become `SECRET_KEY`: accepted on every node before the first one signs with it.";
        ENCRYPTION_KEY: Secret, Key, Unset, "Wraps the data keys instead of `SECRET_KEY`; the same rules of strength hold.";
        ENCRYPTION_KEY_PREVIOUS: Secret, Keys, Unset, "Earlier values of `ENCRYPTION_KEY`, for unwrapping only.";
        ENCRYPTION_TRANSIT_KEY: Open, Text, Unset, "Key of a transit engine of Vault or OpenBao, `mount/key`, that wraps the data keys instead of `ENCRYPTION_KEY` and `SECRET_KEY`, which then only unwrap what they wrapped before (docs/secrets.md). Needs `VAULT_ADDR` and a way to log in.";
        SEALED_DATA_UNREADABLE: Open, Kind::Choice(SealedData::NAMES), Is("refuse"), "What happens at start in production when sealed values cannot be opened with any key given: `accept` starts, and those values read as missing.";
    }
    Tokens {
        ALGORITHM: Open, Kind::Choice(Algorithm::NAMES), Is("HS256"), "Algorithm of the tokens.";
        ACCESS_TOKEN_EXPIRE_MINUTES: Open, Whole { min: 1, max: 525_600 }, Is("15"), "Life of an access token in minutes; above 60 there is a warning.";
        REFRESH_TOKEN_EXPIRE_DAYS: Open, Whole { min: 1, max: 3_650 }, Is("30"), "Absolute end of a chain of refresh tokens in days, not extended by use; above 30 there is a warning.";
        REFRESH_GRACE_SECONDS: Open, Whole { min: 0, max: 60 }, Is("10"), "Seconds in which a refresh token just replaced answers with the same successor, for tabs that refresh at once.";
        SESSION_IDLE_MINUTES: Open, Whole { min: 1, max: 525_600 }, Is("60"), "Minutes without a request after which a cookie session ends.";
        SESSION_ABSOLUTE_HOURS: Open, Whole { min: 1, max: 8_760 }, Is("12"), "Hours after which a cookie session ends in any case.";
        STEP_UP_MINUTES: Open, Whole { min: 5, max: 15 }, Is("15"), "Minutes since login after which sensitive actions ask for a new one.";
        COOKIE_HOST_PREFIX: Open, Flag, Is("false"), "Cookies are called `__Host-…`, and those without the prefix are ignored.";
        ACCEPT_LEGACY_TOKENS_UNTIL: Open, Date, Unset, "Last day (UTC) on which a refresh token of FastCMS for Python may be exchanged once for one of ours.";
    }
    Cors {
        CORS_ORIGINS: Open, Origins, Depends("development: `http://localhost:3000,http://localhost:8000`; otherwise none"), "Origins whose pages may call the API, each `scheme://host[:port]`. `*` is every origin, and refused together with credentials.";
        CORS_ALLOW_CREDENTIALS: Open, Flag, Is("true"), "Whether those pages may send credentials.";
    }
    Passwords {
        PASSWORD_MIN_LENGTH: Open, Whole { min: 1, max: 128 }, Unset, "Fewest characters of a password; 10 when unset.";
        PASSWORD_REQUIRE_UPPERCASE: Open, Flag, Unset, "A password needs an upper-case letter.";
        PASSWORD_REQUIRE_LOWERCASE: Open, Flag, Unset, "A password needs a lower-case letter.";
        PASSWORD_REQUIRE_DIGIT: Open, Flag, Unset, "A password needs a digit.";
        PASSWORD_REQUIRE_SPECIAL: Open, Flag, Unset, "A password needs a special character.";
        PASSWORD_HISTORY_COUNT: Open, Whole { min: 0, max: 100 }, Is("0"), "How many earlier passwords, besides the current one, may not be used again.";
        PASSWORD_BREACH_URL: Open, Url, Unset, "Service that is asked whether a new password is known from a breach, such as `https://api.pwnedpasswords.com/range/`: five digits of its SHA-1 leave, nothing else. Where it does not answer within two seconds nobody is refused. In production `http://` is taken on loopback only.";
        CONTEXT_WORDS: Open, List, Unset, "Words that no password may contain, besides the blocklist, `APP_NAME` and the host of `BASE_URL`; those under 4 characters do not count.";
        REQUIRE_MFA: Open, Kind::Choice(RequireMfa::NAMES), Unset, "Who needs a second factor: an account without one can only enrol.";
    }
    Lockout {
        ACCOUNT_LOCKOUT_ENABLED: Open, Flag, Is("true"), "Locks an account after failed logins; without it there is no growing delay either.";
        ACCOUNT_LOCKOUT_ATTEMPTS: Open, Whole { min: 1, max: 1_000 }, Is("5"), "Failures that lock an account.";
        ACCOUNT_LOCKOUT_DURATION: Open, Whole { min: 1, max: 31_536_000 }, Is("1800"), "Seconds that the lock lasts.";
        ACCOUNT_LOCKOUT_REVEAL: Open, Flag, Is("false"), "A locked account answers 403 `account_locked` instead of looking like any failed login.";
    }
    RateLimits {
        RATE_LIMIT_ENABLED: Open, Flag, Is("true"), "Without it there is no limit of any kind on how often a caller may call; lockout stays.";
        RATE_LIMIT_PER_MINUTE: Open, ANY_COUNT, Is("100"), "Requests of one caller in any 60 seconds.";
        RATE_LIMIT_PER_HOUR: Open, ANY_COUNT, Is("1000"), "Requests of one caller in any 3600 seconds.";
        RATE_LIMIT_HEADERS: Open, Kind::Choice(LimitHeaders::NAMES), Is("both"), "Headers that tell callers what is left: `draft` (RateLimit), `legacy` (X-RateLimit-…), both or none.";
        RATE_LIMIT_EXEMPT_CIDRS: Open, Networks, Unset, "Client addresses outside every rate limit; lockout still applies to them.";
    }
    Network {
        TRUSTED_PROXIES: Open, Networks, Unset, "Reverse proxies whose word about the client address, scheme and host counts.";
        TRUSTED_PROXY_HOPS: Open, Whole { min: 0, max: 16 }, Unset, "Number of proxies in front. Without `TRUSTED_PROXIES` every peer counts as a proxy, which is safe only where nothing else can reach the port.";
        CLIENT_IP_HEADER: Open, Kind::Choice(ClientIpHeader::NAMES), Is("X-Forwarded-For"), "The one header that a trusted proxy names the client in; the others are ignored.";
        IP_FILTER_ENABLED: Open, Flag, Is("false"), "Applies the allow and block rules kept in the database.";
        ADMIN_ALLOWED_CIDRS: Open, Networks, Unset, "Client addresses that may reach the admin UI, the admin API and setup; empty: any.";
        EGRESS_ALLOWED_CIDRS: Open, Networks, Unset, "Internal ranges that `AUDIT_WEBHOOK_URL` and `PASSWORD_BREACH_URL` may lead to in production all the same; elsewhere private and loopback addresses need no listing. A name is resolved once, and refused if one of its addresses must not be reached. Services that hand out credentials of the machine are never reached. Databases, mail servers and secret managers are not concerned.";
    }
    Storage {
        STORAGE_TYPE: Open, Kind::Choice(StorageType::NAMES), Is("local"), "Where uploaded files are kept.";
        MAX_FILE_SIZE: Open, BYTES, Is("10485760"), "Largest upload or import in bytes; more is 413.";
        ALLOWED_FILE_TYPES: Open, List, Is("image/jpeg,image/png,image/gif,image/webp,application/pdf,application/zip,text/plain,text/csv"), "Media types that may be uploaded, judged by content.";
        FILES_ORIGIN: Open, Origin, Unset, "Another origin that serves uploaded bytes, so that they can never act in the name of this one.";
        LOCAL_STORAGE_PATH: Open, Path, Is("./data/files"), "Folder of the local storage.";
        AWS_S3_BUCKET_NAME: Open, Text, Unset, "S3 bucket.";
        AWS_S3_REGION: Open, Text, Is("us-east-1"), "S3 region.";
        AWS_S3_ENDPOINT_URL: Open, Url, Unset, "Endpoint of a service compatible with S3. In production `http://` is taken on loopback only.";
        AWS_S3_PUBLIC_URL: Open, Url, Unset, "Public address of the bucket, for links.";
        AWS_ACCESS_KEY_ID: Secret, Text, Unset, "Access key of S3 and of AWS Secrets Manager.";
        AWS_SECRET_ACCESS_KEY: Secret, Text, Unset, "Secret of that access key.";
        AZURE_STORAGE_CONTAINER_NAME: Open, Text, Unset, "Container of Azure Blob Storage.";
        AZURE_STORAGE_CONNECTION_STRING: Secret, Text, Unset, "Connection string of the storage account; wins over name and key.";
        AZURE_STORAGE_ACCOUNT_NAME: Open, Text, Unset, "Name of the storage account.";
        AZURE_STORAGE_ACCOUNT_KEY: Secret, Text, Unset, "Key of the storage account.";
        AZURE_STORAGE_PUBLIC_URL: Open, Url, Unset, "Public address of the container, for links.";
    }
    Images {
        IMAGE_THUMBNAIL_SIZES: Open, Wholes { min: 1, max: 20_000 }, Is("100,300,600"), "Longest sides, in pixels, of the thumbnails made at upload; also the sizes that `thumb` may ask for.";
        IMAGE_MAX_WIDTH: Open, PIXELS, Is("2000"), "Widest generated image in pixels.";
        IMAGE_MAX_HEIGHT: Open, PIXELS, Is("2000"), "Highest generated image in pixels.";
        IMAGE_QUALITY: Open, Whole { min: 1, max: 100 }, Is("85"), "JPEG quality of generated images.";
    }
    Mail {
        SMTP_HOST: Open, Text, Is("smtp.gmail.com"), "Mail server; STARTTLS with a verified certificate is mandatory.";
        SMTP_PORT: Open, Whole { min: 1, max: 65_535 }, Is("587"), "Its port.";
        SMTP_USER: Open, Text, Unset, "Account at the mail server; mail is on only with user and password.";
        SMTP_PASSWORD: Secret, Text, Unset, "Password of that account.";
        SMTP_FROM_EMAIL: Open, Text, Is("noreply@fastcms.dev"), "Sender address.";
        SMTP_FROM_NAME: Open, Text, Is("FastCMS"), "Sender name.";
        SECURITY_NOTIFICATIONS_ENABLED: Open, Flag, Is("true"), "Mails the owner about lockout, password and address changes, second factors, new API keys and reused refresh tokens.";
        SECURITY_LOGIN_NOTIFICATIONS: Open, Flag, Is("false"), "Mails the owner at each login with a password.";
    }
    Redis {
        REDIS_URL: Url, Url, Is("redis://localhost:6379/0"), "Address of Redis; `rediss://` verifies certificate and name.";
        REDIS_ENABLED: Open, Flag, Is("false"), "Several nodes share realtime events and rate limits over Redis.";
    }
    OAuth {
        GOOGLE_CLIENT_ID: Open, Text, Unset, "Client id at Google. Not in this version: nobody signs in by it yet.";
        GOOGLE_CLIENT_SECRET: Secret, Text, Unset, "Client secret at Google. Not in this version: nobody signs in by it yet.";
        GITHUB_CLIENT_ID: Open, Text, Unset, "Client id at GitHub. Not in this version: nobody signs in by it yet.";
        GITHUB_CLIENT_SECRET: Secret, Text, Unset, "Client secret at GitHub. Not in this version: nobody signs in by it yet.";
        FACEBOOK_CLIENT_ID: Open, Text, Unset, "Client id at Facebook. Not in this version: nobody signs in by it yet.";
        FACEBOOK_CLIENT_SECRET: Secret, Text, Unset, "Client secret at Facebook. Not in this version: nobody signs in by it yet.";
        MICROSOFT_CLIENT_ID: Open, Text, Unset, "Client id at Microsoft. Not in this version: nobody signs in by it yet.";
        MICROSOFT_CLIENT_SECRET: Secret, Text, Unset, "Client secret at Microsoft. Not in this version: nobody signs in by it yet.";
    }
    Limits {
        MAX_BODY_SIZE: Open, BYTES, Is("1048576"), "Largest request body in bytes, uploads and imports excepted (those: `MAX_FILE_SIZE`); more is 413.";
    }
    Logging {
        LOG_LEVEL: Open, Kind::Choice(LogLevel::NAMES), Is("INFO"), "Least severe messages that are logged.";
        LOG_FORMAT: Open, Kind::Choice(LogFormat::NAMES), Is("json"), "One JSON object a line, or text for people.";
    }
    Audit {
        AUDIT_FILE: Open, Path, Unset, "File that every event of the audit log is appended to, one JSON object a line. It may be moved away at any time; a new one is begun.";
        AUDIT_WEBHOOK_URL: Address, Url, Unset, "Address that every event of the audit log is posted to, in batches of one JSON object a line. In production `http://` is taken on loopback only. What it does not take waits in the database.";
        AUDIT_WEBHOOK_SECRET: Secret, Text, Unset, "Key of the signature that those requests carry in `webhook-signature`.";
        AUDIT_RETENTION_DAYS: Open, Whole { min: 7, max: 3_650 }, Is("365"), "Days after which segments of the audit log are deleted as a whole. A segment that a file or address above still waits for is kept for twice as long.";
    }
    Managers {
        SECRETS_REFRESH_SECONDS: Open, Whole { min: 1, max: 3_600 }, Is("60"), "Seconds between two looks at a secret manager.";
        SECRETS_BOOT_TIMEOUT: Open, Whole { min: 1, max: 600 }, Is("30"), "Seconds that a start waits for a secret manager that does not answer.";
        SECRET_MAX_AGE_DAYS: Open, Whole { min: 1, max: 3_650 }, Unset, "Age in days from which a secret is reported as due for rotation; unset: 90 for keys, 365 for others.";
        SECRETS_AGE_FILE: Open, Path, Unset, "File of age with settings in the form of `.env`: they count after all that is given in plain sight, and are followed while the server runs.";
        SECRETS_AGE_IDENTITY: Secret, Text, Unset, "Identities (`AGE-SECRET-KEY-1…`, one a line, at most 20) that open files of age; as a rule by `SECRETS_AGE_IDENTITY_FILE`, the file that `age-keygen` wrote.";
        VAULT_ADDR ["BAO_ADDR"]: Open, Url, Unset, "Address of Vault or OpenBao.";
        VAULT_NAMESPACE ["BAO_NAMESPACE"]: Open, Text, Unset, "Namespace.";
        VAULT_CACERT ["BAO_CACERT"]: Open, Path, Unset, "Certificate authority of the server, a PEM file.";
        VAULT_TOKEN ["BAO_TOKEN"]: Secret, Text, Unset, "Token to log in with.";
        VAULT_ROLE_ID ["BAO_ROLE_ID"]: Open, Text, Unset, "AppRole to log in with.";
        VAULT_SECRET_ID ["BAO_SECRET_ID"]: Secret, Text, Unset, "Secret of that AppRole.";
        VAULT_SECRET_ID_WRAPPED ["BAO_SECRET_ID_WRAPPED"]: Open, Flag, Is("false"), "Whether `VAULT_SECRET_ID` is a wrapping token, good once, behind which the secret of the AppRole lies.";
        VAULT_K8S_ROLE ["BAO_K8S_ROLE"]: Open, Text, Unset, "Kubernetes role to log in with.";
        VAULT_K8S_TOKEN_FILE ["BAO_K8S_TOKEN_FILE"]: Open, Path, Is("/var/run/secrets/kubernetes.io/serviceaccount/token"), "File of the token that Kubernetes keeps for the pod, read again at each log-in.";
        VAULT_JWT_ROLE ["BAO_JWT_ROLE"]: Open, Text, Unset, "Role to log in with by a token of an authority that the vault trusts.";
        VAULT_JWT_FILE ["BAO_JWT_FILE"]: Open, Path, Unset, "File of that token, read again at each log-in.";
        VAULT_AUTH_MOUNT ["BAO_AUTH_MOUNT"]: Open, Text, Unset, "Where the way of logging in is mounted; unset: at its usual place, such as `approle`.";
        VAULT_SECRET_PATH ["BAO_SECRET_PATH"]: Open, Text, Unset, "`mount/path` of a secret (KV version 2) that holds our variables: a secret setting that nobody gives is looked for there, as the field of its name.";
        AWS_REGION ["AWS_DEFAULT_REGION"]: Open, Text, Unset, "Region of AWS Secrets Manager.";
        AWS_SESSION_TOKEN: Secret, Text, Unset, "Session token of temporary credentials.";
        AWS_ROLE_ARN: Open, Text, Unset, "Role taken by web identity.";
        AWS_WEB_IDENTITY_TOKEN_FILE: Open, Path, Unset, "File with the web identity token, read again at each use.";
        AWS_CONTAINER_CREDENTIALS_FULL_URI: Open, Url, Unset, "Where the container asks for credentials.";
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: Open, Path, Unset, "File with the token for that.";
        AWS_EC2_METADATA_SERVICE_ENDPOINT: Open, Url, Unset, "Another address of the instance metadata service (version 2 only).";
        AWS_ENDPOINT_URL_SECRETS_MANAGER: Open, Url, Unset, "Another endpoint of AWS Secrets Manager.";
        AWS_ENDPOINT_URL_STS: Open, Url, Unset, "Another endpoint of AWS STS.";
        AZURE_TENANT_ID: Open, Text, Unset, "Tenant of the identity that reads Azure Key Vault.";
        AZURE_CLIENT_ID: Open, Text, Unset, "Client id of that identity.";
        AZURE_CLIENT_SECRET: Secret, Text, Unset, "Client secret of that identity.";
        AZURE_FEDERATED_TOKEN_FILE: Open, Path, Unset, "File with the workload identity token, read again at each use.";
        AZURE_AUTHORITY_HOST: Open, Url, Unset, "Another authority that issues tokens.";
        AZURE_POD_IDENTITY_AUTHORITY_HOST: Open, Url, Unset, "Another address of the instance metadata service.";
        IDENTITY_ENDPOINT: Open, Url, Unset, "Where App Service gives tokens of its managed identity.";
        IDENTITY_HEADER: Secret, Text, Unset, "What App Service wants to see for that.";
    }
    Retired {
        ADMIN_EMAIL: Open, Text, Unset, "Not read, a warning when set: the first admin comes from setup or from `fastcms admin create`.";
        ADMIN_PASSWORD: Secret, Text, Unset, "Not read, a warning when set: as `ADMIN_EMAIL`.";
    }
}

/// The variable called `name`, case-insensitive, aliases included.
pub fn find(name: &str) -> Option<&'static Variable> {
    ALL.iter().copied().find(|variable| variable.names().any(|one| one.eq_ignore_ascii_case(name)))
}
