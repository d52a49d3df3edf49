//! Which permission opens a route of admins to others (contract 5.14): derived from method and path, so that no such route is without an
//! answer. `None` means admins alone.

use fastcms_core::access::Permission;
use http::Method;

use crate::extract::Audience;

/// The permission of a route.
pub(super) fn of(method: &Method, path: &str, audience: Audience) -> Option<Permission> {
    use Permission as P;
    if audience != Audience::Admin {
        return None;
    }
    // Health stands at the root, for whoever probes.
    let below =
        path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix('/').filter(|path| path.starts_with("health/")))?;
    let below = below.strip_prefix("admin/").unwrap_or(below);
    let mut segments = below.split('/');
    let (noun, last) = (segments.next().unwrap_or_default(), segments.next_back().unwrap_or_default());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let either = |read, write| Some(if reads { read } else { write });
    match (noun, last) {
        // A role of `users` is an admin's to give; roles are another thing.
        ("users", "role") => None,
        // Of everybody: who marks those that stand higher stands over all.
        ("users", "require-password-change") if !path.contains("{id}") => None,
        ("users", "roles") => Some(P::RolesWrite),
        ("users", "impersonate" | "end") | ("impersonations", _) => Some(P::UsersImpersonate),
        ("users", _) => either(P::UsersRead, P::UsersWrite),
        ("roles", _) => either(P::RolesRead, P::RolesWrite),
        ("collections", _) => either(P::CollectionsRead, P::CollectionsWrite),
        ("views", _) => Some(P::CollectionsWrite),
        ("files", _) => either(P::FilesRead, P::FilesWrite),
        ("webhooks", _) => either(P::WebhooksRead, P::WebhooksWrite),
        ("oauth", _) => either(P::OAuthRead, P::OAuthWrite),
        ("settings" | "plugins" | "email" | "hooks", _) => either(P::SettingsRead, P::SettingsWrite),
        ("keys", _) => either(P::KeysRead, P::KeysRotate),
        ("secrets", "rotate") => Some(P::SecretsRotate),
        ("secrets", _) => either(P::SecretsList, P::SecretsWrite),
        ("audit", _) => either(P::AuditRead, P::AuditWrite),
        ("logs", _) => either(P::LogsRead, P::LogsWrite),
        ("backups", "download") => Some(P::BackupsDownload),
        ("backups", "restore") => Some(P::BackupsRestore),
        ("backups", _) => either(P::BackupsRead, P::BackupsWrite),
        ("ip-rules", _) => either(P::IpRulesRead, P::IpRulesWrite),
        ("limits", _) => Some(P::LimitsRead),
        ("metrics" | "stats" | "health", _) => Some(P::MetricsRead),
        ("cron", _) => either(P::CronRead, P::CronRun),
        _ => None,
    }
}
