//! The events of the audit log: every name of contract 9.7 that this product writes, each with its severity and its sentence.

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    Auth,
    User,
    ApiKey,
    TwoFactor,
    Collection,
    Record,
    File,
    Admin,
    System,
    Security,
}

impl EventType {
    /// Every type, in the contract's order.
    pub const ALL: [Self; 10] = [
        Self::Auth,
        Self::User,
        Self::ApiKey,
        Self::TwoFactor,
        Self::Collection,
        Self::Record,
        Self::File,
        Self::Admin,
        Self::System,
        Self::Security,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::TwoFactor => "two_factor",
            Self::Collection => "collection",
            Self::Record => "record",
            Self::File => "file",
            Self::Admin => "admin",
            Self::System => "system",
            Self::Security => "security",
        }
    }
}

macro_rules! actions {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($name),+ }

        impl Action {
            /// Every action, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

actions! {
    Login "login",
    Logout "logout",
    LoginFailed "login_failed",
    TokenRefresh "token_refresh",
    PasswordChange "password_change",
    PasswordReset "password_reset",
    Create "create",
    Update "update",
    Delete "delete",
    RoleChange "role_change",
    VerifyEmail "verify_email",
    Setup "setup",
    Enable "enable",
    Disable "disable",
    Verify "verify",
    BackupCodesRegen "backup_codes_regen",
    BackupCodeUsed "backup_code_used",
    Revoke "revoke",
    RevokeAll "revoke_all",
    Export "export",
    Import "import",
    BulkUpdate "bulk_update",
    BulkDelete "bulk_delete",
    SettingsChange "settings_change",
    BackupCreate "backup_create",
    BackupRestore "backup_restore",
    RateLimit "rate_limit",
    SuspiciousActivity "suspicious_activity",
    AccessDenied "access_denied",
    RefreshReuse "refresh_reuse",
    Impersonate "impersonate",
    Unlock "unlock",
    SecretRead "secret_read",
    SecretUse "secret_use",
    SecretRotate "secret_rotate",
    KeyRotate "key_rotate",
}

/// How much an event asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    /// Refused.
    Failure,
    /// A fault of ours.
    Error,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Error];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

macro_rules! events {
    ($($name:ident => $kind:ident $action:ident $severity:ident $outcome:ident $sentence:literal),+ $(,)?) => {
        /// An event by its meaning. An operation names one; type, action, severity and outcome follow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $(#[doc = $sentence] $name),+
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What it is about.
            pub const fn event_type(self) -> EventType {
                match self { $(Self::$name => EventType::$kind),+ }
            }

            /// What was done.
            pub const fn action(self) -> Action {
                match self { $(Self::$name => Action::$action),+ }
            }

            /// How much it asks for attention.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }

            /// How it ended.
            pub const fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome),+ }
            }

            /// What happened, for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),+ }
            }
        }
    };
}

