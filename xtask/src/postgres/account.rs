//! Whose account the server runs under: `PostgreSQL` refuses to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

/// Where Unix lists its accounts.
const PASSWD: &str = "/etc/passwd";

/// An account of this machine, other than root.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The account `PostgreSQL`'s package makes, or the one every Unix has for work without rights.
    pub fn unprivileged() -> io::Result<Self> {
        let list = fs::read_to_string(PASSWD)?;
        ["postgres", "nobody"].iter().find_map(|name| Self::named(name, &list)).ok_or_else(|| {
            io::Error::other("PostgreSQL refuses to run as root and there is no account `postgres` or `nobody`")
        })
    }

    /// Makes a file or folder this account's own.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    fn named(name: &str, list: &str) -> Option<Self> {
        list.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let mut ids = fields.skip(1).map(str::parse::<u32>);
            Some(Self { uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
        })
    }
}

/// Whether this process runs as root.
pub fn is_root() -> io::Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let list = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(Account::named("postgres", list), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named("nobody", list), None);
    }
}
