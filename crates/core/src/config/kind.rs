//! The kinds of value a variable can have: what bounds them and how the reference page names them.

/// What the text of a variable must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An address with a scheme.
    Url,
    /// `true` or `false` (also `1`/`0`, `yes`/`no`, `on`/`off`).
    Flag,
    /// A whole number within bounds, both included.
    Whole {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// One of a few words, case-insensitive.
    Choice(&'static [&'static str]),
    /// Texts.
    List,
    /// Whole numbers within bounds, both included.
    Wholes {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// Address ranges in CIDR notation; a bare address is a range of one.
    Networks,
    /// Web origins, `scheme://host[:port]`, or `*`.
    Origins,
    /// One web origin.
    Origin,
    /// Host names without scheme.
    Hosts,
    /// A file or folder; relative ones start at the working directory.
    Path,
    /// Key material: taken as is, byte for byte.
    Key,
    /// Key material, separated by commas.
    Keys,
    /// A calendar day, `2026-01-31`.
    Date,
}

impl Kind {
    /// Whether the value is a list: an empty text is then an empty list, not an absent value.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Wholes { .. } | Self::Networks | Self::Origins | Self::Hosts | Self::Keys)
    }

    /// What the reference page says in its column "Type".
    pub fn label(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Url => "URL".into(),
            Self::Flag => "true or false".into(),
            Self::Whole { min, max: u64::MAX } => format!("whole number from {min}"),
            Self::Whole { min, max } => format!("whole number, {min} to {max}"),
            Self::Choice([one]) => format!("`{one}`"),
            Self::Choice(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            Self::List => "list".into(),
            Self::Wholes { min, max } => format!("list of whole numbers, {min} to {max}"),
            Self::Networks => "list of networks (CIDR)".into(),
            Self::Origins => "list of origins".into(),
            Self::Origin => "origin".into(),
            Self::Hosts => "list of host names".into(),
            Self::Path => "path".into(),
            Self::Key => "key".into(),
            Self::Keys => "list of keys".into(),
            Self::Date => "date".into(),
        }
    }
}

/// A value out of a few named ones.
pub trait Choice: Copy + 'static {
    /// The names, in the order of the reference page.
    const NAMES: &'static [&'static str];
    /// The values under those names, in the same order.
    const VALUES: &'static [Self];

    /// The value called `name`, case-insensitive.
    fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|one| one.eq_ignore_ascii_case(name))?;
        Self::VALUES.get(index).copied()
    }
}

/// Declares an enum together with the names its values have in a configuration.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $value,)+ }

        impl $crate::config::kind::Choice for $name {
            const NAMES: &'static [&'static str] = &[$($text),+];
            const VALUES: &'static [Self] = &[$(Self::$value),+];
        }

        impl $name {
            /// The name it has in a configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use choice;
