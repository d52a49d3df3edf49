//! Rows of API keys and of the texts they are presented by. Of a text only its public name and its SHA-256 are known.

use crate::{Dialect, Error, Reader, Row, Sql, Tx};

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    pub user_id: String,
    pub name: String,
    /// Comma list.
    pub scopes: String,
    pub active: bool,
    /// Unix milliseconds; `None`: never.
    pub expires_at: Option<i64>,
    /// Networks in CIDR notation; none: from anywhere.
    pub allowed_cidrs: Vec<String>,
    pub rate_limit_per_minute: Option<u32>,
    /// To the minute.
    pub last_used_at: Option<String>,
    pub last_used_ip: Option<String>,
    pub created: String,
    pub updated: String,
    /// Public name of the text in force.
    pub prefix: String,
}

/// What a presented text is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub key: ApiKey,
    /// SHA-256 of the text of this name.
    pub digest: [u8; 32],
    /// When the text ends, unix milliseconds; `None`: it is the one in force.
    pub ends_at: Option<i64>,
}

/// A text to be stored: its public name and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    pub prefix: String,
    pub digest: [u8; 32],
}

/// What a change sets; `None` leaves.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    pub name: Option<String>,
    pub scopes: Option<String>,
    pub active: Option<bool>,
    pub expires_at: Option<i64>,
    pub allowed_cidrs: Option<Vec<String>>,
    pub rate_limit_per_minute: Option<u32>,
}

impl ApiKey {
    fn of(row: &Row) -> Result<Self, Error> {
        let networks = row.text(6)?;
        Ok(Self {
            id: row.text(0)?.to_owned(),
            user_id: row.text(1)?.to_owned(),
            name: row.text(2)?.to_owned(),
            scopes: row.text(3)?.to_owned(),
            active: row.bool(4)?,
            expires_at: row.opt_int(5)?,
            allowed_cidrs: networks.split(',').filter(|network| !network.is_empty()).map(str::to_owned).collect(),
            rate_limit_per_minute: row.opt_int(7)?.and_then(|limit| u32::try_from(limit).ok()),
            last_used_at: row.opt_text(8)?.map(str::to_owned),
            last_used_ip: row.opt_text(9)?.map(str::to_owned),
            created: row.text(10)?.to_owned(),
            updated: row.text(11)?.to_owned(),
            prefix: row.text(12)?.to_owned(),
        })
    }

    /// Keys with the text in force.
    fn select(dialect: Dialect) -> Sql {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT k.id, k.user_id, k.name, k.scopes, k.active, k.expires_at, k.allowed_cidrs, ");
        sql.push("k.rate_limit_per_minute, k.last_used_at, k.last_used_ip, k.created, k.updated, s.prefix ");
        sql.push("FROM api_keys AS k JOIN api_key_secrets AS s ON s.key_id = k.id AND s.ends_at IS NULL");
        sql
    }
}

/// The key behind the text of this public name.
pub async fn by_prefix(reader: &mut Reader<'_>, prefix: &str) -> Result<Option<Found>, Error> {
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT k.id, k.user_id, k.name, k.scopes, k.active, k.expires_at, k.allowed_cidrs, ");
    sql.push("k.rate_limit_per_minute, k.last_used_at, k.last_used_ip, k.created, k.updated, s.prefix, ");
    sql.push("s.digest, s.ends_at FROM api_key_secrets AS s JOIN api_keys AS k ON k.id = s.key_id");
    sql.push(" WHERE s.prefix = ").bind(prefix);
    let Some(row) = reader.fetch_one(&sql).await? else { return Ok(None) };
    let digest = row.opt_bytes(13)?.and_then(|digest| <[u8; 32]>::try_from(digest).ok());
    let digest = digest.ok_or_else(|| Error::internal("the digest of an API key is no SHA-256"))?;
    Ok(Some(Found { key: ApiKey::of(&row)?, digest, ends_at: row.opt_int(14)? }))
}

/// All keys of a user, newest first.
pub async fn of_user(reader: &mut Reader<'_>, user_id: &str) -> Result<Vec<ApiKey>, Error> {
    let mut sql = ApiKey::select(reader.dialect());
    sql.push(" WHERE k.user_id = ").bind(user_id).push(" ORDER BY k.created DESC, k.id DESC");
    reader.fetch(&sql).await?.iter().map(ApiKey::of).collect()
}

/// The key of this id, if it is this user's.
pub async fn by_id(reader: &mut Reader<'_>, user_id: &str, id: &str) -> Result<Option<ApiKey>, Error> {
    let mut sql = ApiKey::select(reader.dialect());
    sql.push(" WHERE k.id = ").bind(id).push(" AND k.user_id = ").bind(user_id);
    reader.fetch_one(&sql).await?.as_ref().map(ApiKey::of).transpose()
}

