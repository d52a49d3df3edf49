//! What an API key may be used for: a comma list of `<area>:<action>`, such as `records:read,files:*`, or `*` for everything (contract
//! 5.4). A key never gives more than its owner has; scopes only take away.

use std::fmt;

/// Longest text of scopes, bytes, and most of them in one key.
const MAX_TEXT: usize = 4_000;
const MAX_SCOPES: usize = 100;

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    Collections,
    Records,
    Files,
    Search,
    Webhooks,
    Realtime,
    /// Users, settings, logs, audit, backups: everything else that is for admins.
    Admin,
}

impl Area {
    const ALL: [Self; 7] =
        [Self::Collections, Self::Records, Self::Files, Self::Search, Self::Webhooks, Self::Realtime, Self::Admin];

    /// The word in a scope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collections => "collections",
            Self::Records => "records",
            Self::Files => "files",
            Self::Search => "search",
            Self::Webhooks => "webhooks",
            Self::Realtime => "realtime",
            Self::Admin => "admin",
        }
    }
}

/// What is done there. To write is not to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Read,
    Write,
}

/// The scope that an operation asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub area: Area,
    pub action: Action,
}

impl Need {
    pub const fn new(area: Area, action: Action) -> Self {
        Self { area, action }
    }
}

/// Bits of [`Granted`].
const READ: u8 = 1;
const WRITE: u8 = 2;

/// Which actions are granted somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Granted(u8);

impl Granted {
    fn parse(action: &str) -> Option<Self> {
        match action {
            "read" => Some(Self(READ)),
            "write" => Some(Self(WRITE)),
            "*" => Some(Self(READ | WRITE)),
            _ => None,
        }
    }

    fn covers(self, action: Action) -> bool {
        let bit = match action {
            Action::Read => READ,
            Action::Write => WRITE,
        };
        self.0 & bit != 0
    }
}

/// The scopes of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Scopes {
    text: String,
    whole: bool,
    areas: [Granted; Area::ALL.len()],
    /// Records of one collection, by its name.
    collections: Vec<(String, Granted)>,
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scopes").field(&self.text).finish()
    }
}

impl Scopes {
    /// Reads a list; spaces around its items are dropped.
    ///
    /// # Errors
    /// A sentence that names the first scope that does not exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("Maximum length is {MAX_TEXT}"));
        }
        let items: Vec<&str> = text.split(',').map(str::trim).collect();
        if items.len() > MAX_SCOPES {
            return Err(format!("At most {MAX_SCOPES} scopes are allowed"));
        }
        let mut scopes = Self {
            text: items.join(","),
            whole: false,
            areas: [Granted::default(); Area::ALL.len()],
            collections: Vec::new(),
        };
        for item in items {
            scopes.add(item).ok_or_else(|| format!("Unknown scope: {item}"))?;
        }
        Ok(scopes)
    }

    fn add(&mut self, item: &str) -> Option<()> {
        if item == "*" {
            self.whole = true;
            return Some(());
        }
        let (resource, action) = item.split_once(':')?;
        let granted = Granted::parse(action)?;
        match resource.split_once('.') {
            None => {
                let area = Area::ALL.into_iter().find(|area| area.as_str() == resource)?;
                self.areas[area as usize].0 |= granted.0;
            }
            Some(("records", collection)) if fastcms_store::Name::new(collection).is_ok() => {
                self.collections.push((collection.to_owned(), granted));
            }
            Some(_) => return None,
        }
        Some(())
    }

    /// The list, as it is shown and stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Collections that are named one by one.
    pub fn collections(&self) -> impl Iterator<Item = &str> {
        self.collections.iter().map(|(name, _)| name.as_str())
    }

    /// Everything, whatever it is.
    pub fn cover_everything(&self) -> bool {
        self.whole
    }

    /// Everything of an area.
    pub fn cover(&self, need: Need) -> bool {
        self.whole || self.areas[need.area as usize].covers(need.action)
    }

    /// Something of an area: all of it, or at least records of one collection.
    pub fn touch(&self, need: Need) -> bool {
        let some = |(_, granted): &(String, Granted)| granted.covers(need.action);
        self.cover(need) || (need.area == Area::Records && self.collections.iter().any(some))
    }

    /// What is done to records of this collection.
    pub fn cover_collection(&self, need: Need, name: &str) -> bool {
        let this =
            |(named, granted): &(String, Granted)| granted.covers(need.action) && named.eq_ignore_ascii_case(name);
        self.cover(need) || (need.area == Area::Records && self.collections.iter().any(this))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_RECORDS: Need = Need::new(Area::Records, Action::Read);
    const WRITE_RECORDS: Need = Need::new(Area::Records, Action::Write);

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).unwrap()
    }

    #[test]
    fn a_star_covers_everything() {
        let all = scopes("*");
        assert!(all.cover_everything());
        for area in Area::ALL {
            assert!(all.cover(Need::new(area, Action::Read)) && all.cover(Need::new(area, Action::Write)));
        }
        assert!(all.cover_collection(WRITE_RECORDS, "posts"));
    }

    #[test]
    fn an_area_covers_itself_and_its_action_alone() {
        let reads = scopes("records:read");
        for area in Area::ALL {
            assert_eq!(reads.cover(Need::new(area, Action::Read)), area == Area::Records);
            assert!(!reads.cover(Need::new(area, Action::Write)));
        }
        let writes = scopes("records:write");
        assert!(writes.cover(WRITE_RECORDS) && !writes.cover(READ_RECORDS));
        let both = scopes("records:*");
        assert!(both.cover(WRITE_RECORDS) && both.cover(READ_RECORDS) && !both.cover_everything());
        assert!(both.cover_collection(READ_RECORDS, "anything"));
    }

    #[test]
    fn a_named_collection_is_not_the_area() {
        let one = scopes("records.posts:read, records.notes:*");
        assert_eq!(one.as_str(), "records.posts:read,records.notes:*");
        assert!(!one.cover(READ_RECORDS) && one.touch(READ_RECORDS));
        assert!(one.cover_collection(READ_RECORDS, "posts") && one.cover_collection(READ_RECORDS, "Posts"));
        assert!(!one.cover_collection(WRITE_RECORDS, "posts") && one.cover_collection(WRITE_RECORDS, "notes"));
        assert!(!one.cover_collection(READ_RECORDS, "postscript"));
        assert!(!one.cover_collection(Need::new(Area::Search, Action::Read), "posts"));
        assert!(!one.touch(Need::new(Area::Search, Action::Read)));
    }

    #[test]
    fn what_is_no_scope_is_named() {
        for text in [
            "",
            "records",
            "records:",
            "records:delete",
            "Records:read",
            "users:read",
            "*:read",
            "*:*",
            "records.:read",
            "records.a b:read",
            "records.posts.title:read",
            "files.posts:read",
            "records:read,",
            "records:read,,files:read",
            "records:read;files:read",
        ] {
            let refused = Scopes::parse(text).unwrap_err();
            assert!(refused.starts_with("Unknown scope: "), "{text}: {refused}");
        }
        assert!(Scopes::parse(&"a".repeat(MAX_TEXT + 1)).unwrap_err().contains("Maximum length"));
        assert!(Scopes::parse(&vec!["*"; MAX_SCOPES + 1].join(",")).unwrap_err().contains("At most"));
        assert!(Scopes::parse(&vec!["*"; MAX_SCOPES].join(",")).is_ok());
    }
}
