use std::io::Write;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";
const PDF: &[u8] = b"%PDF-1.7\n\x80\x81\x82\n";

fn content(bytes: &[u8]) -> Content {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Inspector::default().inspect(&file).unwrap()
}

fn media_type(bytes: &[u8]) -> &'static str {
    content(bytes).media_type(None, None).unwrap()
}

#[test]
fn the_content_says_what_a_file_is() {
    for (bytes, wanted) in [
        (PNG, "image/png"),
        (GIF, "image/gif"),
        (PDF, "application/pdf"),
        (b"PK\x03\x04\x14\0\0\0\0\0", "application/zip"),
        (b"hello file", "text/plain"),
        ("Grüße".as_bytes(), "text/plain"),
        (b"", "text/plain"),
        (b"BM is how this begins", "text/plain"),
        (b"a\0b", UNKNOWN),
        (b"\xff\xfe\x00", UNKNOWN),
        (b"caf\xe9", UNKNOWN),
        (b"<html><script>alert(1)</script>", "text/html"),
        (b"  \n<!DOCTYPE html>", "text/html"),
        (b"<script>alert(1)</script>", "text/html"),
        (b"<!-- --><b>", "text/html"),
        (b"\xef\xbb\xbf<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<svg/>", "image/svg+xml"),
        (b"<?xml version='1.0'?><x/>", "text/xml"),
        (b"<?php echo 1;", "application/x-php"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"< 5 apples", "text/plain"),
    ] {
        assert_eq!(media_type(bytes), wanted, "{}", String::from_utf8_lossy(bytes));
    }
}

/// A character that lies across two pieces is one character.
#[test]
fn a_long_text_is_read_to_its_end() {
    for shift in 0..4 {
        let mut text = "a".repeat(PIECE - shift);
        text.push_str(&"€".repeat(PIECE));
        assert_eq!(media_type(text.as_bytes()), "text/plain");
        assert_eq!(media_type(&[text.as_bytes(), b"\0"].concat()), UNKNOWN);
        assert_eq!(media_type(&[text.as_bytes(), b"\xe2\x82"].concat()), UNKNOWN, "half a character");
    }
}

/// What is two things at once is neither (R138).
#[test]
fn a_polyglot_is_nothing_we_know() {
    let archive = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    let far = [PNG, &vec![b'.'; PIECE - PNG.len() - 3], b"<ScRiPt>alert(1)</script>"].concat();
    for bytes in [
        [GIF, b"<script>alert(1)</script>"].concat(),
        [PNG, b"<?php system($_GET[0]); ?>"].concat(),
        [PNG, b"%PDF-1.4"].concat(),
        [PNG, archive.as_slice()].concat(),
        [PDF, archive.as_slice()].concat(),
        far,
    ] {
        assert_eq!(content(&bytes), Content::Unknown, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_the_sender_says_must_agree() {
    let png = content(PNG);
    for (extension, declared, wanted) in [
        (None, None, Ok("image/png")),
        (Some("png"), Some("image/png"), Ok("image/png")),
        (Some("png"), Some("application/octet-stream"), Ok("image/png")),
        (Some("png"), Some("IMAGE/PNG; x=y"), Ok("image/png")),
        (Some("html"), Some("image/png"), Err(Mismatch::Extension)),
        (Some("php"), None, Err(Mismatch::Extension)),
        (Some("jpg"), None, Err(Mismatch::Extension)),
        (Some("png"), Some("text/html"), Err(Mismatch::Declared)),
    ] {
        let found = png.media_type(extension, declared).map_err(|(_, why)| why);
        assert_eq!(found, wanted, "{extension:?} {declared:?}");
    }
    for (extension, declared, wanted) in [
        (Some("txt"), Some("text/plain"), Ok("text/plain")),
        (Some("csv"), Some("text/csv"), Ok("text/csv")),
        (Some("csv"), Some("application/vnd.ms-excel"), Ok("text/csv")),
        (Some("md"), Some("text/markdown"), Ok("text/plain")),
        (Some("html"), Some("text/plain"), Err(Mismatch::Extension)),
        (Some("js"), None, Err(Mismatch::Extension)),
        (Some("txt"), Some("text/html"), Err(Mismatch::Declared)),
        (Some("txt"), Some("text/javascript"), Err(Mismatch::Declared)),
    ] {
        let found = Content::Text.media_type(extension, declared).map_err(|(_, why)| why);
        assert_eq!(found, wanted, "{extension:?} {declared:?}");
    }
}

#[test]
fn what_a_browser_would_run_is_active() {
    for active in [
        "text/html",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "application/xhtml+xml",
        "text/javascript",
        "text/css",
    ] {
        assert!(is_active(active), "{active}");
    }
    for inert in ["image/png", "text/plain", "text/csv", "application/pdf", "application/json", UNKNOWN] {
        assert!(!is_active(inert), "{inert}");
    }
}
