//! The text form of a file of age: strict PEM (RFC 7468) of one label, without headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Fault;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// Letters of a line; the last one may have fewer, but not none.
const LINE: usize = 64;

/// The bytes that an armored file stands for; `None`: it is not armored. White space around it does not count.
pub(super) fn decode(file: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let file = file.trim_ascii();
    if !file.starts_with(b"-----BEGIN") {
        return Ok(None);
    }
    let text = std::str::from_utf8(file).map_err(|_| Fault::Armor)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut body = String::with_capacity(text.len());
    if lines.next() != Some(BEGIN) || lines.next_back() != Some(END) {
        return Err(Fault::Armor);
    }
    let mut is_over = false;
    for line in lines {
        if is_over || line.is_empty() || line.len() > LINE {
            return Err(Fault::Armor);
        }
        is_over = line.len() < LINE;
        body.push_str(line);
    }
    STANDARD.decode(body).map(Some).map_err(|_| Fault::Armor)
}
