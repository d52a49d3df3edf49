//! What a role may open (contract 5.14): one name for each thing that admins do. An admin has them all, without a role.

use std::fmt;

macro_rules! permissions {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// Something that admins may do, and others by a role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission { $(#[doc = concat!("`", $text, "`")] $name),+ }

        impl Permission {
            /// Every permission, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

permissions! {
    UsersRead "users:read",
    UsersWrite "users:write",
    UsersImpersonate "users:impersonate",
    RolesRead "roles:read",
    RolesWrite "roles:write",
    CollectionsRead "collections:read",
    CollectionsWrite "collections:write",
    RecordsRead "records:read",
    RecordsWrite "records:write",
    FilesRead "files:read",
    FilesWrite "files:write",
    WebhooksRead "webhooks:read",
    WebhooksWrite "webhooks:write",
    OAuthRead "oauth:read",
    OAuthWrite "oauth:write",
    SettingsRead "settings:read",
    SettingsWrite "settings:write",
    KeysRead "keys:read",
    KeysRotate "keys:rotate",
    SecretsList "secrets:list",
    SecretsUse "secrets:use",
    SecretsRotate "secrets:rotate",
    SecretsWrite "secrets:write",
    AuditRead "audit:read",
    AuditWrite "audit:write",
    LogsRead "logs:read",
    LogsWrite "logs:write",
    BackupsRead "backups:read",
    BackupsWrite "backups:write",
    BackupsDownload "backups:download",
    BackupsRestore "backups:restore",
    IpRulesRead "ip_rules:read",
    IpRulesWrite "ip_rules:write",
    LimitsRead "limits:read",
    MetricsRead "metrics:read",
    CronRead "cron:read",
    CronRun "cron:run",
}

impl Permission {
    /// The permission of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of permissions: one word, so that asking costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);
    /// Those of an admin.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Whether this one is in it.
    pub const fn holds(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether all of `others` are in it.
    pub const fn covers(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// The permissions, in the contract's order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.holds(*permission))
    }

    /// What a stored list of names gives. A name that this version does not know gives nothing.
    pub(crate) fn stored(json: &str) -> Self {
        let names: Vec<String> = serde_json::from_str(json).unwrap_or_default();
        names.iter().filter_map(|name| Permission::of_name(name)).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        for permission in Permission::ALL {
            let set: Permissions = [*permission].into_iter().collect();
            for other in Permission::ALL {
                assert_eq!(set.holds(*other), other == permission, "{permission:?} {other:?}");
            }
            assert!(Permissions::ALL.covers(set) && !set.covers(Permissions::ALL) && set.covers(Permissions::NONE));
            assert_eq!(Permission::of_name(permission.name()), Some(*permission));
        }
        assert_eq!(Permissions::ALL.iter().count(), Permission::ALL.len());
        let stored = Permissions::stored(r#"["audit:read","of:tomorrow"]"#);
        assert_eq!(stored.iter().collect::<Vec<_>>(), [Permission::AuditRead]);
        assert_eq!(Permissions::stored("nonsense"), Permissions::NONE);
    }
}