events! {
    // Sign-in and sessions.
    SetUp => System Setup Critical Success "The first admin was made",
    SetupRefused => System Setup Warning Failure "A setup attempt was refused",
    SignedIn => Auth Login Info Success "Signed in",
    SignInFailed => Auth LoginFailed Warning Failure "A sign-in failed",
    SignedOut => Auth Logout Info Success "Signed out",
    SignedOutEverywhere => Auth RevokeAll Info Success "Every session of the account was ended",
    SessionEnded => Auth Revoke Info Success "A session was ended",
    TokenRefreshed => Auth TokenRefresh Info Success "A token pair was renewed",
    RefreshRefused => Auth TokenRefresh Warning Failure "A refresh token was refused",
    RefreshReused => Security RefreshReuse Critical Failure "A used refresh token came back: its session was ended",
    CredentialRefused => Security AccessDenied Warning Failure "A credential was refused",
    AccountLocked => Security SuspiciousActivity Warning Failure "An account was locked after failed attempts",
    PasswordsSprayed => Security SuspiciousActivity Critical Failure "Sign-ins to many accounts failed from one network",
    AccountUnlocked => Security Unlock Warning Success "A lock was taken off an account",

    // Accounts.
    Registered => User Create Info Success "An account was registered",
    RegisteredAgain => User Create Warning Failure "An address that is taken was registered again",
    UserCreated => User Create Warning Success "A user was made",
    UserUpdated => User Update Info Success "A user was changed",
    UserRoleChanged => User RoleChange Critical Success "A user got another role",
    UserEnabled => User Enable Warning Success "A user was enabled",
    UserDisabled => User Disable Warning Success "A user was disabled",
    UserDeleted => User Delete Warning Success "A user was deleted",
    PasswordChanged => Auth PasswordChange Warning Success "A password was changed",
    PasswordChangeRequired => Auth PasswordChange Critical Success "A password has to be changed before anything else",
    PasswordChangeRefused => Auth PasswordChange Warning Failure "A password change was refused",
    PasswordResetAsked => Auth PasswordReset Info Success "A password reset was asked for",
    PasswordReset => Auth PasswordReset Warning Success "A password was reset",
    PasswordResetRefused => Auth PasswordReset Warning Failure "A password reset was refused",
    EmailVerified => Auth VerifyEmail Info Success "An address was verified",
    EmailChangeAsked => User Update Warning Success "A change of address was asked for",
    EmailChangeRefused => User Update Warning Failure "A change of address was refused",
    EmailChanged => User Update Warning Success "An address was changed",
    ProviderLinked => Auth Enable Warning Success "A provider account was linked",
    ProviderUnlinked => Auth Disable Warning Success "A provider account was unlinked",
    Impersonated => Admin Impersonate Critical Success "An admin acts as a user",
    ImpersonationEnded => Admin Impersonate Warning Success "An impersonation was ended",
    ImpersonationRefused => Admin Impersonate Critical Failure "An impersonation was refused",

    // API keys and second factors.
    ApiKeyCreated => ApiKey Create Warning Success "An API key was made",
    ApiKeyUpdated => ApiKey Update Info Success "An API key was changed",
    ApiKeyRotated => ApiKey Update Warning Success "An API key got a new text",
    ApiKeyRevoked => ApiKey Revoke Warning Success "An API key was revoked",
    ApiKeysRevoked => ApiKey RevokeAll Warning Success "All API keys of an account were revoked",
    TwoFactorEnabled => TwoFactor Enable Warning Success "A second factor was turned on",
    TwoFactorDisabled => TwoFactor Disable Critical Success "A second factor was turned off",
    TwoFactorVerified => TwoFactor Verify Info Success "A second factor was given",
    TwoFactorRefused => TwoFactor Verify Warning Failure "A second factor was refused",
    BackupCodesRenewed => TwoFactor BackupCodesRegen Warning Success "Backup codes were made anew",
    BackupCodeUsed => TwoFactor BackupCodeUsed Warning Success "A backup code was used",

    // Collections, records, files.
    CollectionCreated => Collection Create Info Success "A collection was made",
    CollectionUpdated => Collection Update Warning Success "A collection was changed",
    CollectionDeleted => Collection Delete Warning Success "A collection was deleted",
    CollectionTruncated => Collection BulkDelete Warning Success "All records of a collection were deleted",
    CollectionExported => Collection Export Warning Success "A collection was exported",
    CollectionImported => Collection Import Warning Success "A collection was imported",
    IndexCreated => Collection Update Info Success "A collection got an index",
    IndexDeleted => Collection Update Info Success "An index of a collection was deleted",
    RecordCreated => Record Create Info Success "A record was made",
    RecordUpdated => Record Update Info Success "A record was changed",
    RecordDeleted => Record Delete Info Success "A record was deleted",
    RecordsUpdated => Record BulkUpdate Info Success "Records were changed together",
    RecordsDeleted => Record BulkDelete Warning Success "Records were deleted together",
    RecordsExported => Record Export Warning Success "Records were exported",
    RecordsImported => Record Import Warning Success "Records were imported",
    FileUploaded => File Create Info Success "A file was uploaded",
    FileUpdated => File Update Info Success "A file was changed",
    FileDeleted => File Delete Info Success "A file was deleted",

    // Administration.
    SettingChanged => Admin SettingsChange Warning Success "A setting was changed",
    MailTextChanged => Admin SettingsChange Warning Success "The text of a mail was changed",
    MailTextUnfit => Admin SettingsChange Critical Error "A text of a mail could not be used: the delivered one was sent",
    WebhookCreated => Admin Create Warning Success "A webhook was made",
    WebhookUpdated => Admin Update Warning Success "A webhook was changed",
    WebhookDeleted => Admin Delete Warning Success "A webhook was deleted",
    ProviderCreated => Admin Create Warning Success "A sign-in provider was made",
    ProviderUpdated => Admin Update Warning Success "A sign-in provider was changed",
    ProviderDeleted => Admin Delete Warning Success "A sign-in provider was deleted",
    RoleCreated => Admin Create Critical Success "A role was made",
    RoleUpdated => Admin Update Critical Success "A role was changed",
    RoleDeleted => Admin Delete Critical Success "A role was deleted",
    RolesGiven => User RoleChange Critical Success "A user got other roles",
    IpRuleCreated => Security Create Warning Success "An address rule was made",
    IpRuleDeleted => Security Delete Warning Success "An address rule was deleted",
    IpRulesCleared => Security BulkDelete Critical Success "All address rules were deleted",
    BackupCreated => Admin BackupCreate Warning Success "A backup was made",
    BackupFailed => Admin BackupCreate Critical Error "A backup failed",
    BackupDownloaded => Admin Export Critical Success "A backup was downloaded",
    BackupRestoreAsked => Admin BackupRestore Critical Success "A restore was staged for the next start",
    BackupDeleted => Admin Delete Warning Success "A backup was deleted",
    RequestLogCleaned => Admin BulkDelete Warning Success "Old rows of the request log were deleted",
    AuditExported => Admin Export Warning Success "The audit log was exported",
    AuditCleaned => System BulkDelete Critical Success "Old segments of the audit log were deleted",

    // Keys, secrets, protections.
    SetupLinkOffered => System Create Warning Success "A link for the first admin was printed",
    AuditSegmentOpened => System Create Critical Success "The audit log goes on under a new key",
    UnreadableAccepted => System SuspiciousActivity Critical Success "Started although sealed values cannot be opened",
    KeyRotated => System KeyRotate Critical Success "The signing key was rotated",
    KeysRevoked => System KeyRotate Critical Success "Every session and token was ended",
    SecretRead => System SecretRead Info Success "A secret was read",
    SecretReadFailed => System SecretRead Critical Error "A secret could not be read",
    SecretUsed => System SecretUse Info Success "A stored secret was used",
    SecretUnsealFailed => System SecretUse Critical Error "A sealed value could not be opened",
    SecretRotated => System SecretRotate Critical Success "A secret was rotated",
    SecretRotationRefused => System SecretRotate Warning Failure "A secret could not be rotated",
    AccessDenied => Security AccessDenied Warning Failure "Access was denied",
    RateLimited => Security RateLimit Warning Failure "The rate limit was reached",
    SuspiciousActivity => Security SuspiciousActivity Warning Failure "Something suspicious was refused",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract 9.7, word for word.
    const TYPES: &str = "auth,user,api_key,two_factor,collection,record,file,admin,system,security";
    const ACTIONS: &str = "login,logout,login_failed,token_refresh,password_change,password_reset,create,update,delete,\
        role_change,verify_email,setup,enable,disable,verify,backup_codes_regen,backup_code_used,revoke,revoke_all,export,\
        import,bulk_update,bulk_delete,settings_change,backup_create,backup_restore,rate_limit,suspicious_activity,\
        access_denied,refresh_reuse,impersonate,unlock,secret_read,secret_use,secret_rotate,key_rotate";

    #[test]
    fn every_name_of_the_contract_is_there_and_none_besides() {
        assert_eq!(EventType::ALL.map(EventType::name).join(","), TYPES);
        assert_eq!(Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(","), ACTIONS);
    }

    #[test]
    fn every_name_of_the_contract_has_an_event() {
        for kind in EventType::ALL {
            assert!(Event::ALL.iter().any(|event| event.event_type() == kind), "{kind:?}");
        }
        for action in Action::ALL {
            assert!(Event::ALL.iter().any(|event| event.action() == *action), "{action:?}");
        }
    }
}
