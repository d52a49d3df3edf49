//! A reference: the text of a setting that says where its secret is kept, instead of being the secret.
//!
//! ```text
//! reference = "env:" NAME
//!           | "file:" PATH
//!           | "age:" PATH [ "#" FIELD ]
//!           | "vault:" MOUNT "/" PATH "#" FIELD [ "@" VERSION ]
//!           | "aws-sm:" ID [ "#" FIELD [ "@" STAGE ] ]
//!           | "azure-kv:" VAULT "/" NAME [ "@" VERSION ]
//! ```
//!
//! A text that begins with none of these words is a value. One that does is never taken for a value, even where the rest makes no
//! sense: a key that reads `vault:…` would be a key that anybody can guess. Who has such a secret gives it by a file.

use std::fmt;
use std::path::PathBuf;

/// Longest reference in bytes: no name of any manager needs more.
pub const MAX_REFERENCE: usize = 2_048;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A variable of the process environment.
    Environment(String),
    /// A file whose whole content it is; a relative one starts at the working directory.
    File(PathBuf),
    /// A file of age; a relative one starts at the working directory.
    Age {
        /// The file.
        path: PathBuf,
        /// The name in its dotenv text, or the member of its JSON object; none: the whole text.
        field: Option<String>,
    },
    /// A field of a secret in Vault or `OpenBao`, secrets engine KV version 2.
    Vault {
        /// Where the engine is mounted.
        mount: String,
        /// The path below it.
        path: String,
        /// The field.
        field: String,
        /// This version; none: the newest, and with it the one before.
        version: Option<u32>,
    },
    /// A secret in AWS Secrets Manager.
    Aws {
        /// Name or ARN.
        id: String,
        /// The member of its JSON text; none: the whole text.
        field: Option<String>,
        /// This staging label; none: `AWSCURRENT`, and with it the ones before and after.
        stage: Option<String>,
    },
    /// A secret in Azure Key Vault.
    Azure {
        /// Name of the vault, or its whole host name.
        vault: String,
        /// Name of the secret.
        name: String,
        /// This version; none: the newest that is enabled, and with it the one before.
        version: Option<String>,
    },
}

/// Why a text that begins like a reference is none. It may be a secret all the same, so it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `env:` without a name.
    #[error("begins like a reference, but is not `env:NAME`")]
    Environment,
    /// `file:` without a path.
    #[error("begins like a reference, but is not `file:/path`")]
    File,
    /// Not the form of Vault.
    #[error("begins like a reference, but is not `vault:mount/path#field` or `vault:mount/path#field@version`")]
    Vault,
    /// Not the form of AWS.
    #[error("begins like a reference, but is not `aws-sm:name`, `aws-sm:name#field` or `aws-sm:name#field@stage`")]
    Aws,
    /// Not the form of Azure.
    #[error("begins like a reference, but is not `azure-kv:vault/name` or `azure-kv:vault/name@version`")]
    Azure,
    /// Not the form of a file of age.
    #[error("begins like a reference, but is not `age:/path` or `age:/path#field`")]
    Age,
    /// Longer than [`MAX_REFERENCE`].
    #[error("begins like a reference, but is longer than {MAX_REFERENCE} bytes")]
    TooLong,
}

impl Reference {
    /// Reads a text; `None`: it is a value.
    ///
    /// # Errors
    /// A text that begins like a reference and is none.
    pub fn parse(text: &str) -> Result<Option<Self>, Malformed> {
        let Some((scheme, rest)) = text.split_once(':') else { return Ok(None) };
        let parse: fn(&str) -> Option<Self> = match scheme {
            "env" => environment,
            "file" => file,
            "vault" => vault,
            "aws-sm" => aws,
            "azure-kv" => azure,
            "age" => age,
            _ => return Ok(None),
        };
        let malformed = match scheme {
            "env" => Malformed::Environment,
            "file" => Malformed::File,
            "vault" => Malformed::Vault,
            "aws-sm" => Malformed::Aws,
            "azure-kv" => Malformed::Azure,
            _ => Malformed::Age,
        };
        if text.len() > MAX_REFERENCE {
            return Err(Malformed::TooLong);
        }
        parse(rest).map(Some).ok_or(malformed)
    }

    /// Whether it takes a conversation with a manager to follow it.
    pub const fn is_managed(&self) -> bool {
        matches!(self, Self::Vault { .. } | Self::Aws { .. } | Self::Azure { .. })
    }

