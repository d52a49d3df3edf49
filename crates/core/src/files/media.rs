//! What a file is, by its content. What its sender says must agree with that, and is believed in nothing else.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use regex::bytes::Regex;
use std::sync::OnceLock;

/// What is looked at to tell the kind, bytes.
const HEAD: usize = 8 * 1024;
/// What is read at a time, and how much of it is looked at again with the next: longer than any sign.
const PIECE: usize = 64 * 1024;
const OVERLAP: usize = 32;
/// What nobody can name.
pub(super) const UNKNOWN: &str = "application/octet-stream";
/// A ZIP archive ends with this record, its comment included: 22 bytes and at most 65 535 more.
const ZIP_END: &[u8] = b"PK\x05\x06";
const ZIP_TAIL: u64 = 22 + 65_535;

/// A media type, the extensions that go with it (the first is given to files of ours), and its other spellings.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const KNOWN: [Row; 24] = [
    ("image/jpeg", &["jpg", "jpeg", "jpe", "jfif"], &["image/jpg", "image/pjpeg"]),
    ("image/png", &["png", "apng"], &["image/x-png", "image/apng"]),
    ("image/gif", &["gif"], &[]),
    ("image/webp", &["webp"], &[]),
    ("image/avif", &["avif"], &[]),
    ("image/bmp", &["bmp"], &["image/x-ms-bmp"]),
    ("image/tiff", &["tiff", "tif"], &[]),
    ("image/svg+xml", &["svg"], &[]),
    ("application/pdf", &["pdf"], &["application/x-pdf"]),
    ("application/zip", &["zip"], &["application/x-zip", "application/x-zip-compressed"]),
    ("application/gzip", &["gz", "tgz"], &["application/x-gzip"]),
    ("application/json", &["json"], &[]),
    ("text/plain", &["txt", "text", "log", "md", "markdown"], &["text/markdown", "text/x-markdown", "text/x-log"]),
    ("text/csv", &["csv"], &["text/x-csv", "application/csv", "application/vnd.ms-excel", "text/plain"]),
    ("text/html", &["html", "htm"], &[]),
    ("text/xml", &["xml"], &["application/xml"]),
    ("video/mp4", &["mp4", "m4v"], &["video/x-m4v"]),
    ("video/webm", &["webm"], &[]),
    ("audio/mpeg", &["mp3"], &["audio/mp3"]),
    ("audio/wav", &["wav"], &["audio/x-wav", "audio/wave"]),
    ("audio/ogg", &["ogg", "oga", "opus"], &["application/ogg"]),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"], &[]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"], &[]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"], &[]),
];

/// Types whose content a browser would run, or read as a document that runs something.
pub(super) fn is_active(media_type: &str) -> bool {
    let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
    subtype == "html"
        || subtype == "xml"
        || subtype.ends_with("+xml")
        || subtype.contains("javascript")
        || subtype.contains("ecmascript")
        || subtype.contains("shockwave")
        || (kind == "text" && !matches!(subtype, "plain" | "csv"))
}

/// The same type, if it is one that we know.
pub(super) fn served_as(media_type: &str) -> &'static str {
    KNOWN.iter().find(|(name, ..)| *name == media_type).map_or(UNKNOWN, |(name, ..)| name)
}

/// What a file of ours of this type is called behind the dot.
pub(super) fn extension_of(media_type: &str) -> &'static str {
    let row = KNOWN.iter().find(|(name, ..)| *name == media_type);
    row.and_then(|(_, extensions, _)| extensions.first().copied()).unwrap_or("bin")
}

/// What a file is: its type, as its bytes say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A format with signs of its own, and the extension that goes with it where we know no other.
    Format { media_type: &'static str, extension: &'static str },
    /// UTF-8 without control characters: what kind of text is for its name to say.
    Text,
    /// Several things at once, or none that we know.
    Unknown,
}

/// Where sender and content disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    Extension,
    Declared,
}

impl Content {
    /// The media type, if extension and declared type agree with it. Neither has to be there; `application/octet-stream` declares nothing.
    pub(super) fn media_type(
        &self,
        extension: Option<&str>,
        declared: Option<&str>,
    ) -> Result<&'static str, (&'static str, Mismatch)> {
        let (media_type, own) = match self {
            Self::Format { media_type, extension } => (*media_type, Some(*extension)),
            Self::Text => (text_type(extension), None),
            Self::Unknown => return Ok(UNKNOWN),
        };
        let row = KNOWN.iter().find(|(name, ..)| *name == media_type);
        let fits = |extension: &str| {
            own == Some(extension) || row.is_some_and(|(_, extensions, _)| extensions.contains(&extension))
        };
        if extension.is_some_and(|extension| !fits(extension)) {
            return Err((media_type, Mismatch::Extension));
        }
        let says = declared.map(essence).filter(|declared| !declared.is_empty() && declared != UNKNOWN);
        let agrees =
            |declared: &str| declared == media_type || row.is_some_and(|(_, _, aliases)| aliases.contains(&declared));
        match says {
            Some(declared) if !agrees(&declared) => Err((media_type, Mismatch::Declared)),
            _ => Ok(media_type),
        }
    }
}

