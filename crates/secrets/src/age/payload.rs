//! The content of a file of age: chunks of 64 KiB under ChaCha20-Poly1305, each numbered, the last one marked (STREAM).

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use zeroize::Zeroizing;

use super::Fault;
use super::header::{FileKey, derive};

/// Bytes of a chunk, but for the last, which has fewer or as many.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// Bytes of the nonce before the chunks.
const NONCE: usize = 16;

/// Decrypts the whole content.
pub(super) fn open(file_key: &FileKey, payload: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (nonce, mut rest) = payload.split_at_checked(NONCE).ok_or(Fault::Payload)?;
    let mut key = Zeroizing::new([0; 32]);
    derive(file_key.as_slice(), nonce, b"payload", &mut key);
    let cipher = ChaCha20Poly1305::new((&*key).into());
    // As large as it can become, so that growing leaves no copy behind; given up, it is zeroed.
    let mut content = Zeroizing::new(Vec::with_capacity(rest.len()));
    for number in 0_u64.. {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK + TAG));
        let sealed = chunk.len().checked_sub(TAG).ok_or(Fault::Payload)?;
        let is_last = after.is_empty();
        // Only empty content has an empty chunk.
        if sealed == 0 && number > 0 {
            return Err(Fault::Payload);
        }
        let start = content.len();
        content.extend_from_slice(&chunk[..sealed]);
        let tag = Tag::try_from(&chunk[sealed..]).expect("a tag was left");
        let opened = cipher.decrypt_inout_detached(&place(number, is_last), &[], (&mut content[start..]).into(), &tag);
        opened.map_err(|_| Fault::Payload)?;
        if is_last {
            break;
        }
        rest = after;
    }
    Ok(content)
}

/// The nonce of a chunk: its number in eleven bytes, and whether it is the last.
fn place(number: u64, is_last: bool) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}
