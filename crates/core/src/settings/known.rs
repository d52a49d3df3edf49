//! Which settings there are: their types, what they are where nobody set them, and those that only show what a variable says.

use serde_json::{Value as Json, json};

use crate::audit::MASK;
use crate::config::Config;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    /// A whole number from the first to the second, both included.
    Within(i64, i64),
}

impl Kind {
    /// Why a value is none of this kind.
    pub(super) fn fault(self, value: &Json) -> Option<String> {
        match self {
            Self::Flag if value.is_boolean() => None,
            Self::Flag => Some("Must be a boolean".to_owned()),
            Self::Within(least, most) => match value.as_i64() {
                None => Some("Must be a number".to_owned()),
                Some(number) if number < least => Some(format!("Minimum value is {least}")),
                Some(number) if number > most => Some(format!("Maximum value is {most}")),
                Some(_) => None,
            },
        }
    }
}

/// A setting that has an effect.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) category: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) preset: i64,
    pub(super) description: &'static str,
}

impl Known {
    /// The value where nobody set one.
    pub(super) fn preset(&self) -> Json {
        match self.kind {
            Kind::Flag => Json::from(self.preset != 0),
            Kind::Within(..) => Json::from(self.preset),
        }
    }
}

pub(super) const KNOWN: &[Known] = &[
    Known {
        category: "auth",
        key: "password_auth_enabled",
        kind: Kind::Flag,
        preset: 1,
        description: "Whether accounts sign in with a password",
    },
    Known {
        category: "auth",
        key: "otp_enabled",
        kind: Kind::Flag,
        preset: 1,
        description: "Whether accounts sign in with a one-time code sent by mail",
    },
    Known {
        category: "auth",
        key: "verification_required",
        kind: Kind::Flag,
        preset: 0,
        description: "Whether an account signs in only once its address is verified; registering says nothing about the address then",
    },
    Known {
        category: "logs",
        key: "enabled",
        kind: Kind::Flag,
        preset: 1,
        description: "Whether requests are noted in the request log",
    },
    Known {
        category: "logs",
        key: "retention_days",
        kind: Kind::Within(1, 365),
        preset: 7,
        description: "How many days the request log is kept",
    },
];

/// The setting of this name, if it has an effect.
pub(super) fn find(category: &str, key: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.category == category && known.key == key)
}

/// A setting that shows what a variable says.
pub(super) struct Mirrored {
    pub(super) category: &'static str,
    pub(super) key: &'static str,
    pub(super) variable: &'static str,
    pub(super) value: Json,
}

/// Categories in which only what is listed here may stand.
pub(super) const OWN: [&str; 7] = ["auth", "mail", "storage", "logs", "backup", "rate_limit", "password"];

/// What the variables of this process say.
pub(super) fn mirrored(config: &Config) -> Vec<Mirrored> {
    let of = |category, key, variable, value| Mirrored { category, key, variable, value };
    let secret = |is_set: bool| if is_set { json!(MASK) } else { Json::Null };
    let (mail, rate, passwords) = (&config.mail, &config.rate_limits, &config.passwords);
    vec![
        of("app", "app_name", "APP_NAME", json!(config.server.app_name)),
        of("app", "app_url", "BASE_URL", json!(config.server.base_url.as_str().trim_end_matches('/'))),
        of("auth", "token_expiry_minutes", "ACCESS_TOKEN_EXPIRE_MINUTES", json!(config.tokens.access_minutes)),
        of("auth", "refresh_token_expiry_days", "REFRESH_TOKEN_EXPIRE_DAYS", json!(config.tokens.refresh_days)),
        of("mail", "smtp_host", "SMTP_HOST", json!(mail.host)),
        of("mail", "smtp_port", "SMTP_PORT", json!(mail.port)),
        of("mail", "smtp_user", "SMTP_USER", secret(mail.user.is_some())),
        of("mail", "smtp_password", "SMTP_PASSWORD", secret(mail.password.is_some())),
        of("mail", "from_email", "SMTP_FROM_EMAIL", json!(mail.from_email)),
        of("mail", "from_name", "SMTP_FROM_NAME", json!(mail.from_name)),
        of("rate_limit", "rate_limit_enabled", "RATE_LIMIT_ENABLED", json!(rate.enabled)),
        of("rate_limit", "rate_limit_per_minute", "RATE_LIMIT_PER_MINUTE", json!(rate.per_minute)),
        of("rate_limit", "rate_limit_per_hour", "RATE_LIMIT_PER_HOUR", json!(rate.per_hour)),
        of("password", "password_min_length", "PASSWORD_MIN_LENGTH", json!(passwords.min_length)),
        of("password", "password_require_uppercase", "PASSWORD_REQUIRE_UPPERCASE", json!(passwords.require_uppercase)),
        of("password", "password_require_lowercase", "PASSWORD_REQUIRE_LOWERCASE", json!(passwords.require_lowercase)),
        of("password", "password_require_digit", "PASSWORD_REQUIRE_DIGIT", json!(passwords.require_digit)),
        of("password", "password_require_special", "PASSWORD_REQUIRE_SPECIAL", json!(passwords.require_special)),
        of("password", "password_history_count", "PASSWORD_HISTORY_COUNT", json!(passwords.history_count)),
    ]
}
