//! The kinds of token: what they are called, which key signs them and what they carry.

use super::TokenError;
use super::json::RawClaims;
use crate::keys::Purpose;

/// The `typ` of a token's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Typ {
    /// `at+jwt` (RFC 9068 section 2.1).
    Access,
    /// `rt+jwt`.
    Refresh,
    /// `ft+jwt`.
    File,
    /// `it+jwt`.
    Impersonation,
}

impl Typ {
    /// The text in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
            Self::File => "ft+jwt",
            Self::Impersonation => "it+jwt",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Access, Self::Refresh, Self::File, Self::Impersonation].into_iter().find(|typ| typ.as_str() == text)
    }
}

mod sealed {
    use super::{RawClaims, TokenError};

    pub trait Sealed {}

    /// How a kind's own claims are read and written.
    pub trait Details: Sized {
        fn read(raw: &mut RawClaims) -> Result<Self, TokenError>;
        fn write(&self, raw: &mut RawClaims);
    }
}
pub(super) use sealed::Details;

/// A kind of token. Sealed: the four kinds of this module are all there are.
pub trait Kind: sealed::Sealed + Clone + Copy + std::fmt::Debug + Send + Sync + 'static {
    /// The `typ` of the header.
    const TYP: Typ;
    /// Which key signs.
    const PURPOSE: Purpose;
    /// The lifetime given where nobody says otherwise, in seconds.
    const DEFAULT_LIFETIME_SECONDS: i64;
    /// The claims this kind has beyond the common ones.
    type Details: sealed::Details + Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static;
}

/// Who may call, for minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {}

/// Good for a new pair of access and refresh token, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {}

/// Opens one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {}

/// Who may call as somebody else, and who that is in truth (RFC 8693 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impersonation {}

macro_rules! kind {
    ($kind:ident, $lifetime:expr, $details:ty) => {
        impl sealed::Sealed for $kind {}
        impl Kind for $kind {
            const TYP: Typ = Typ::$kind;
            const PURPOSE: Purpose = Purpose::$kind;
            const DEFAULT_LIFETIME_SECONDS: i64 = $lifetime;
            type Details = $details;
        }
    };
}

kind!(Access, 15 * 60, AccessDetails);
kind!(Refresh, 30 * 24 * 3600, RefreshDetails);
kind!(File, 120, FileDetails);

/// The longest lifetime of a file token that is believed, in seconds: it stands in URLs.
pub const MAX_FILE_LIFETIME_SECONDS: i64 = 300;

kind!(Impersonation, 3600, ImpersonationDetails);

/// What an access token says beyond the common claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessDetails {
    /// The session (`sid`).
    pub sid: String,
    /// The account's epoch when the token was made (`ep`): a higher one since then ends the token.
    pub epoch: Option<u64>,
    /// The installation's epoch when the token was made (`gep`).
    pub global_epoch: Option<u64>,
}

/// What a refresh token says beyond the common claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshDetails {
    /// The session (`sid`).
    pub sid: String,
    /// The family (`fam`): all tokens that descend from one login.
    pub fam: String,
}

/// What a file token says beyond the common claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDetails {
    /// The one file it opens (`file_id`).
    pub file_id: String,
    /// The session that it was made in (`sid`), if in one: it ends with that.
    pub sid: Option<String>,
}

/// What an impersonation token says beyond the common claims; `sub` is the account acted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImpersonationDetails {
    /// The session (`sid`).
    pub sid: String,
    /// The account that acts (`act.sub`).
    pub actor: String,
    /// The epoch of the account acted as (`ep`).
    pub epoch: Option<u64>,
    /// The installation's epoch (`gep`).
    pub global_epoch: Option<u64>,
}

fn required(value: &mut Option<String>, name: &'static str) -> Result<String, TokenError> {
    value.take().filter(|text| !text.is_empty()).ok_or(TokenError::Missing(name))
}

impl Details for AccessDetails {
    fn read(raw: &mut RawClaims) -> Result<Self, TokenError> {
        // An actor makes it an impersonation, which has its own kind.
        if raw.actor.is_some() {
            return Err(TokenError::Claims);
        }
        Ok(Self { sid: required(&mut raw.sid, "sid")?, epoch: raw.epoch, global_epoch: raw.global_epoch })
    }

    fn write(&self, raw: &mut RawClaims) {
        raw.sid = Some(self.sid.clone());
        raw.epoch = self.epoch;
        raw.global_epoch = self.global_epoch;
    }
}

impl Details for RefreshDetails {
    fn read(raw: &mut RawClaims) -> Result<Self, TokenError> {
        Ok(Self { sid: required(&mut raw.sid, "sid")?, fam: required(&mut raw.fam, "fam")? })
    }

    fn write(&self, raw: &mut RawClaims) {
        raw.sid = Some(self.sid.clone());
        raw.fam = Some(self.fam.clone());
    }
}

impl Details for FileDetails {
    fn read(raw: &mut RawClaims) -> Result<Self, TokenError> {
        Ok(Self { file_id: required(&mut raw.file_id, "file_id")?, sid: raw.sid.take() })
    }

    fn write(&self, raw: &mut RawClaims) {
        raw.file_id = Some(self.file_id.clone());
        raw.sid.clone_from(&self.sid);
    }
}

impl Details for ImpersonationDetails {
    fn read(raw: &mut RawClaims) -> Result<Self, TokenError> {
        Ok(Self {
            sid: required(&mut raw.sid, "sid")?,
            actor: required(&mut raw.actor, "act")?,
            epoch: raw.epoch,
            global_epoch: raw.global_epoch,
        })
    }

    fn write(&self, raw: &mut RawClaims) {
        raw.sid = Some(self.sid.clone());
        raw.actor = Some(self.actor.clone());
        raw.epoch = self.epoch;
        raw.global_epoch = self.global_epoch;
    }
}
