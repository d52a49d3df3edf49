//! Collections as rows, and the tables that follow from them. A change of the one and of the other is one transaction; whether a change
//! may be made is decided above.

mod alteration;
mod index;
mod obstacles;
mod table;
mod transfer;

pub use alteration::{Convert, Origins, lock};
pub use obstacles::{MAX_NAMED, Obstacles, all, colliding, longer_than, unfit, with_value, without_value};
pub use transfer::{NewRecord, existing, export, import};

pub(crate) use table::conflicting;

use crate::schema::{Collection, CollectionKind, Definition, RuleTexts, Schema};
use crate::{Change, ChangeKind, Dialect, Error, LockName, Reader, Row, Tx, Value, accounts, files};

/// What is stored of all collections: how often it changed, and each of them, newest first.
#[derive(Debug)]
pub struct Stored {
    pub generation: i64,
    pub definitions: Vec<Definition>,
}

impl Stored {
    /// Puts the snapshot together.
    pub fn into_schema(self, dialect: Dialect) -> Result<Schema, Error> {
        Schema::new(self.generation, self.definitions, dialect)
    }
}

const SELECT: &str = "SELECT id, name, type, fields, options, indexes, list_rule, view_rule, create_rule, update_rule, \
                      delete_rule, manage_rule, view_query, system, version, created, updated FROM collections ORDER BY created DESC, id DESC";

const SELECT_GENERATION: &str = "SELECT generation FROM schema_generation";

/// Counts the changes of collections.
pub async fn generation(reader: &mut Reader<'_>) -> Result<i64, Error> {
    let mut sql = reader.sql();
    reader.fetch_one(sql.push(SELECT_GENERATION)).await?.map_or(Ok(0), |row| row.int(0))
}

/// Reads all collections.
pub async fn load(reader: &mut Reader<'_>) -> Result<Stored, Error> {
    let mut sql = reader.sql();
    let generation = reader.fetch_one(sql.push(SELECT_GENERATION)).await?;
    let mut sql = reader.sql();
    let rows = reader.fetch(sql.push(SELECT)).await?;
    stored(generation.as_ref(), &rows)
}

/// Reads all collections and keeps every other change of any of them waiting until this transaction ends.
pub async fn load_locked(tx: &mut Tx<'_>) -> Result<Stored, Error> {
    tx.lock(LockName::new("collections")).await?;
    let mut sql = tx.sql();
    let generation = tx.fetch_one(sql.push(SELECT_GENERATION)).await?;
    let mut sql = tx.sql();
    let rows = tx.fetch(sql.push(SELECT)).await?;
    stored(generation.as_ref(), &rows)
}

fn stored(generation: Option<&Row>, rows: &[Row]) -> Result<Stored, Error> {
    let generation = generation.map_or(Ok(0), |row| row.int(0))?;
    Ok(Stored { generation, definitions: rows.iter().map(definition).collect::<Result<_, _>>()? })
}

fn definition(row: &Row) -> Result<Definition, Error> {
    let bad = |what: &str| Error::internal(format!("a stored collection has bad {what}"));
    let rule = |column| row.opt_text(column).map(|text| text.map(str::to_owned));
    Ok(Definition {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        kind: CollectionKind::of_name(row.text(2)?).ok_or_else(|| bad("type"))?,
        fields: serde_json::from_str(row.text(3)?).map_err(|_| bad("fields"))?,
        options: serde_json::from_str(row.text(4)?).map_err(|_| bad("options"))?,
        indexes: serde_json::from_str(row.text(5)?).map_err(|_| bad("indexes"))?,
        rules: RuleTexts {
            list_rule: rule(6)?,
            view_rule: rule(7)?,
            create_rule: rule(8)?,
            update_rule: rule(9)?,
            delete_rule: rule(10)?,
            manage_rule: rule(11)?,
        },
        view_query: rule(12)?,
        system: row.bool(13)?,
        version: row.int(14)?,
        created: row.text(15)?.to_owned(),
        updated: row.text(16)?.to_owned(),
    })
}

/// Stores a new collection and makes its table.
pub async fn insert(tx: &mut Tx<'_>, collection: &Collection) -> Result<(), Error> {
    let definition = collection.definition();
    let mut sql = tx.sql();
    sql.push("INSERT INTO collections (id, name, name_folded, type, fields, options, indexes, list_rule, view_rule, create_rule, ");
    sql.push("update_rule, delete_rule, manage_rule, view_query, system, version, created, updated) VALUES (");
    sql.bind(&definition.id).push(", ");
    sql.binds_of(common(definition)?);
    sql.push(", ").bind(definition.created.as_str()).push(", ").bind(definition.updated.as_str()).push(")");
    tx.execute(&sql).await?;
    table::create(tx, collection).await?;
    changed(tx, collection.id()).await
}

