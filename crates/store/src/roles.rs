//! Rows of `roles` and `user_roles`: named sets of permissions and who holds them. What a permission opens is decided elsewhere.

use crate::{Change, ChangeKind, Reader, Result, Row, Sql, Tx};

/// Holders up to which each one's change is told by itself; more of them, and everything held in memory is read anew.
const TOLD_ONE_BY_ONE: usize = 100;

/// A role as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub id: String,
    pub name: String,
    /// JSON array of names.
    pub permissions: String,
    pub created: String,
    pub updated: String,
}

const COLUMNS: &str = "SELECT r.id, r.name, r.permissions, r.created, r.updated";

fn role(row: &Row) -> Result<Role> {
    Ok(Role {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        permissions: row.text(2)?.to_owned(),
        created: row.text(3)?.to_owned(),
        updated: row.text(4)?.to_owned(),
    })
}

/// Every role by name, and how many users hold it.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<(Role, i64)>> {
    let mut sql = reader.sql();
    sql.push(COLUMNS).push(", (SELECT count(*) FROM user_roles AS u WHERE u.role_id = r.id) FROM roles AS r ");
    sql.push("ORDER BY r.name_folded");
    reader.fetch(&sql).await?.iter().map(|row| Ok((role(row)?, row.int(5)?))).collect()
}

/// How many roles there are.
pub async fn count(tx: &mut Tx<'_>) -> Result<i64> {
    let mut sql = tx.sql();
    sql.push("SELECT count(*) FROM roles");
    tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// One role, for a change of it.
pub async fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Role>> {
    let mut sql = tx.sql();
    sql.push(COLUMNS).push(" FROM roles AS r WHERE r.id = ").bind(id).pick("", " FOR UPDATE");
    tx.fetch_one(&sql).await?.as_ref().map(role).transpose()
}

/// Stores a new role. Fails with [`crate::Error::Unique`] where the name is taken.
pub async fn insert(tx: &mut Tx<'_>, role: &Role, folded: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO roles (id, name, name_folded, permissions, created, updated) VALUES (");
    sql.bind(role.id.as_str()).push(", ").bind(role.name.as_str()).push(", ").bind(folded).push(", ");
    sql.bind(role.permissions.as_str()).push(", ").bind(role.created.as_str()).push(", ");
    sql.bind(role.updated.as_str()).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Puts the role in the place of the one with its id, and tells every node about its holders.
pub async fn update(tx: &mut Tx<'_>, role: &Role, folded: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE roles SET name = ").bind(role.name.as_str()).push(", name_folded = ").bind(folded);
    sql.push(", permissions = ").bind(role.permissions.as_str()).push(", updated = ").bind(role.updated.as_str());
    sql.push(" WHERE id = ").bind(role.id.as_str());
    tx.execute(&sql).await?;
    tell_holders(tx, &role.id).await.map(drop)
}

/// Takes a role away, from its holders first, and tells every node; says how many held it.
pub async fn delete(tx: &mut Tx<'_>, id: &str) -> Result<usize> {
    let holders = tell_holders(tx, id).await?;
    for head in ["DELETE FROM user_roles WHERE role_id = ", "DELETE FROM roles WHERE id = "] {
        let mut sql = tx.sql();
        sql.push(head).bind(id);
        tx.execute(&sql).await?;
    }
    Ok(holders)
}

/// How many users hold a role.
pub async fn holders(tx: &mut Tx<'_>, id: &str) -> Result<i64> {
    let mut sql = tx.sql();
    sql.push("SELECT count(*) FROM user_roles WHERE role_id = ").bind(id);
    tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

async fn tell_holders(tx: &mut Tx<'_>, id: &str) -> Result<usize> {
    let mut sql = tx.sql();
    sql.push("SELECT user_id FROM user_roles WHERE role_id = ").bind(id);
    let rows = tx.fetch(&sql).await?;
    if rows.len() > TOLD_ONE_BY_ONE {
        tx.announce(Change::everything());
    } else {
        for row in &rows {
            tx.announce(Change::new(ChangeKind::Account, row.text(0)?));
        }
    }
    Ok(rows.len())
}

fn select_of_user(mut sql: Sql, user_id: &str) -> Sql {
    sql.push(COLUMNS).push(" FROM user_roles AS u JOIN roles AS r ON r.id = u.role_id WHERE u.user_id = ");
    sql.bind(user_id).push(" ORDER BY r.name_folded");
    sql
}

/// The roles that a user holds, by name.
pub async fn of_user(reader: &mut Reader<'_>, user_id: &str) -> Result<Vec<Role>> {
    let sql = select_of_user(reader.sql(), user_id);
    reader.fetch(&sql).await?.iter().map(role).collect()
}

/// The same inside a transaction.
pub async fn of_user_in(tx: &mut Tx<'_>, user_id: &str) -> Result<Vec<Role>> {
    let sql = select_of_user(tx.sql(), user_id);
    tx.fetch(&sql).await?.iter().map(role).collect()
}

/// Gives a user exactly these roles, and tells every node.
pub async fn set_of_user(tx: &mut Tx<'_>, user_id: &str, role_ids: &[String]) -> Result<()> {
    forget(tx, user_id).await?;
    for role_id in role_ids {
        let mut sql = tx.sql();
        sql.push("INSERT INTO user_roles (user_id, role_id) VALUES (").bind(user_id).push(", ");
        sql.bind(role_id.as_str()).push(")");
        tx.execute(&sql).await?;
    }
    tx.announce(Change::new(ChangeKind::Account, user_id));
    Ok(())
}

/// Takes every role from a user.
pub(crate) async fn forget(tx: &mut Tx<'_>, user_id: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM user_roles WHERE user_id = ").bind(user_id);
    tx.execute(&sql).await.map(drop)
}
