//! Rows of `users`.

use fastcms_secrets::Secret;

use super::{fold_email, nullable};
use crate::{Dialect, Error, Reader, Row, Sql, Tx};

/// A user without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of independent flags, as it is stored")]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: Option<String>,
    pub avatar: Option<String>,
    pub role: String,
    pub verified: bool,
    pub email_visibility: bool,
    pub disabled: bool,
    pub must_change_password: bool,
    /// Whether a second factor is enabled; kept beside the row.
    pub two_factor_enabled: bool,
    pub created: String,
    pub updated: String,
}

impl User {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            email: row.text(1)?.to_owned(),
            name: row.opt_text(2)?.map(str::to_owned),
            avatar: row.opt_text(3)?.map(str::to_owned),
            role: row.text(4)?.to_owned(),
            verified: row.bool(5)?,
            email_visibility: row.bool(6)?,
            disabled: row.bool(7)?,
            must_change_password: row.bool(8)?,
            created: row.text(9)?.to_owned(),
            updated: row.text(10)?.to_owned(),
            two_factor_enabled: row.bool(11)?,
        })
    }

    fn select(dialect: Dialect) -> Sql {
        let mut sql = Sql::new(dialect);
        sql.push("SELECT id, email, name, avatar, role, verified, email_visibility, disabled, must_change_password, created, updated, ");
        sql.push("EXISTS (SELECT 1 FROM second_factors WHERE realm = 'users' AND account_id = users.id AND enabled) FROM users");
        sql
    }
}

/// What an update sets; `None` leaves.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub email: Option<String>,
    /// `Some(None)` takes the name away.
    pub name: Option<Option<String>>,
    pub avatar: Option<Option<String>>,
    pub role: Option<String>,
    pub verified: Option<bool>,
    pub email_visibility: Option<bool>,
    pub disabled: Option<bool>,
}

/// Stores a new user.
pub async fn insert(tx: &mut Tx<'_>, user: &User, password: Option<&Secret<String>>) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO users (id, email, email_folded, password, name, avatar, role, verified, email_visibility, disabled, ");
    sql.push("must_change_password, created, updated) VALUES (");
    sql.bind(user.id.as_str()).push(", ").bind(user.email.as_str()).push(", ").bind(fold_email(&user.email));
    sql.push(", ").bind(nullable(password.map(|phc| phc.expose().as_str())));
    sql.push(", ").bind(nullable(user.name.as_deref())).push(", ").bind(nullable(user.avatar.as_deref()));
    sql.push(", ").bind(user.role.as_str()).push(", ").bind(user.verified).push(", ").bind(user.email_visibility);
    sql.push(", ").bind(user.disabled).push(", ").bind(user.must_change_password);
    sql.push(", ").bind(user.created.as_str()).push(", ").bind(user.updated.as_str()).push(")");
    tx.execute(&sql).await.map(drop)
}

/// The user of this id.
pub async fn by_id(reader: &mut Reader<'_>, id: &str) -> Result<Option<User>, Error> {
    let mut sql = User::select(reader.dialect());
    sql.push(" WHERE id = ").bind(id);
    reader.fetch_one(&sql).await?.as_ref().map(User::of).transpose()
}

/// The user of this id, locked until the transaction ends.
pub async fn by_id_locked(tx: &mut Tx<'_>, id: &str) -> Result<Option<User>, Error> {
    let mut sql = User::select(tx.dialect());
    sql.push(" WHERE id = ").bind(id);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    tx.fetch_one(&sql).await?.as_ref().map(User::of).transpose()
}

/// A page of users, newest first, and how many there are.
pub async fn page(reader: &mut Reader<'_>, offset: i64, limit: i64) -> Result<(Vec<User>, i64), Error> {
    let mut sql = User::select(reader.dialect());
    sql.push(" ORDER BY created DESC, id DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    let users = reader.fetch(&sql).await?.iter().map(User::of).collect::<Result<_, _>>()?;
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT count(*) FROM users");
    let total = reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))?;
    Ok((users, total))
}

/// Addresses of admins who could sign in now, the oldest accounts first, at most so many.
pub async fn admin_addresses(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<String>, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("SELECT email FROM users WHERE role = 'admin' AND disabled = ").bind(false);
    sql.push(" ORDER BY created, id LIMIT ").bind(limit);
    tx.fetch(&sql).await?.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// How many admins could sign in now.
pub async fn admins(reader: &mut Reader<'_>) -> Result<i64, Error> {
    reader.fetch_one(&count_admins(reader.dialect(), "")).await?.map_or(Ok(0), |row| row.int(0))
}

/// How many admins but this one could sign in now, inside the transaction that is about to take this one away.
pub async fn other_admins(tx: &mut Tx<'_>, id: &str) -> Result<i64, Error> {
    tx.fetch_one(&count_admins(tx.dialect(), id)).await?.map_or(Ok(0), |row| row.int(0))
}

fn count_admins(dialect: Dialect, but: &str) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT count(*) FROM users WHERE role = 'admin' AND disabled = ")
        .bind(false)
        .push(" AND id <> ")
        .bind(but);
    sql
}

/// Sets what `change` names. False when there is no such user.
pub async fn update(tx: &mut Tx<'_>, id: &str, change: &UserChange, now: &str) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE users SET updated = ").bind(now);
    if let Some(email) = &change.email {
        sql.push(", email = ").bind(email.as_str()).push(", email_folded = ").bind(fold_email(email));
    }
    if let Some(name) = &change.name {
        sql.push(", name = ").bind(nullable(name.as_deref()));
    }
    if let Some(avatar) = &change.avatar {
        sql.push(", avatar = ").bind(nullable(avatar.as_deref()));
    }
    if let Some(role) = &change.role {
        sql.push(", role = ").bind(role.as_str());
    }
    for (column, flag) in [
        (", verified = ", change.verified),
        (", email_visibility = ", change.email_visibility),
        (", disabled = ", change.disabled),
    ] {
        if let Some(flag) = flag {
            sql.push(column).bind(flag);
        }
    }
    sql.push(" WHERE id = ").bind(id);
    Ok(tx.execute(&sql).await? == 1)
}

/// Takes a user away. False when there was none.
pub async fn delete(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM users WHERE id = ").bind(id);
    Ok(tx.execute(&sql).await? == 1)
}
