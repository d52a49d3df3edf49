//! Rows of `email_templates`: texts that take the place of those delivered with the program.

use crate::{Change, ChangeKind, Reader, Result, Row, Tx};

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTemplate {
    /// The kind of mail.
    pub kind: String,
    pub subject: String,
    pub body: String,
    pub updated: String,
}

impl StoredTemplate {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            kind: row.text(0)?.to_owned(),
            subject: row.text(1)?.to_owned(),
            body: row.text(2)?.to_owned(),
            updated: row.text(3)?.to_owned(),
        })
    }
}

const COLUMNS: &str = "SELECT kind, subject, body, updated FROM email_templates";

/// Every stored text, by kind.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<StoredTemplate>> {
    let mut sql = reader.sql();
    sql.push(COLUMNS).push(" ORDER BY kind");
    reader.fetch(&sql).await?.iter().map(StoredTemplate::of).collect()
}

/// The text of this kind, if one is stored.
pub async fn of_kind(tx: &mut Tx<'_>, kind: &str) -> Result<Option<StoredTemplate>> {
    let mut sql = tx.sql();
    sql.push(COLUMNS).push(" WHERE kind = ").bind(kind);
    tx.fetch_one(&sql).await?.as_ref().map(StoredTemplate::of).transpose()
}

/// Stores a text in the place of what was, and tells every node.
pub async fn put(tx: &mut Tx<'_>, template: &StoredTemplate) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO email_templates (kind, subject, body, updated) VALUES (").bind(template.kind.as_str());
    sql.push(", ").bind(template.subject.as_str()).push(", ").bind(template.body.as_str());
    sql.push(", ").bind(template.updated.as_str());
    sql.push(") ON CONFLICT (kind) DO UPDATE SET subject = excluded.subject, body = excluded.body, ");
    sql.push("updated = excluded.updated");
    tx.execute(&sql).await?;
    tx.announce(Change::new(ChangeKind::Settings, ""));
    Ok(())
}

/// Takes a text away, and tells every node. Whether there was one.
pub async fn delete(tx: &mut Tx<'_>, kind: &str) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM email_templates WHERE kind = ").bind(kind);
    let gone = tx.execute(&sql).await? > 0;
    tx.announce(Change::new(ChangeKind::Settings, ""));
    Ok(gone)
}
