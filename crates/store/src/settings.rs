//! Rows of `settings`: what admins change while the server runs. What a setting means is decided elsewhere.

use crate::{Change, ChangeKind, Reader, Result, Row, Tx, Value};

/// One setting as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub id: String,
    pub category: String,
    pub key: String,
    /// JSON.
    pub value: String,
    pub description: Option<String>,
    pub updated: String,
}

const COLUMNS: &str = "SELECT id, category, key, value, description, updated FROM settings";

impl Setting {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            category: row.text(1)?.to_owned(),
            key: row.text(2)?.to_owned(),
            value: row.text(3)?.to_owned(),
            description: row.opt_text(4)?.map(str::to_owned),
            updated: row.text(5)?.to_owned(),
        })
    }
}

/// Stores a setting in the place of what it was, and tells every node. The row keeps the id it had.
pub async fn put(tx: &mut Tx<'_>, setting: Setting) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO settings (id, category, key, value, description, updated) VALUES (");
    sql.binds_of([
        Value::from(setting.id),
        Value::from(setting.category),
        Value::from(setting.key),
        Value::from(setting.value),
        Value::from(setting.description),
        Value::from(setting.updated),
    ]);
    sql.push(") ON CONFLICT (category, key) DO UPDATE SET value = excluded.value, ");
    sql.push("description = coalesce(excluded.description, settings.description), updated = excluded.updated");
    tx.execute(&sql).await?;
    tx.announce(Change::new(ChangeKind::Settings, ""));
    Ok(())
}

/// Takes a setting away, and tells every node. Whether there was one.
pub async fn delete(tx: &mut Tx<'_>, category: &str, key: &str) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM settings WHERE category = ").bind(category).push(" AND key = ").bind(key);
    let gone = tx.execute(&sql).await? > 0;
    tx.announce(Change::new(ChangeKind::Settings, ""));
    Ok(gone)
}

/// Every stored setting, by category and key.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<Setting>> {
    let mut sql = reader.sql();
    sql.push(COLUMNS).push(" ORDER BY category, key");
    reader.fetch(&sql).await?.iter().map(Setting::of).collect()
}

/// The same inside a transaction.
pub async fn all_in(tx: &mut Tx<'_>) -> Result<Vec<Setting>> {
    let mut sql = tx.sql();
    sql.push(COLUMNS).push(" ORDER BY category, key");
    tx.fetch(&sql).await?.iter().map(Setting::of).collect()
}