/// Puts a changed collection in the place of what it was, and brings its table along: values move as `origins` says, those of another
/// type through `convert`. `after` is one version on.
pub async fn replace(
    tx: &mut Tx<'_>,
    before: &Collection,
    after: &Collection,
    origins: &Origins,
    convert: Convert<'_>,
) -> Result<(), Error> {
    let definition = after.definition();
    let mut sql = tx.sql();
    sql.push("UPDATE collections SET ");
    let columns = [
        "name = ",
        "name_folded = ",
        "type = ",
        "fields = ",
        "options = ",
        "indexes = ",
        "list_rule = ",
        "view_rule = ",
        "create_rule = ",
        "update_rule = ",
        "delete_rule = ",
        "manage_rule = ",
        "view_query = ",
        "system = ",
        "version = ",
    ];
    sql.comma_list(columns.into_iter().zip(common(definition)?), |sql, (column, value)| {
        sql.push(column).bind(value);
    });
    sql.push(", updated = ").bind(definition.updated.as_str()).push(" WHERE id = ").bind(&definition.id);
    tx.execute(&sql).await?;
    alteration::alter(tx, before, after, origins, convert).await?;
    changed(tx, after.id()).await
}

/// Takes a collection away with exactly its own table.
pub async fn delete(tx: &mut Tx<'_>, collection: &Collection) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM collections WHERE id = ").bind(collection.id());
    tx.execute(&sql).await?;
    let mut sql = tx.sql();
    sql.push("DROP TABLE ").table(collection.table());
    tx.ddl(&sql).await?;
    let mut sql = tx.sql();
    tx.execute(sql.push("DELETE FROM record_counts WHERE collection_id = ").bind(collection.id())).await?;
    forget_records(tx, collection).await?;
    changed(tx, collection.id()).await
}

/// Takes all records of a collection away; says how many there were.
pub async fn truncate(tx: &mut Tx<'_>, collection: &Collection) -> Result<u64, Error> {
    let mut sql = tx.sql();
    let deleted = tx.execute(sql.push("DELETE FROM ").table(collection.table())).await?;
    tx.count(collection.id(), -i64::try_from(deleted).unwrap_or(i64::MAX));
    forget_records(tx, collection).await?;
    tx.announce(Change::new(ChangeKind::Outbox, ""));
    Ok(deleted)
}

/// Takes away what belongs to records of a collection of which none are left: what deleting them one by one would.
async fn forget_records(tx: &mut Tx<'_>, collection: &Collection) -> Result<(), Error> {
    files::detach_collection(tx, collection.id()).await?;
    if collection.is_auth() {
        accounts::forget_all(tx, collection.id()).await?;
        tx.announce(Change::everything());
    }
    Ok(())
}

/// Whether a relation field of a collection points at anything.
pub async fn is_pointed_at(tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<bool, Error> {
    with_value(tx, collection, at).await.map(|found| !found.is_empty())
}

/// Whether a polymorphic relation field of a collection points into the collection of this name.
pub async fn points_into(tx: &mut Tx<'_>, collection: &Collection, at: usize, name: &str) -> Result<bool, Error> {
    let Some(named) = collection.polymorphic_type(at) else { return Ok(false) };
    let mut sql = tx.sql();
    sql.push("SELECT 1 FROM ").table(collection.table()).push(" WHERE ").ident(collection.column(at));
    sql.push(" IS NOT NULL AND ").ident(collection.column(named)).push(" = ").bind(name).push(" LIMIT 1");
    Ok(tx.fetch_one(&sql).await?.is_some())
}

/// Whether a collection is stored under the name that this snapshot has of it.
pub async fn is_called(tx: &mut Tx<'_>, collection: &Collection) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT 1 FROM collections WHERE id = ").bind(collection.id()).push(" AND name = ");
    sql.bind(collection.name());
    Ok(tx.fetch_one(&sql).await?.is_some())
}

async fn changed(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    let mut sql = tx.sql();
    tx.execute(sql.push("UPDATE schema_generation SET generation = generation + 1")).await?;
    tx.announce(Change::new(ChangeKind::Collections, id));
    Ok(())
}

/// What an insert and an update both write, in the order of the columns: name to version.
fn common(definition: &Definition) -> Result<[Value; 15], Error> {
    let json = |text: Result<String, serde_json::Error>| text.map_err(|error| Error::internal(error.to_string()));
    let rule = |text: &Option<String>| Value::from(text.as_deref());
    let rules = &definition.rules;
    Ok([
        definition.name.as_str().into(),
        definition.name.to_ascii_lowercase().into(),
        definition.kind.name().into(),
        json(serde_json::to_string(&definition.fields))?.into(),
        json(serde_json::to_string(&definition.options))?.into(),
        json(serde_json::to_string(&definition.indexes))?.into(),
        rule(&rules.list_rule),
        rule(&rules.view_rule),
        rule(&rules.create_rule),
        rule(&rules.update_rule),
        rule(&rules.delete_rule),
        rule(&rules.manage_rule),
        rule(&definition.view_query),
        definition.system.into(),
        definition.version.into(),
    ])
}