/// The same inside a transaction, locked until it ends.
pub async fn by_id_locked(tx: &mut Tx<'_>, user_id: &str, id: &str) -> Result<Option<ApiKey>, Error> {
    let mut sql = ApiKey::select(tx.dialect());
    sql.push(" WHERE k.id = ").bind(id).push(" AND k.user_id = ").bind(user_id);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE OF k");
    }
    tx.fetch_one(&sql).await?.as_ref().map(ApiKey::of).transpose()
}

/// How many keys a user has.
pub async fn count(tx: &mut Tx<'_>, user_id: &str) -> Result<i64, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT count(*) FROM api_keys WHERE user_id = ").bind(user_id);
    tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// Stores a new key. Its text is stored apart, by [`insert_secret`].
pub async fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO api_keys (id, user_id, name, scopes, active, expires_at, allowed_cidrs, ");
    sql.push("rate_limit_per_minute, created, updated) VALUES (");
    sql.bind(key.id.as_str()).push(", ").bind(key.user_id.as_str()).push(", ").bind(key.name.as_str());
    sql.push(", ").bind(key.scopes.as_str()).push(", ").bind(key.active).push(", ").bind(key.expires_at);
    sql.push(", ").bind(key.allowed_cidrs.join(",")).push(", ").bind(key.rate_limit_per_minute);
    sql.push(", ").bind(key.created.as_str()).push(", ").bind(key.updated.as_str()).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Stores the text in force of a key. False when its public name is taken.
pub async fn insert_secret(tx: &mut Tx<'_>, key_id: &str, secret: &NewSecret) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO api_key_secrets (prefix, key_id, digest) VALUES (").bind(secret.prefix.as_str());
    sql.push(", ").bind(key_id).push(", ").bind(secret.digest.as_slice());
    sql.push(") ON CONFLICT (prefix) DO NOTHING");
    Ok(tx.execute(&sql).await? == 1)
}

/// Lets the texts of a key end at `ends_at` (unix milliseconds), those that end earlier as they do; what has ended by `now` goes, and
/// of the rest all but the `keep` that last longest.
pub async fn retire_secrets(tx: &mut Tx<'_>, key_id: &str, ends_at: i64, now: i64, keep: i64) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE api_key_secrets SET ends_at = ").bind(ends_at).push(" WHERE key_id = ").bind(key_id);
    sql.push(" AND (ends_at IS NULL OR ends_at > ").bind(ends_at).push(")");
    tx.execute(&sql).await?;
    let mut sql = tx.sql();
    sql.push("DELETE FROM api_key_secrets WHERE key_id = ").bind(key_id);
    sql.push(" AND (ends_at <= ")
        .bind(now)
        .push(" OR prefix NOT IN (SELECT prefix FROM api_key_secrets WHERE key_id = ");
    sql.bind(key_id).push(" ORDER BY ends_at DESC, prefix LIMIT ").bind(keep).push("))");
    tx.execute(&sql).await.map(drop)
}

/// Sets what `change` names. False when this user has no such key.
pub async fn update(tx: &mut Tx<'_>, user_id: &str, id: &str, change: &KeyChange, now: &str) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE api_keys SET updated = ").bind(now);
    if let Some(name) = &change.name {
        sql.push(", name = ").bind(name.as_str());
    }
    if let Some(scopes) = &change.scopes {
        sql.push(", scopes = ").bind(scopes.as_str());
    }
    if let Some(active) = change.active {
        sql.push(", active = ").bind(active);
    }
    if let Some(expires_at) = change.expires_at {
        sql.push(", expires_at = ").bind(expires_at);
    }
    if let Some(networks) = &change.allowed_cidrs {
        sql.push(", allowed_cidrs = ").bind(networks.join(","));
    }
    if let Some(limit) = change.rate_limit_per_minute {
        sql.push(", rate_limit_per_minute = ").bind(limit);
    }
    sql.push(" WHERE id = ").bind(id).push(" AND user_id = ").bind(user_id);
    Ok(tx.execute(&sql).await? == 1)
}

/// Takes keys of a user away, one or all of them; says which those were.
pub async fn delete(tx: &mut Tx<'_>, user_id: &str, only: Option<&str>) -> Result<Vec<String>, Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM api_keys WHERE user_id = ").bind(user_id);
    if let Some(id) = only {
        sql.push(" AND id = ").bind(id);
    }
    sql.push(" RETURNING id");
    let gone: Vec<String> =
        tx.fetch(&sql).await?.into_iter().map(|mut row| row.take_text(0)).collect::<Result<_, _>>()?;
    for id in &gone {
        let mut sql = tx.sql();
        sql.push("DELETE FROM api_key_secrets WHERE key_id = ").bind(id.as_str());
        tx.execute(&sql).await?;
    }
    Ok(gone)
}

/// Notes that a key was used, and from where. The latest time stays, whatever order nodes write in.
pub async fn touch(tx: &mut Tx<'_>, id: &str, at: &str, address: &str) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE api_keys SET last_used_at = ").bind(at).push(", last_used_ip = ").bind(address);
    sql.push(" WHERE id = ").bind(id).push(" AND (last_used_at IS NULL OR last_used_at < ").bind(at).push(")");
    tx.execute(&sql).await.map(drop)
}
