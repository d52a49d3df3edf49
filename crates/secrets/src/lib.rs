//! Where secrets come from, and the box they stay in.
//!
//! [`Secret`] holds a value that must not be printed, serialised or left in memory. A [`Reference`]
//! says where one is kept: a [`Place`] follows it on this machine, into files of age too, [`Managers`] follow it to Vault, AWS or
//! Azure. A [`TransitKey`] is one that never leaves its vault: what it wraps and unwraps goes there. Nothing here
//! watches, retries at leisure or remembers: that is for whoever holds what was found.
//!
//! This crate does not know what a secret is for: key strength, rotation and use belong to its
//! callers.

mod age;
mod aws;
mod azure;
mod document;
pub mod dotenv;
mod file;
mod https;
mod local;
mod managers;
mod reference;
mod replacement;
mod resolution;
mod secret;
mod transit;
mod unresolved;
mod vault;

pub use age::{BadIdentities, Identities, MAX_AGE_BYTES, MAX_IDENTITIES, read_text as read_age_file};
pub use aws::AwsSettings;
pub use azure::AzureSettings;
pub use file::{MAX_FILE_BYTES, read_file};
pub use local::Place;
pub use managers::{ManagerSettings, Managers, Wanted};
pub use reference::{MAX_REFERENCE, Malformed, Reference};
pub use replacement::Unwritten;
pub use resolution::{Resolution, Version};
pub use secret::Secret;
pub use transit::{TransitFault, TransitKey, TransitWhy, TransitWrapped};
pub use unresolved::{Unresolved, Why};
pub use vault::{Given, VaultLogin, VaultSettings};

use std::io;
use std::path::PathBuf;

/// Why a secret could not be had. No variant carries any part of a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is at the path.
    #[error("secret file `{path}` does not exist: create it or correct the path", path = .0.display())]
    NotFound(PathBuf),
    /// The process may not read the file.
    #[error("secret file `{path}` cannot be read: give the user that runs this process read permission", path = .0.display())]
    PermissionDenied(PathBuf),
    /// The path leads to a folder.
    #[error("secret file `{path}` is a folder: name the file inside it", path = .0.display())]
    IsFolder(PathBuf),
    /// Nothing is left once the trailing newline is cut.
    #[error("secret file `{path}` is empty: write the secret into it", path = .0.display())]
    Empty(PathBuf),
    /// The file is longer than [`MAX_FILE_BYTES`].
    #[error("secret file `{path}` is larger than {max} bytes: it must hold one secret and nothing else", path = .0.display(), max = MAX_FILE_BYTES)]
    TooLarge(PathBuf),
    /// The file is not UTF-8 text.
    #[error("secret file `{path}` is not UTF-8 text: store the secret as text, for example in hex or base64", path = .0.display())]
    NotText(PathBuf),
    /// The system refused for another reason.
    #[error("secret file `{path}` cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
