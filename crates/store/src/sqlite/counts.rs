//! Numbers that a connection has counted, remembered as long as the file stays as it is: the total of a filtered list, which is asked
//! for again with every page and by everybody who looks at the same list.
//!
//! Whether the file stayed the same, `SQLite` says itself (`PRAGMA data_version`): any commit of any connection of any process makes
//! all of it forgotten. So what is answered is what would be counted now.

use crate::sql::Sql;
use crate::value::Value;

/// Numbers remembered on one connection, the newest.
const MOST: usize = 32;
/// Bytes of a statement and its texts; the number of a longer one is not remembered.
const LONGEST: usize = 4 * 1024;

/// What one connection remembers.
#[derive(Debug, Default)]
pub(super) struct Counts {
    version: i64,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    text: String,
    binds: Vec<Value>,
    number: i64,
}

impl Counts {
    /// What this statement counted, if the file is the one that it was counted in.
    pub(super) fn get(&mut self, version: i64, sql: &Sql) -> Option<i64> {
        if self.version != version {
            self.version = version;
            self.known.clear();
        }
        let same = |known: &&Known| known.text == sql.text() && known.binds == sql.binds();
        self.known.iter().find(same).map(|known| known.number)
    }

    /// Remembers what it counted in the file that was looked at last.
    pub(super) fn put(&mut self, sql: &Sql, number: i64) {
        let size = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Real(_) | Value::Static(_) => 0,
        };
        if sql.text().len() + sql.binds().iter().map(size).sum::<usize>() > LONGEST {
            return;
        }
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.push(Known { text: sql.text().to_owned(), binds: sql.binds().to_vec(), number });
    }
}
