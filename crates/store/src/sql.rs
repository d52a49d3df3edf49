//! The one way to write SQL: static text, checked names and bound values.
//!
//! [`Sql`] takes text only as `&'static str`, identifiers only as [`Name`] and values only as binds, so that nothing a user
//! sent can become part of a statement's text. What differs between the engines stands in [`Dialect`]. Nothing here runs
//! a statement.

use crate::error::{Error, Fault, NUL};
use crate::name::Name;
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};

/// The longest identifier `PostgreSQL` keeps; both engines follow it, so that a name is the same on either.
pub const MAX_IDENTIFIER_BYTES: usize = 63;
/// What is left of it for a collection beside its prefix on `SQLite`.
const MAX_TABLE_BYTES: usize = MAX_IDENTIFIER_BYTES - SQLITE_PREFIX.len();
const SQLITE_PREFIX: &str = "c_";
/// `~` and 16 hexadecimal digits.
const TAIL_BYTES: usize = 17;

/// Most values of one statement: `SQLite` takes 32 766, `PostgreSQL` twice as many.
pub const MAX_BINDS: usize = 32_000;

/// Columns that every table of `PostgreSQL` has already.
const POSTGRES_COLUMNS: [&str; 6] = ["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// Which engine a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// One file.
    Sqlite,
    /// `PostgreSQL`, or a server that speaks its protocol.
    Postgres,
}

impl Dialect {
    /// Picks the text of this engine where the two differ.
    pub fn pick<T>(self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }

    /// The physical name of a column: errors such as [`crate::Error::Unique`] speak of it. `PostgreSQL` keeps a few names for
    /// columns of its own; those get a tilde, on both engines.
    pub fn column_name(self, name: &Name) -> String {
        if is_taken_on_postgres(name) {
            return format!("{}~", name.as_str());
        }
        shortened(name.as_str(), MAX_IDENTIFIER_BYTES)
    }

    /// The physical name of a collection's table, without its schema: `c_posts` on `SQLite`, `posts` on `PostgreSQL`.
    pub fn table_name(self, name: &Name) -> String {
        let short = shortened(name.as_str(), MAX_TABLE_BYTES);
        self.pick(format!("{SQLITE_PREFIX}{short}"), short.clone())
    }

    /// The physical name of an index or constraint, such as `ux_posts_slug`: the same on both engines.
    pub fn object_name(self, prefix: &'static str, parts: &[&Name]) -> String {
        let mut name = prefix.to_owned();
        for part in parts {
            name.push('_');
            name.push_str(part.as_str());
        }
        shortened(&name, MAX_IDENTIFIER_BYTES)
    }
}

fn is_taken_on_postgres(name: &Name) -> bool {
    POSTGRES_COLUMNS.iter().any(|taken| name.matches(taken))
}

/// Cuts a name to `limit` bytes: a readable head, then `~` and 64 bits of the whole name's SHA-256. The tilde is in no
/// [`Name`], so that a shortened name never meets one given by a user.
fn shortened(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let mut short = name[..limit - TAIL_BYTES].to_owned();
    short.push('~');
    for byte in &Sha256::digest(name.as_bytes())[..8] {
        let _ = write!(short, "{byte:02x}");
    }
    short
}

/// A statement: its text, and the values bound to it.
///
/// All methods write at the end and answer the statement itself, so that calls can be chained.
#[derive(Clone)]
pub struct Sql {
    dialect: Dialect,
    text: String,
    binds: Vec<Value>,
    /// Where in the text placeholders have their numbers, start and end, and which.
    numbers: Vec<(usize, usize, usize)>,
}

impl fmt::Debug for Sql {
    /// The text, and the kinds of the binds: no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").field("text", &self.text).field("binds", &self.binds).finish_non_exhaustive()
    }
}

/// Values that most statements have at most.
const FEW: usize = 4;

impl Sql {
    /// An empty statement.
    pub fn new(dialect: Dialect) -> Self {
        let (text, binds, numbers) = (String::with_capacity(128), Vec::with_capacity(FEW), Vec::with_capacity(FEW));
        Self { dialect, text, binds, numbers }
    }

    /// A statement whose text is known: each `?` in it takes one of `binds`. No `?` may stand in it for anything else.
    pub fn with<V: Into<Value>>(dialect: Dialect, text: &'static str, binds: impl IntoIterator<Item = V>) -> Self {
        let mut sql = Self::new(dialect);
        sql.push_with(text, binds);
        sql
    }

    /// Makes room for so many more values and their placeholders.
    pub(crate) fn reserve(&mut self, values: usize) -> &mut Self {
        /// Of a usual placeholder with what stands around it, bytes.
        const PLACEHOLDER: usize = 7;
        self.binds.reserve(values);
        self.numbers.reserve(values);
        self.text.reserve(values * PLACEHOLDER);
        self
    }

    /// The engine this is for.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The text with its placeholders.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values, in the order of the placeholders' numbers.
    pub fn binds(&self) -> &[Value] {
        &self.binds
    }