    /// Whether it names one version for good: such a secret does not rotate by itself.
    pub const fn is_pinned(&self) -> bool {
        match self {
            Self::Environment(_) => true,
            Self::File(_) | Self::Age { .. } => false,
            Self::Vault { version, .. } => version.is_some(),
            Self::Aws { stage, .. } => stage.is_some(),
            Self::Azure { version, .. } => version.is_some(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |version: Option<&dyn fmt::Display>| version.map_or_else(String::new, |version| format!("@{version}"));
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Age { path, field } => {
                let field = field.as_ref().map_or_else(String::new, |field| format!("#{field}"));
                write!(f, "age:{}{field}", path.display())
            }
            Self::Vault { mount, path, field, version } => {
                write!(f, "vault:{mount}/{path}#{field}{}", at(version.as_ref().map(|it| it as _)))
            }
            Self::Aws { id, field, stage } => {
                let field = field.as_ref().map_or_else(String::new, |field| format!("#{field}"));
                write!(f, "aws-sm:{id}{field}{}", at(stage.as_ref().map(|it| it as _)))
            }
            Self::Azure { vault, name, version } => {
                write!(f, "azure-kv:{vault}/{name}{}", at(version.as_ref().map(|it| it as _)))
            }
        }
    }
}

fn environment(name: &str) -> Option<Reference> {
    let is_name = is_of(name, "_") && !name.starts_with(|first: char| first.is_ascii_digit());
    is_name.then(|| Reference::Environment(name.to_owned()))
}

fn file(path: &str) -> Option<Reference> {
    let is_path = !path.is_empty() && !path.contains(char::is_control);
    is_path.then(|| Reference::File(path.into()))
}

fn age(rest: &str) -> Option<Reference> {
    let (path, field) = rest.split_once('#').map_or((rest, None), |(path, field)| (path, Some(field)));
    let is_sound = !path.is_empty() && !path.contains(char::is_control) && field.is_none_or(|it| is_of(it, "_-."));
    is_sound.then(|| Reference::Age { path: path.into(), field: field.map(Into::into) })
}

fn vault(rest: &str) -> Option<Reference> {
    let (place, field) = rest.split_once('#')?;
    let (mount, path) = place.split_once('/')?;
    let (field, version) = match field.rsplit_once('@') {
        None => (field, None),
        Some((field, version)) => (field, Some(version.parse().ok().filter(|version| *version > 0)?)),
    };
    // A segment of dots would lead out of the path that policies speak of.
    let is_segment = |segment: &str| is_of(segment, "_-.~+=@ ") && !segment.trim_matches('.').is_empty();
    let is_sound = is_segment(mount) && path.split('/').all(is_segment) && is_of(field, "_-.");
    is_sound.then(|| Reference::Vault { mount: mount.into(), path: path.into(), field: field.into(), version })
}

fn aws(rest: &str) -> Option<Reference> {
    let (id, field) = rest.split_once('#').map_or((rest, None), |(id, field)| (id, Some(field)));
    let (field, stage) = match field.and_then(|field| field.rsplit_once('@')) {
        None => (field, None),
        Some((field, stage)) => (Some(field), Some(stage)),
    };
    let is_sound =
        is_of(id, "/_+=.@:-") && field.is_none_or(|it| is_of(it, "_-.")) && stage.is_none_or(|it| is_of(it, "_-."));
    is_sound.then(|| Reference::Aws { id: id.into(), field: field.map(Into::into), stage: stage.map(Into::into) })
}

fn azure(rest: &str) -> Option<Reference> {
    let (vault, name) = rest.split_once('/')?;
    let (name, version) = name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)));
    let is_sound = is_of(vault, "-.:") && is_of(name, "-") && version.is_none_or(|version| is_of(version, ""));
    is_sound.then(|| Reference::Azure { vault: vault.into(), name: name.into(), version: version.map(Into::into) })
}

/// Whether a text is made of ASCII letters, digits and these characters, and is not empty.
fn is_of(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written_alike() {
        for text in [
            "env:SECRET_KEY",
            "file:/run/secrets/key",
            "file:key",
            "age:/etc/fastcms/secrets.age",
            "age:secrets.age#SECRET_KEY",
            "vault:secret/fastcms/prod#SECRET_KEY",
            "vault:kv/a#b@12",
            "aws-sm:fastcms/prod",
            "aws-sm:fastcms/prod#SECRET_KEY",
            "aws-sm:fastcms/prod#SECRET_KEY@AWSPREVIOUS",
            "aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:fastcms/prod-AbCdEf#k",
            "azure-kv:prod/SECRET-KEY",
            "azure-kv:prod.vault.usgovcloudapi.net/SECRET-KEY@0123456789abcdef",
        ] {
            let reference = Reference::parse(text).unwrap().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_values() {
        for text in ["", "a password", "a:b", "https://env:x@host/", "ENV:X", "vaults:a/b#c", "postgresql://u:p@h/d"] {
            assert_eq!(Reference::parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_begins_like_a_reference_is_never_a_value() {
        for text in [
            "env:",
            "env:1A",
            "env:a b",
            "file:",
            "vault:",
            "vault:a",
            "vault:a/b",
            "vault:a/b#",
            "vault:/b#c",
            "vault:a//b#c",
            "vault:a/../b#c",
            "vault:a/b?version=1#c",
            "vault:a/b#c@0",
            "vault:a/b#c@latest",
            "vault:a/b%2f#c",
            "aws-sm:",
            "aws-sm:a b",
            "aws-sm:a#",
            "aws-sm:a#b@",
            "azure-kv:a",
            "azure-kv:a/b_c",
            "azure-kv:a/b/c",
            "azure-kv:a@b/c",
            "azure-kv:/b",
            "age:",
            "age:#x",
            "age:f#",
            "age:f#x y",
            "age:f#x#y",
            "age:f\ng#x",
        ] {
            let fault = Reference::parse(text).expect_err(text).to_string();
            let rest = text.split_once(':').unwrap().1;
            assert!(rest.len() < 4 || !fault.contains(rest), "{fault}");
        }
        assert_eq!(Reference::parse(&format!("file:/{}", "a".repeat(MAX_REFERENCE))), Err(Malformed::TooLong));
    }
}
