//! Second factors of accounts as rows: the sealed secret of an authenticator app, the step that was last used, and backup codes by their
//! digests.

use crate::{Error, Reader, Row, Sql, Tx};

/// A second factor as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Sealed.
    pub secret: Vec<u8>,
    /// Off until a first code has shown that the app has the secret.
    pub enabled: bool,
    /// The last step whose code was taken.
    pub last_step: Option<i64>,
}

impl SecondFactor {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self { secret: row.bytes(0)?.to_vec(), enabled: row.bool(1)?, last_step: row.opt_int(2)? })
    }
}

/// The second factor of an account, whether or not it is enabled.
pub async fn of_account(reader: &mut Reader<'_>, realm: &str, account_id: &str) -> Result<Option<SecondFactor>, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT secret, enabled, last_step FROM second_factors WHERE realm = ").bind(realm);
    sql.push(" AND account_id = ").bind(account_id);
    reader.fetch_one(&sql).await?.as_ref().map(SecondFactor::of).transpose()
}

/// Whether an account has a second factor that is enabled.
pub async fn is_enabled(reader: &mut Reader<'_>, realm: &str, account_id: &str) -> Result<bool, Error> {
    Ok(of_account(reader, realm, account_id).await?.is_some_and(|factor| factor.enabled))
}

/// Stores a secret that waits for its first code, in the place of one that waited. False where a factor is enabled already.
pub async fn enrol(tx: &mut Tx<'_>, realm: &str, account_id: &str, secret: &[u8], now: &str) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO second_factors (realm, account_id, secret, enabled, created) VALUES (").bind(realm);
    sql.push(", ").bind(account_id).push(", ").bind(secret).push(", ").bind(false).push(", ").bind(now);
    sql.push(") ON CONFLICT (realm, account_id) DO UPDATE SET secret = excluded.secret, created = excluded.created, ");
    sql.push("last_step = NULL WHERE second_factors.enabled = ").bind(false);
    Ok(tx.execute(&sql).await? == 1)
}

/// Enables the factor with this secret by the code of `step`. False where it is another one by now, or enabled already.
pub async fn enable(tx: &mut Tx<'_>, realm: &str, account_id: &str, secret: &[u8], step: i64) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE second_factors SET enabled = ").bind(true).push(", last_step = ").bind(step);
    key(&mut sql, realm, account_id);
    sql.push(" AND enabled = ").bind(false).push(" AND secret = ").bind(secret);
    Ok(tx.execute(&sql).await? == 1)
}

/// Uses up a step, and with it every earlier one. Of any number of callers at once one is told true.
pub async fn use_step(tx: &mut Tx<'_>, realm: &str, account_id: &str, step: i64) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE second_factors SET last_step = ").bind(step);
    key(&mut sql, realm, account_id);
    sql.push(" AND enabled = ").bind(true).push(" AND (last_step IS NULL OR last_step < ").bind(step).push(")");
    Ok(tx.execute(&sql).await? == 1)
}

/// Takes the factor away, with its backup codes.
pub async fn disable(tx: &mut Tx<'_>, realm: &str, account_id: &str) -> Result<(), Error> {
    for head in ["DELETE FROM second_factors", "DELETE FROM backup_codes"] {
        let mut sql = tx.sql();
        sql.push(head);
        key(&mut sql, realm, account_id);
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Puts these backup codes, by their digests, in the place of all earlier ones.
pub async fn set_backup_codes(
    tx: &mut Tx<'_>,
    realm: &str,
    account_id: &str,
    digests: &[[u8; 32]],
) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM backup_codes");
    key(&mut sql, realm, account_id);
    tx.execute(&sql).await?;
    for digest in digests {
        let mut sql = tx.sql();
        sql.push("INSERT INTO backup_codes (realm, account_id, digest) VALUES (").bind(realm).push(", ");
        sql.bind(account_id).push(", ").bind(digest.as_slice()).push(")");
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Uses a backup code up. Of any number of callers at once one is told true.
pub async fn use_backup_code(tx: &mut Tx<'_>, realm: &str, account_id: &str, digest: &[u8; 32]) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM backup_codes");
    key(&mut sql, realm, account_id);
    sql.push(" AND digest = ").bind(digest.as_slice());
    Ok(tx.execute(&sql).await? == 1)
}

/// How many backup codes are left.
pub async fn backup_codes_left(reader: &mut Reader<'_>, realm: &str, account_id: &str) -> Result<i64, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*) FROM backup_codes");
    key(&mut sql, realm, account_id);
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

fn key(sql: &mut Sql, realm: &str, account_id: &str) {
    sql.push(" WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
}