    /// What no engine, or not each of them, would take: said before it is asked, so that both say the same.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.binds.len() > MAX_BINDS {
            return Err(Error::TooManyValues);
        }
        let has_nul =
            |value: &Value| matches!(value, Value::Text(text) if memchr::memchr(0, text.as_bytes()).is_some());
        if self.binds.iter().any(has_nul) {
            return Err(Error::InvalidValue(Fault::new(NUL, "a NUL character")));
        }
        Ok(())
    }

    /// Replaces the values of a statement that is run again, by as many others.
    pub(crate) fn rebind(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        let before = self.binds.len();
        self.binds.clear();
        self.binds.extend(values);
        debug_assert_eq!(self.binds.len(), before, "a value for each placeholder");
        self
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Writes static text.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Writes the text of this engine where the two differ.
    pub fn pick(&mut self, sqlite: &'static str, postgres: &'static str) -> &mut Self {
        self.push(self.dialect.pick(sqlite, postgres))
    }

    /// Writes static text in which each `?` takes one of `binds`.
    pub fn push_with<V: Into<Value>>(&mut self, text: &'static str, binds: impl IntoIterator<Item = V>) -> &mut Self {
        let mut binds = binds.into_iter();
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('?') {
            self.push(head);
            match binds.next() {
                Some(value) => self.bind(value),
                None => self.bind(Value::Null),
            };
            rest = tail;
        }
        debug_assert!(binds.next().is_none(), "more binds than `?` in: {text}");
        self.push(rest)
    }

    /// Writes a placeholder for a value: `?N` or `$N`.
    ///
    /// `PostgreSQL` infers the type from where it stands; where it cannot (`? IS NULL`, a comparison of a whole-number
    /// column with a fraction), use [`Sql::bind_typed`].
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.binds.push(value.into());
        self.number(self.binds.len())
    }

    /// Writes the placeholder of a value that stands before: the first is 1.
    pub(crate) fn bound(&mut self, number: usize) -> &mut Self {
        debug_assert!((1..=self.binds.len()).contains(&number), "a value that is there");
        self.number(number)
    }

    /// Writes a placeholder that says its own type on `PostgreSQL`: `$N::bigint`, `::double precision`, `::text`,
    /// `::boolean` or `::bytea` (NULL: `::text`).
    pub fn bind_typed(&mut self, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        let cast = match value {
            Value::Bool(_) => "::boolean",
            Value::Int(_) => "::bigint",
            Value::Real(_) => "::double precision",
            Value::Null | Value::Text(_) | Value::Static(_) => "::text",
            Value::Bytes(_) => "::bytea",
        };
        self.bind(value).pick("", cast)
    }

    /// Writes placeholders with commas between them.
    pub fn binds_of<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.comma_list(values, |sql, value| {
            sql.bind(value);
        })
    }

    /// Writes text of the program as a literal, or binds it where it would need an escape.
    pub(crate) fn literal(&mut self, text: &'static str) -> &mut Self {
        if text.contains(['\'', '\\']) {
            return self.bind(Value::Static(text));
        }
        self.push("'").push(text).push("'")
    }

    /// Writes a column's name, quoted.
    pub fn ident(&mut self, name: &Name) -> &mut Self {
        if name.as_str().len() <= MAX_IDENTIFIER_BYTES && !is_taken_on_postgres(name) {
            return self.quoted(name.as_str());
        }
        let column = self.dialect.column_name(name);
        self.quoted(&column)
    }

    /// Writes columns' names with commas between them.
    pub fn idents<'n>(&mut self, names: impl IntoIterator<Item = &'n Name>) -> &mut Self {
        self.comma_list(names, |sql, name| {
            sql.ident(name);
        })
    }

    /// Writes a collection's table: `"c_posts"` on `SQLite`, `"collections"."posts"` on `PostgreSQL`.
    pub fn table(&mut self, name: &Name) -> &mut Self {
        self.pick("", "\"collections\".");
        if name.as_str().len() <= MAX_TABLE_BYTES {
            // The usual case, in every statement: nothing to shorten, so nothing to make first.
            self.text.push('"');
            self.pick(SQLITE_PREFIX, "");
            self.text.push_str(name.as_str());
            self.text.push('"');
            return self;
        }
        let table = self.dialect.table_name(name);
        self.quoted(&table)
    }

    /// Writes a collection's table without its schema, as `ALTER TABLE … RENAME TO` wants it.
    pub fn bare_table(&mut self, name: &Name) -> &mut Self {
        let table = self.dialect.table_name(name);
        self.quoted(&table)
    }

    /// Writes the name of an index or constraint (see [`Dialect::object_name`]), as `CREATE INDEX` wants it.
    pub fn object(&mut self, prefix: &'static str, parts: &[&Name]) -> &mut Self {
        let name = self.dialect.object_name(prefix, parts);
        self.quoted(&name)
    }

    /// Writes the name of an index with its schema, as `DROP INDEX` wants it.
    pub fn object_in_schema(&mut self, prefix: &'static str, parts: &[&Name]) -> &mut Self {
        self.pick("", "\"collections\".").object(prefix, parts)
    }

    /// Writes a table alias of its own for each number: `t0`, `t1`, ….
    pub fn alias(&mut self, number: usize) -> &mut Self {
        let _ = write!(self.text, "t{number}");
        self
    }

    /// Writes another statement; its placeholders are renumbered behind those already here.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        debug_assert_eq!(self.dialect, other.dialect, "statements of one engine");
        let before = self.binds.len();
        let mut copied = 0;
        for (start, end, number) in &other.numbers {
            self.text.push_str(&other.text[copied..*start - 1]);
            self.number(before + number);
            copied = *end;
        }
        self.text.push_str(&other.text[copied..]);
        self.binds.extend_from_slice(&other.binds);
        self
    }

    /// Writes each item with commas between them.
    pub fn comma_list<T>(&mut self, items: impl IntoIterator<Item = T>, write: impl FnMut(&mut Self, T)) -> &mut Self {
        self.list(", ", items, write)
    }

    /// Writes each item with `separator` (`" AND "`, say) between them.
    pub fn list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(separator);
            }
            write(self, item);
        }
        self
    }

    /// Writes the placeholder of a bind.
    fn number(&mut self, number: usize) -> &mut Self {
        self.text.push(self.dialect.pick('?', '$'));
        let start = self.text.len();
        self.text.push_str(itoa::Buffer::new().format(number));
        self.numbers.push((start, self.text.len(), number));
        self
    }

    /// Writes a name that holds no quote, since its alphabet has none.
    fn quoted(&mut self, name: &str) -> &mut Self {
        debug_assert!(!name.contains('"'), "a checked name");
        self.text.push('"');
        self.text.push_str(name);
        self.text.push('"');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn each_engine_gets_its_own_placeholders_and_tables() {
        for (dialect, wanted) in [
            (Dialect::Sqlite, "SELECT \"a\", \"order\" FROM \"c_posts\" WHERE x = ?1 AND y IN (?2, ?3)"),
            (
                Dialect::Postgres,
                "SELECT \"a\", \"order\" FROM \"collections\".\"posts\" WHERE x = $1 AND y IN ($2, $3)",
            ),
        ] {
            let mut sql = Sql::new(dialect);
            sql.push("SELECT ").idents([&name("a"), &name("order")]).push(" FROM ").table(&name("posts"));
            sql.push(" WHERE x = ").bind("v").push(" AND y IN (").binds_of([1_i64, 2]).push(")");
            assert_eq!(sql.text(), wanted);
            assert_eq!(sql.binds(), ["v".into(), Value::Int(1), Value::Int(2)]);
        }
    }

    #[test]
    fn an_appended_statement_is_renumbered_and_its_literals_are_left_alone() {
        let mut tail = Sql::new(Dialect::Postgres);
        tail.push("a = ").bind(2_i64).push(" AND b <> '$1' AND c = ").bind(3_i64);
        let mut sql = Sql::new(Dialect::Postgres);
        sql.push("x = ").bind(1_i64).push(" AND (").append(&tail).push(")");
        let mut outer = Sql::with(Dialect::Postgres, "y = ? AND ", [0_i64]);
        outer.append(&sql);
        assert_eq!(outer.text(), "y = $1 AND x = $2 AND (a = $3 AND b <> '$1' AND c = $4)");
        assert_eq!(outer.binds(), [0, 1, 2, 3].map(|i: i64| Value::Int(i)));
    }

    #[test]
    fn a_value_that_stands_twice_is_bound_once_wherever_the_statement_is_written() {
        let mut sql = Sql::new(Dialect::Postgres);
        sql.push("a = ").bind(1_i64).push(" OR b = ").bound(1).push(" OR c = ").bind(2_i64);
        let mut outer = Sql::with(Dialect::Postgres, "y = ? AND ", [0_i64]);
        outer.append(&sql);
        assert_eq!(outer.text(), "y = $1 AND a = $2 OR b = $2 OR c = $3");
        assert_eq!(outer.binds().len(), 3);
    }

    #[test]
    fn a_long_name_is_cut_the_same_way_every_time_and_stays_apart_from_its_neighbours() {
        let long = name(&"x".repeat(100));
        let other = name(&format!("{}y", "x".repeat(99)));
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let table = dialect.table_name(&long);
            assert!(table.len() <= MAX_IDENTIFIER_BYTES && table.ends_with("~09ecb6ebc8bcefc7"), "{table}");
            assert_ne!(table, dialect.table_name(&other));
            assert_eq!(dialect.column_name(&long).len(), MAX_IDENTIFIER_BYTES);
            assert_eq!(dialect.column_name(&name(&"x".repeat(63))), "x".repeat(63));
            assert!(dialect.object_name("ux", &[&long, &other]).len() <= MAX_IDENTIFIER_BYTES);
        }
        assert_eq!(Dialect::Sqlite.table_name(&long), format!("c_{}", Dialect::Postgres.table_name(&long)));
    }
}
