//! What is remembered of a head while it comes in: a few bytes, however long the head is.
//!
//! hyper takes a request with `Transfer-Encoding` and drops a `Content-Length` beside it, so what two servers in a row would read
//! differently must be found here (request smuggling, RFC 9112 section 6.3).

use http::StatusCode;

use crate::edge::MAX_URL;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
/// Bytes kept of a line's beginning: the longest name that is looked for, and its colon.
const BEGINNING: usize = TRANSFER_ENCODING.len() + 1;
/// How a request line ends.
const VERSIONS: [[u8; 8]; 2] = [*b"HTTP/1.1", *b"HTTP/1.0"];

/// A head, read line by line as its bytes come.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// All bytes since the last request began.
    bytes: usize,
    /// Of the line under way.
    beginning: [u8; BEGINNING],
    length: usize,
    /// Of the first line: how long it is, and its last bytes.
    first: usize,
    ending: u64,
    /// Lines that are complete, the first one among them.
    lines: usize,
    lengths: usize,
    encodings: usize,
    ended: bool,
}

impl Head {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        let mut rest = bytes;
        while !self.ended && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (piece, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.extend(piece);
            if end.is_some() {
                self.end_line();
            }
            rest = after;
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        if let Some(room) = self.beginning.get_mut(self.length..) {
            room.iter_mut().zip(piece).for_each(|(kept, byte)| *kept = *byte);
        }
        self.length += piece.len();
        if self.lines == 0 {
            self.first = self.length;
            // From the end: of a long line all but the last few bytes are never looked at.
            let (mut ending, mut taken) = (0, 0);
            for byte in piece.iter().rev().filter(|byte| !matches!(byte, b'\r' | b'\n')).take(8) {
                ending |= u64::from(*byte) << taken;
                taken += 8;
            }
            self.ending = self.ending.checked_shl(taken).unwrap_or(0) | ending;
        }
    }

    fn end_line(&mut self) {
        let line = &self.beginning[..self.length.min(BEGINNING)];
        self.length = 0;
        if line == b"\r\n" || line == b"\n" {
            // An empty line before the request is skipped (RFC 9112 section 2.2).
            self.ended = self.lines > 0;
            return;
        }
        self.lines += 1;
        if self.lines == 1 {
            return;
        }
        // By the place of the colon first: the names of most fields are of another length.
        let is = |name: &[u8]| line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name);
        self.lengths += usize::from(is(CONTENT_LENGTH));
        self.encodings += usize::from(is(TRANSFER_ENCODING));
    }

    /// Whether this head, in which the parser found so many fields, has its body's length from one source only.
    ///
    /// One of which a part came with an earlier, pipelined request is not sound: nobody pipelines such requests in good faith. It
    /// shows by its first line, or else by the number of its fields.
    pub(super) fn is_sound(&self, fields: usize) -> bool {
        let is_whole = self.ended && VERSIONS.contains(&self.ending.to_be_bytes()) && self.lines == fields + 1;
        is_whole && self.lengths == 0 && self.encodings == 1
    }

    /// What is too large about a head that the parser gave up with this status: it says 431 of every head that fills its buffer.
    pub(super) fn verdict(&self, status: StatusCode) -> StatusCode {
        if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE && self.first > MAX_URL {
            StatusCode::URI_TOO_LONG
        } else {
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &[u8]) -> Head {
        let mut read = Head::default();
        read.push(head);
        read
    }

    #[test]
    fn one_source_of_the_length_is_sound() {
        let sound = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nContent-Length: 1";
        assert!(read(sound).is_sound(2));
        let unsound: [&[u8]; 5] = [
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 4\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
            b"",
        ];
        for head in unsound {
            for fields in 0..3 {
                assert!(!read(head).is_sound(fields), "{}", String::from_utf8_lossy(head));
            }
        }
    }

    #[test]
    fn in_pieces_it_is_the_same() {
        let whole =
            b"\r\nPOST /a HTTP/1.0\r\nHost: a\r\nTRANSFER-encoding: chunked\r\nX-Long-Name-Of-A-Field: v\r\n\r\nbody";
        let mut drops = Head::default();
        for byte in whole {
            drops.push(std::slice::from_ref(byte));
        }
        assert!(read(whole).is_sound(3) && drops.is_sound(3));
        assert_eq!((drops.bytes(), drops.first), (whole.len(), "POST /a HTTP/1.0\r\n".len()));
    }

    /// The front of these came unseen, with the request before: in it stands a `Content-Length` that hyper drops.
    #[test]
    fn the_end_of_a_pipelined_head_is_not_sound() {
        // `POST / HTTP/1.1` CRLF `Content-Length: 4` CRLF `A`, and then:
        assert!(!read(b"BC: v\r\nTransfer-Encoding: chunked\r\n\r\n").is_sound(2));
        assert!(!read(b"BC: HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_sound(2));
        // `POST / HTTP/1.1` CRLF `Content-Len`, and then:
        assert!(!read(b"gth: 4\r\nTransfer-Encoding: chunked\r\n\r\n").is_sound(1));
    }

    #[test]
    fn a_head_that_is_too_large_is_so_by_its_url_or_by_its_fields() {
        let bare = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let url = format!("GET /{}", "x".repeat(MAX_URL));
        assert_eq!(read(url.as_bytes()).verdict(bare), StatusCode::URI_TOO_LONG);
        let fields = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(3 * MAX_URL));
        assert_eq!(read(fields.as_bytes()).verdict(bare), bare);
        assert_eq!(read(url.as_bytes()).verdict(StatusCode::BAD_REQUEST), StatusCode::BAD_REQUEST);
    }
}
