//! Rows of `ip_rules`: which client addresses may come in. What a rule means is decided elsewhere.

use crate::{Change, ChangeKind, Reader, Result, Row, Sql, Tx, Value};

/// One rule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRule {
    pub id: String,
    pub cidr: String,
    /// `allow` or `block`.
    pub rule_type: String,
    pub reason: Option<String>,
    pub expires_at: Option<String>,
    /// Id of the account that made it; `None`: made on the host.
    pub created_by: Option<String>,
    pub created: String,
}

const COLUMNS: &str = "SELECT id, cidr, rule_type, reason, expires_at, created_by, created FROM ip_rules";

impl IpRule {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            cidr: row.text(1)?.to_owned(),
            rule_type: row.text(2)?.to_owned(),
            reason: row.opt_text(3)?.map(str::to_owned),
            expires_at: row.opt_text(4)?.map(str::to_owned),
            created_by: row.opt_text(5)?.map(str::to_owned),
            created: row.text(6)?.to_owned(),
        })
    }
}

/// Stores a rule, and tells every node.
pub async fn insert(tx: &mut Tx<'_>, rule: IpRule) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO ip_rules (id, cidr, rule_type, reason, expires_at, created_by, created) VALUES (");
    sql.binds_of([
        Value::from(rule.id),
        Value::from(rule.cidr),
        Value::from(rule.rule_type),
        Value::from(rule.reason),
        Value::from(rule.expires_at),
        Value::from(rule.created_by),
        Value::from(rule.created),
    ]);
    sql.push(")");
    tx.execute(&sql).await?;
    tx.announce(Change::new(ChangeKind::IpRules, ""));
    Ok(())
}

/// Takes a rule away, and tells every node; the rule, if there was one.
pub async fn delete(tx: &mut Tx<'_>, id: &str) -> Result<Option<IpRule>> {
    let mut find = tx.sql();
    find.push(COLUMNS).push(" WHERE id = ").bind(id);
    let Some(found) = tx.fetch_one(&find).await?.as_ref().map(IpRule::of).transpose()? else { return Ok(None) };
    let mut sql = tx.sql();
    sql.push("DELETE FROM ip_rules WHERE id = ").bind(id);
    let gone = tx.execute(&sql).await?;
    tx.announce(Change::new(ChangeKind::IpRules, ""));
    Ok((gone > 0).then_some(found))
}

/// Takes every rule away, tells every node, and says how many there were.
pub async fn clear(tx: &mut Tx<'_>) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM ip_rules");
    let gone = tx.execute(&sql).await?;
    tx.announce(Change::new(ChangeKind::IpRules, ""));
    Ok(gone)
}

/// Every rule, in no order.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<IpRule>> {
    let mut sql = reader.sql();
    sql.push(COLUMNS);
    reader.fetch(&sql).await?.iter().map(IpRule::of).collect()
}

/// The same inside a transaction.
pub async fn all_in(tx: &mut Tx<'_>) -> Result<Vec<IpRule>> {
    let mut sql = tx.sql();
    sql.push(COLUMNS);
    tx.fetch(&sql).await?.iter().map(IpRule::of).collect()
}

/// A page of rules, newest first, and how many there are; of one type, or of both.
pub async fn page(
    reader: &mut Reader<'_>,
    rule_type: Option<String>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<IpRule>, i64)> {
    let of_type = |sql: &mut Sql| {
        if let Some(rule_type) = &rule_type {
            sql.push(" WHERE rule_type = ").bind(rule_type);
        }
    };
    let mut count = reader.sql();
    count.push("SELECT count(*) FROM ip_rules");
    of_type(&mut count);
    let total = reader.fetch_one(&count).await?.map_or(Ok(0), |row| row.int(0))?;
    let mut sql = reader.sql();
    sql.push(COLUMNS);
    of_type(&mut sql);
    sql.push(" ORDER BY created DESC, id DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    Ok((reader.fetch(&sql).await?.iter().map(IpRule::of).collect::<Result<_>>()?, total))
}

/// Something that differs whenever the rules do: how many there are, and the youngest id.
pub async fn mark(reader: &mut Reader<'_>) -> Result<(i64, String)> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*), coalesce(max(id), '') FROM ip_rules");
    match reader.fetch_one(&sql).await? {
        Some(row) => Ok((row.int(0)?, row.text(1)?.to_owned())),
        None => Ok((0, String::new())),
    }
}
