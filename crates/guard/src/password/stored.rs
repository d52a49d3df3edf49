//! Stored hashes: how they are written, read and compared. Everything here blocks for milliseconds.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::hasher::Cost;

/// Ceilings for what a stored string may ask of us, so that one that was slipped in cannot take the
/// machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_BCRYPT_COST: u32 = 16;

pub(super) const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// bcrypt reads no more of a password.
const BCRYPT_BYTES: usize = 72;

/// A stored hash that can be checked.
pub(super) enum Stored<'a> {
    Argon2(Argon2Hash),
    Bcrypt(&'a str),
}

/// An Argon2 string taken apart.
pub(super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl<'a> Stored<'a> {
    /// Reads a stored string; `None` if it is none we know, or asks too much.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.starts_with("$argon2") { Argon2Hash::parse(text).map(Self::Argon2) } else { bcrypt_hash(text) }
    }
}

fn bcrypt_hash(text: &str) -> Option<Stored<'_>> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let (cost, digest) = rest.split_once('$')?;
    let cost: u32 = (cost.len() == 2).then(|| cost.parse().ok()).flatten()?;
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    let sound = digest.len() == 53 && digest.bytes().all(alphabet) && (4..=MAX_BCRYPT_COST).contains(&cost);
    sound.then_some(Stored::Bcrypt(text))
}

/// Compares as the predecessor did: the UTF-8 text cut at 72 bytes, and a character torn by the cut
/// dropped.
pub(super) fn bcrypt_matches(password: &str, stored: &str) -> bool {
    let cut = &password[..password.floor_char_boundary(BCRYPT_BYTES)];
    bcrypt::verify(cut.as_bytes(), stored).unwrap_or(false)
}

impl Argon2Hash {
    /// `$argon2id$v=19$m=19456,t=2,p=1$salt$output`, nothing optional but `v` (absent: version 16).
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('$')?.split('$');
        let algorithm = Algorithm::new(parts.next()?).ok()?;
        let mut part = parts.next()?;
        let version = match part.strip_prefix("v=") {
            Some(version) => {
                part = parts.next()?;
                Version::try_from(number(version)?).ok()?
            }
            None => Version::V0x10,
        };
        let mut parameters = part.split(',');
        let mut parameter = |name: &str| number(parameters.next()?.strip_prefix(name)?);
        let (memory_kib, passes, lanes) = (parameter("m=")?, parameter("t=")?, parameter("p=")?);
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let output = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let sound = parameters.next().is_none()
            && parts.next().is_none()
            && memory_kib <= MAX_MEMORY_KIB
            && passes <= MAX_PASSES
            && lanes <= MAX_LANES
            && (8..=64).contains(&salt.len())
            && (16..=64).contains(&output.len());
        sound.then_some(Self { algorithm, version, memory_kib, passes, lanes, salt, output })
    }

    /// Hashes `password` with fresh parameters.
    pub(super) fn make(password: &str, salt: [u8; SALT_BYTES], cost: Cost, memory: &mut Vec<Block>) -> Option<Self> {
        let mut hash = Self {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
            salt: salt.to_vec(),
            output: vec![0; OUTPUT_BYTES],
        };
        hash.output = hash.compute(password, memory)?;
        Some(hash)
    }

    pub(super) fn matches(&self, password: &str, memory: &mut Vec<Block>) -> bool {
        self.compute(password, memory).is_some_and(|output| crate::equal(&output, &self.output))
    }

    /// Whether a hash made now would be stronger.
    pub(super) fn is_weaker_than(&self, cost: Cost) -> bool {
        self.algorithm != Algorithm::Argon2id
            || self.version != Version::V0x13
            || self.memory_kib < cost.memory_kib
            || self.passes < cost.passes
            || self.salt.len() < SALT_BYTES
            || self.output.len() < OUTPUT_BYTES
    }

    fn compute(&self, password: &str, memory: &mut Vec<Block>) -> Option<Vec<u8>> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(self.output.len())).ok()?;
        let blocks = params.block_count();
        if memory.len() < blocks {
            // A new one rather than a longer one: the content need not be copied.
            *memory = Vec::new();
            *memory = vec![Block::new(); blocks];
        }
        let mut output = vec![0; self.output.len()];
        let argon2 = Argon2::new(self.algorithm, self.version, params);
        argon2
            .hash_password_into_with_memory(password.as_bytes(), &self.salt, &mut output, &mut memory[..blocks])
            .ok()?;
        Some(output)
    }
}

impl std::fmt::Display for Argon2Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { memory_kib, passes, lanes, .. } = self;
        let version = u32::from(self.version);
        write!(f, "${}$v={version}$m={memory_kib},t={passes},p={lanes}", self.algorithm.as_str())?;
        write!(f, "${}${}", STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.output))
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
