//! What mails there are: their names, their texts, and which of them carry a link.

/// What a link in a mail is good for. Its token is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Verification,
    PasswordReset,
    EmailChange,
    Unlock,
}

impl Purpose {
    /// The word for it in the store.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
            Self::Unlock => "unlock",
        }
    }

    /// The page that a link leads to; the token stands in its fragment.
    pub(super) fn page(self) -> &'static str {
        match self {
            Self::Verification => "/admin/verify-email",
            Self::PasswordReset => "/admin/reset-password",
            Self::EmailChange => "/admin/confirm-email-change",
            Self::Unlock => "/admin/unlock",
        }
    }

    /// How long a link is good once it was sent, seconds (contract 2.2). One that unlocks dies with its lock.
    pub(super) fn lifetime(self) -> i64 {
        match self {
            Self::PasswordReset => 3600,
            Self::Verification | Self::EmailChange | Self::Unlock => 24 * 3600,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $(=> $purpose:ident)?),+ $(,)?) => {
        /// What a mail is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The name it has in the store and in templates.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What its link is good for, if it has one.
            pub fn purpose(self) -> Option<Purpose> {
                match self {
                    $(Self::$kind => None$(.or(Some(Purpose::$purpose)))?,)+
                }
            }

            /// Its text as it is delivered with the program: a line for the subject, then the body.
            pub(super) fn text(self) -> (&'static str, &'static str) {
                let text = match self {
                    $(Self::$kind => include_str!(concat!("texts/", $name, ".txt")),)+
                };
                text.split_once('\n').unwrap_or((text, ""))
            }
        }
    };
}

kinds! {
    /// To a new account: is this address yours?
    Verification "verification" => Verification,
    /// Asked for by anybody; sent to accounts alone.
    PasswordReset "password_reset" => PasswordReset,
    /// To the address that an account is to have.
    EmailChange "email_change" => EmailChange,
    /// To the address that it has until then.
    EmailChangeRequested "email_change_requested",
    /// To the address that it had.
    EmailChanged "email_changed",
    AccountLocked "account_locked" => Unlock,
    /// Asked for by anybody; sent to accounts alone.
    OneTimeCode "one_time_code",
    /// Every sign-in with a password, where `SECURITY_LOGIN_NOTIFICATIONS` asks for it.
    NewSignIn "new_sign_in",
    NewDevice "new_device",
    PasswordChanged "password_changed",
    PasswordSetByAdmin "password_set_by_admin",
    TwoFactorEnabled "two_factor_enabled",
    TwoFactorDisabled "two_factor_disabled",
    BackupCodesMade "backup_codes_made",
    ApiKeyCreated "api_key_created",
    RefreshReused "refresh_reused",
    Impersonated "impersonated",
    /// To a known address that somebody registers again, where the answer must not say that it is known.
    AlreadyRegistered "already_registered",
    NoticeToAdmins "notice_to_admins",
    Test "test",
}

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
