//! Accounts as rows: `users`, and the account columns of auth collections, which are the same. What may be done to an account, and by
//! whom, is decided above.

pub mod devices;
pub mod impersonations;
pub mod one_time_codes;
pub mod second_factors;
pub mod sessions;
pub mod setup;
pub mod users;

use fastcms_secrets::Secret;

use crate::{Dialect, Error, Name, Reader, Row, Sql, Tx, Value};

/// Where accounts of a realm live.
#[derive(Debug, Clone)]
pub enum AccountTable {
    /// The product's own `users`.
    Users,
    /// The table of an auth collection.
    Collection(Name),
}

impl AccountTable {
    fn push(&self, sql: &mut Sql) {
        match self {
            Self::Users => sql.push("users"),
            Self::Collection(name) => sql.table(name),
        };
    }
}

/// What signing in looks at, the same for every realm.
#[derive(Debug)]
pub struct Credentials {
    pub id: String,
    pub email: String,
    /// PHC string; `None` where the account has no password.
    pub password: Option<Secret<String>>,
    pub verified: bool,
    pub role: Option<String>,
    pub disabled: bool,
    pub must_change_password: bool,
}

impl Credentials {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            email: row.text(1)?.to_owned(),
            password: row.opt_text(2)?.map(|phc| Secret::new(phc.to_owned())),
            verified: row.bool(3)?,
            role: row.opt_text(4)?.map(str::to_owned),
            disabled: row.bool(5)?,
            must_change_password: row.bool(6)?,
        })
    }

    fn select(dialect: Dialect, table: &AccountTable) -> Sql {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id, email, password, verified, role, disabled, must_change_password FROM ");
        table.push(&mut sql);
        sql
    }
}

/// The form by which addresses are matched and kept unique.
pub fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The account of this address, matched case-folded.
pub async fn by_email(
    reader: &mut Reader<'_>,
    table: &AccountTable,
    email: &str,
) -> Result<Option<Credentials>, Error> {
    if email.contains('\0') {
        // `PostgreSQL` has no such text, so nobody has it.
        return Ok(None);
    }
    let mut sql = Credentials::select(reader.dialect(), table);
    sql.push(" WHERE email_folded = ").bind(fold_email(email));
    reader.fetch_one(&sql).await?.as_ref().map(Credentials::of).transpose()
}

/// The same, read inside a transaction.
pub async fn by_email_in(tx: &mut Tx<'_>, table: &AccountTable, email: &str) -> Result<Option<Credentials>, Error> {
    if email.contains('\0') {
        return Ok(None);
    }
    let mut sql = Credentials::select(tx.dialect(), table);
    sql.push(" WHERE email_folded = ").bind(fold_email(email));
    tx.fetch_one(&sql).await?.as_ref().map(Credentials::of).transpose()
}

/// The account whose `column` holds exactly this text; nobody when more than one does.
pub async fn by_identity(
    reader: &mut Reader<'_>,
    table: &AccountTable,
    column: &Name,
    identity: &str,
) -> Result<Option<Credentials>, Error> {
    if identity.contains('\0') {
        return Ok(None);
    }
    let mut sql = Credentials::select(reader.dialect(), table);
    sql.push(" WHERE ").ident(column).push(" = ").bind(identity).push(" LIMIT 2");
    let rows = reader.fetch(&sql).await?;
    if rows.len() == 1 { Credentials::of(&rows[0]).map(Some) } else { Ok(None) }
}

/// The account of this id.
pub async fn by_id(reader: &mut Reader<'_>, table: &AccountTable, id: &str) -> Result<Option<Credentials>, Error> {
    let mut sql = Credentials::select(reader.dialect(), table);
    sql.push(" WHERE id = ").bind(id);
    reader.fetch_one(&sql).await?.as_ref().map(Credentials::of).transpose()
}

/// The account of this id, read inside a transaction.
pub async fn by_id_in(tx: &mut Tx<'_>, table: &AccountTable, id: &str) -> Result<Option<Credentials>, Error> {
    let mut sql = Credentials::select(tx.dialect(), table);
    sql.push(" WHERE id = ").bind(id);
    tx.fetch_one(&sql).await?.as_ref().map(Credentials::of).transpose()
}

/// The account of this id, locked against changes until the transaction ends.
pub async fn by_id_locked(tx: &mut Tx<'_>, table: &AccountTable, id: &str) -> Result<Option<Credentials>, Error> {
    let mut sql = Credentials::select(tx.dialect(), table);
    sql.push(" WHERE id = ").bind(id);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    tx.fetch_one(&sql).await?.as_ref().map(Credentials::of).transpose()
}