fn text_type(extension: Option<&str>) -> &'static str {
    match extension {
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        _ => "text/plain",
    }
}

/// A media type without its parameters, in lower case.
fn essence(declared: &str) -> String {
    declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Looks at files.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// Beginnings of other things that have no business inside a picture. Made for the first picture: a server starts without.
    foreign: OnceLock<Regex>,
}

impl Inspector {
    fn foreign(&self) -> &Regex {
        self.foreign.get_or_init(|| {
            let foreign = Regex::new(r"(?i-u)<script|<html|<!doctype|<iframe|<svg|<\?php|%PDF-1");
            foreign.expect("the pattern is fixed")
        })
    }

    /// What a file is. Reads it once or twice from its beginning; waits for the disk.
    pub(super) fn inspect(&self, mut file: &File) -> io::Result<Content> {
        file.rewind()?;
        let mut head = Vec::with_capacity(HEAD);
        Read::by_ref(&mut file).take(HEAD as u64).read_to_end(&mut head)?;
        let sniffed = infer::get(&head);
        if let Some(format) = sniffed.filter(|sniffed| !is_textual(sniffed.mime_type())) {
            let is_picture = format.mime_type().starts_with("image/");
            let doubtful = is_picture && self.finds_foreign(file)?;
            let closed = matches!(format.mime_type(), "application/pdf") || is_picture;
            if doubtful || (closed && ends_as_zip(file)?) {
                return Ok(Content::Unknown);
            }
            if !is_text(file)? {
                return Ok(Content::Format { media_type: format.mime_type(), extension: format.extension() });
            }
            // Letters that happen to be a sign, or a format made of letters.
            return Ok(match format.mime_type() {
                media_type @ ("application/pdf" | "application/rtf" | "application/postscript") => {
                    Content::Format { media_type, extension: format.extension() }
                }
                _ => Content::Text,
            });
        }
        if !is_text(file)? {
            return Ok(Content::Unknown);
        }
        Ok(markup(&head).unwrap_or(Content::Text))
    }

    fn finds_foreign(&self, mut file: &File) -> io::Result<bool> {
        file.rewind()?;
        let (mut buffer, mut kept) = (vec![0; PIECE + OVERLAP], 0);
        loop {
            let read = file.read(&mut buffer[kept..])?;
            if read == 0 {
                return Ok(false);
            }
            let filled = kept + read;
            if self.foreign().is_match(&buffer[..filled]) {
                return Ok(true);
            }
            let from = filled.saturating_sub(OVERLAP);
            buffer.copy_within(from..filled, 0);
            kept = filled - from;
        }
    }
}

fn is_textual(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/xml"
}

/// What a text is that begins as a document does. Further in it is text that speaks of markup, and served as text it does nothing.
fn markup(head: &[u8]) -> Option<Content> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let head = String::from_utf8_lossy(&head[..head.len().min(1024)]).to_ascii_lowercase();
    let (media_type, extension) = if head.starts_with("#!") {
        ("text/x-shellscript", "sh")
    } else if !head.starts_with('<') {
        return None;
    } else if head.starts_with("<svg") || (head.starts_with("<?xml") && head.contains("<svg")) {
        ("image/svg+xml", "svg")
    } else if head.starts_with("<?xml") {
        ("text/xml", "xml")
    } else if head.starts_with("<?php") {
        ("application/x-php", "php")
    } else {
        // Any other tag, or a comment, is how a page may begin.
        let second = head.as_bytes().get(1).copied().unwrap_or_default();
        if !(second.is_ascii_alphabetic() || matches!(second, b'!' | b'/' | b'?')) {
            return None;
        }
        ("text/html", "html")
    };
    Some(Content::Format { media_type, extension })
}

/// Whether all of it is UTF-8 without control characters.
fn is_text(mut file: &File) -> io::Result<bool> {
    file.rewind()?;
    let (mut buffer, mut kept) = (vec![0; PIECE + 4], 0);
    loop {
        let read = file.read(&mut buffer[kept..])?;
        let filled = kept + read;
        if read == 0 {
            return Ok(kept == 0);
        }
        let valid = match std::str::from_utf8(&buffer[..filled]) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        let control =
            |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)) || *byte == 0x7f;
        if buffer[..valid].iter().any(control) {
            return Ok(false);
        }
        buffer.copy_within(valid..filled, 0);
        kept = filled - valid;
    }
}

/// Whether a reader of archives would open it from its end.
fn ends_as_zip(mut file: &File) -> io::Result<bool> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(ZIP_TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    Read::by_ref(&mut file).take(ZIP_TAIL).read_to_end(&mut tail)?;
    let ends = |at: usize| {
        let comment = tail.get(at + 20..at + 22).map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])));
        comment.is_some_and(|comment| at + 22 + comment <= tail.len())
    };
    Ok(tail.windows(ZIP_END.len()).enumerate().any(|(at, sign)| sign == ZIP_END && ends(at)))
}

#[cfg(test)]
mod tests;
