//! The header of a file of age: who may open it, in lines of ASCII, and the HMAC over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Fault;

/// The first line, as far as it says what this is.
const NAME: &[u8] = b"age-encryption.org/";
/// The first line.
const VERSION: &[u8] = b"age-encryption.org/v1\n";
/// The largest header read, in bytes (64 KiB): some 600 recipients.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Letters of a whole line of a recipient's body.
const LINE: usize = 64;

/// The key that everything in a file is derived from.
pub(super) type FileKey = Zeroizing<[u8; 16]>;

/// A file key wrapped for an X25519 recipient.
#[derive(Debug)]
pub(super) struct Recipient {
    /// The public half of the key pair that the sender made for this one.
    pub share: [u8; 32],
    /// The file key and its tag.
    pub body: [u8; 32],
}

/// A header, and what follows it.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub recipients: Vec<Recipient>,
    pub payload: &'a [u8],
    /// What the HMAC is over: all up to and with the three dashes.
    signed: &'a [u8],
    mac: [u8; 32],
}

/// A recipient of whichever kind, as it is written.
struct Stanza<'a> {
    kind: &'a str,
    arguments: Vec<&'a str>,
    body: Vec<u8>,
}

struct Lines<'a> {
    /// The file, as far as a header may reach.
    head: &'a [u8],
    is_cut: bool,
    at: usize,
}

impl<'a> Header<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, Fault> {
        if !file.starts_with(VERSION) {
            return Err(if file.starts_with(NAME) { Fault::Version } else { Fault::NotAge });
        }
        let head = &file[..file.len().min(MAX_HEADER_BYTES)];
        let mut lines = Lines { head, is_cut: head.len() < file.len(), at: VERSION.len() };
        let (mut recipients, mut kinds) = (Vec::new(), Vec::new());
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix("---") {
                let mac = mac.strip_prefix(' ').and_then(decode).ok_or(Fault::Header("ends in no HMAC"))?;
                check(&kinds)?;
                return Ok(Self { recipients, payload: &file[lines.at..], signed: &file[..start + 3], mac });
            }
            let stanza = lines.stanza(line)?;
            kinds.push(stanza.kind);
            recipients.extend(stanza.recipient()?);
        }
    }

    /// Compares the HMAC in constant time.
    pub fn verify(&self, file_key: &FileKey) -> Result<(), Fault> {
        let mut key = Zeroizing::new([0; 32]);
        derive(file_key.as_slice(), &[], b"header", &mut key);
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length");
        mac.update(self.signed);
        mac.verify_slice(&self.mac).map_err(|_| Fault::Mac)
    }
}

/// What the kinds of recipients say together.
fn check(kinds: &[&str]) -> Result<(), Fault> {
    match kinds {
        [] => Err(Fault::Header("names no recipient")),
        ["scrypt"] => Err(Fault::Passphrase),
        several if several.contains(&"scrypt") => Err(Fault::Header("has a passphrase beside other recipients")),
        _ => Ok(()),
    }
}

impl<'a> Lines<'a> {
    /// The next line, without its end.
    fn next(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.head[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or(if self.is_cut {
            Fault::Header("is larger than 64 KiB, or ends nowhere")
        } else {
            Fault::Header("is cut off")
        })?;
        self.at += end + 1;
        let line = std::str::from_utf8(&rest[..end]).ok();
        let is_sound = |line: &&str| line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        line.filter(is_sound).ok_or(Fault::Header("holds characters that belong into none"))
    }

    /// The recipient that begins with `line`.
    fn stanza(&mut self, line: &'a str) -> Result<Stanza<'a>, Fault> {
        let malformed = Fault::Header("holds a line that is no recipient");
        let mut words = line.strip_prefix("-> ").ok_or(malformed)?.split(' ');
        let kind = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        if kind.is_empty() || arguments.iter().any(|word| word.is_empty()) {
            return Err(malformed);
        }
        let mut text = String::new();
        loop {
            let line = self.next()?;
            if line.len() > LINE {
                return Err(malformed);
            }
            text.push_str(line);
            if line.len() < LINE {
                break;
            }
        }
        let body = STANDARD_NO_PAD.decode(text).map_err(|_| malformed)?;
        Ok(Stanza { kind, arguments, body })
    }
}

impl Stanza<'_> {
    /// The recipient, if it is one that we know. One that we know must be exactly as it is defined; others are passed over.
    fn recipient(&self) -> Result<Option<Recipient>, Fault> {
        if self.kind != "X25519" {
            return Ok(None);
        }
        let share = match *self.arguments.as_slice() {
            [share] => decode(share),
            _ => None,
        };
        // A body of another length could be the same file key under several keys at once.
        let body = self.body.as_slice().try_into().ok();
        let both = share.zip(body).ok_or(Fault::Header("holds an X25519 recipient that is malformed"))?;
        Ok(Some(Recipient { share: both.0, body: both.1 }))
    }
}

/// 32 bytes in base64, canonical and without padding.
fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// HKDF with SHA-256.
pub(super) fn derive(secret: &[u8], salt: &[u8], label: &[u8], key: &mut [u8; 32]) {
    Hkdf::<Sha256>::new(Some(salt), secret).expand(label, key).expect("32 bytes are fewer than HKDF can give");
}