/// Puts a new password hash in the place of `expected` (the one it was decided upon). False when it had changed meanwhile.
pub async fn replace_password(
    tx: &mut Tx<'_>,
    table: &AccountTable,
    id: &str,
    expected: Option<&Secret<String>>,
    password: &Secret<String>,
    must_change: bool,
    now: &str,
) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE ");
    table.push(&mut sql);
    sql.push(" SET password = ").bind(password.expose().as_str());
    sql.push(", must_change_password = ").bind(must_change);
    sql.push(", updated = ").bind(now);
    sql.push(" WHERE id = ").bind(id);
    if let Some(expected) = expected {
        sql.push(" AND password = ").bind(expected.expose().as_str());
    }
    Ok(tx.execute(&sql).await? == 1)
}

/// Leaves the account without a password; nobody signs in by one until it is given another.
pub async fn drop_password(tx: &mut Tx<'_>, table: &AccountTable, id: &str, now: &str) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE ");
    table.push(&mut sql);
    sql.push(" SET password = NULL, must_change_password = ").bind(false).push(", updated = ").bind(now);
    sql.push(" WHERE id = ").bind(id);
    tx.execute(&sql).await.map(drop)
}

/// Has the account change its password before anything else; without an id every account of the table that has a password. How many.
pub async fn require_password_change(
    tx: &mut Tx<'_>,
    table: &AccountTable,
    id: Option<&str>,
    now: &str,
) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE ");
    table.push(&mut sql);
    sql.push(" SET must_change_password = ").bind(true).push(", updated = ").bind(now);
    sql.push(" WHERE password IS NOT NULL");
    if let Some(id) = id {
        sql.push(" AND id = ").bind(id);
    }
    tx.execute(&sql).await
}

/// Notes that the account's address was shown to be its own.
pub async fn set_verified(tx: &mut Tx<'_>, table: &AccountTable, id: &str, now: &str) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE ");
    table.push(&mut sql);
    sql.push(" SET verified = ").bind(true).push(", updated = ").bind(now).push(" WHERE id = ").bind(id);
    tx.execute(&sql).await.map(drop)
}

/// Gives the account another address, which was shown to be its own.
///
/// # Errors
/// [`Error::Unique`] where another account has it.
pub async fn set_email(tx: &mut Tx<'_>, table: &AccountTable, id: &str, email: &str, now: &str) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE ");
    table.push(&mut sql);
    sql.push(" SET email = ").bind(email).push(", email_folded = ").bind(fold_email(email));
    sql.push(", verified = ").bind(true).push(", updated = ").bind(now).push(" WHERE id = ").bind(id);
    tx.execute(&sql).await.map(drop)
}

/// Remembers a hash that is being replaced.
pub async fn remember_password(
    tx: &mut Tx<'_>,
    realm: &str,
    id: &str,
    password: &Secret<String>,
    now: &str,
) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO password_history (realm, account_id, password, created) VALUES (").bind(realm);
    sql.push(", ").bind(id).push(", ").bind(password.expose().as_str()).push(", ").bind(now).push(")");
    tx.execute(&sql).await.map(drop)
}

/// The last `count` hashes that were replaced, newest first.
pub async fn earlier_passwords(
    reader: &mut Reader<'_>,
    realm: &str,
    id: &str,
    count: usize,
) -> Result<Vec<Secret<String>>, Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT password FROM password_history WHERE realm = ").bind(realm);
    sql.push(" AND account_id = ").bind(id).push(" ORDER BY created DESC LIMIT ").bind(count);
    reader.fetch(&sql).await?.iter().map(|row| Ok(Secret::new(row.text(0)?.to_owned()))).collect()
}

/// Where something is kept beside an account.
const BESIDE: [&str; 8] = [
    "DELETE FROM sessions WHERE realm = ",
    "DELETE FROM password_history WHERE realm = ",
    "DELETE FROM attempts WHERE realm = ",
    "DELETE FROM devices WHERE realm = ",
    "DELETE FROM one_time_codes WHERE realm = ",
    "DELETE FROM second_factors WHERE realm = ",
    "DELETE FROM backup_codes WHERE realm = ",
    "DELETE FROM mail_tokens WHERE realm = ",
];

/// Takes away what is kept beside the accounts of a collection that has none any more.
pub(crate) async fn forget_all(tx: &mut Tx<'_>, collection_id: &str) -> Result<(), Error> {
    for head in BESIDE {
        let mut sql = Sql::new(tx.dialect());
        sql.push(head).bind(collection_id);
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Takes away what is kept beside an account: its sessions, its password history, what lets it in and what keeps it out, its API keys.
pub async fn forget(tx: &mut Tx<'_>, realm: &str, id: &str) -> Result<(), Error> {
    for head in BESIDE {
        let mut sql = Sql::new(tx.dialect());
        sql.push(head).bind(realm).push(" AND account_id = ").bind(id);
        tx.execute(&sql).await?;
    }
    if realm == "users" {
        crate::api_keys::delete(tx, id, None).await?;
        impersonations::forget(tx, id).await?;
        crate::roles::forget(tx, id).await?;
    }
    Ok(())
}

fn nullable(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}
