//! The raw head of a request with `Transfer-Encoding`. hyper takes such a request and drops a `Content-Length` beside it, so what
//! two servers in a row would read differently must be found here (request smuggling, RFC 9112 section 6.3).

/// Whether `head`, as it came from the wire, has its body's length from one source only. An incomplete record (the head came with
/// an earlier, pipelined request) is not sound: nobody pipelines such requests in good faith.
pub(super) fn is_sound(head: &[u8]) -> bool {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut encodings = 0;
    // The first line is the request line.
    lines.next();
    for line in lines {
        if line == b"\r\n" || line == b"\n" {
            return encodings == 1;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-length") {
            return false;
        }
        encodings += usize::from(name.eq_ignore_ascii_case(b"transfer-encoding"));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_sound;

    #[test]
    fn one_source_of_the_length_is_sound() {
        assert!(is_sound(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nContent-Length: 1"
        ));
        assert!(!is_sound(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 4\r\n\r\n"));
        assert!(!is_sound(b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!is_sound(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!is_sound(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"), "not to its end");
        assert!(!is_sound(b""));
    }
}
