//! Rows of `secret_rotations`: who replaces which secret of the settings, and what admins were told of its age. Never a secret.

use crate::{Error, Reader, Tx};

/// Takes a secret for one who is about to replace it, until then (unix seconds); whether nobody else has it.
pub async fn claim(tx: &mut Tx<'_>, name: &str, holder: &str, now: i64, until: i64) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO secret_rotations (name, holder, held_until) VALUES (").bind(name).push(", ").bind(holder);
    sql.push(", ").bind(until).push(") ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ");
    sql.push("held_until = excluded.held_until WHERE secret_rotations.held_until <= ").bind(now);
    Ok(tx.execute(&sql).await? > 0)
}

/// Lets it go; with the moment (unix seconds) where it was replaced.
pub async fn release(tx: &mut Tx<'_>, name: &str, holder: &str, rotated_at: Option<i64>) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE secret_rotations SET holder = NULL, held_until = 0, rotated_at = coalesce(").bind(rotated_at);
    sql.push(", rotated_at) WHERE name = ").bind(name).push(" AND holder = ").bind(holder);
    tx.execute(&sql).await.map(drop)
}

/// Whether somebody is replacing a secret at this moment, or has since then (unix seconds).
pub async fn is_seen_to(reader: &mut Reader<'_>, name: &str, now: i64, since: i64) -> Result<bool, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT 1 FROM secret_rotations WHERE name = ").bind(name).push(" AND (held_until > ").bind(now);
    sql.push(" OR rotated_at > ").bind(since).push(")");
    Ok(reader.fetch_one(&sql).await?.is_some())
}

/// Writes down that this is told of its age; whether it had not been.
pub async fn tell(tx: &mut Tx<'_>, name: &str, told: &str) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO secret_rotations (name, held_until, told) VALUES (").bind(name).push(", 0, ").bind(told);
    sql.push(") ON CONFLICT (name) DO UPDATE SET told = excluded.told ");
    sql.push("WHERE secret_rotations.told IS DISTINCT FROM excluded.told");
    Ok(tx.execute(&sql).await? > 0)
}
