//! The name that somebody gave a file: kept for people, never for the disk.

/// Longest name, bytes.
const MAX_BYTES: usize = 255;

/// What is left of a sent name once nothing in it can mislead: no path, no control characters, no letters that turn the writing around,
/// nothing that a file system takes for something else. `None` when there was no name.
pub(super) fn clean(sent: &str) -> Option<String> {
    if sent.trim().is_empty() {
        return None;
    }
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).map(harmless).collect();
    let plain = plain.trim_matches(|c: char| c.is_whitespace() || c == '.');
    if plain.is_empty() {
        return Some("file".to_owned());
    }
    let named = if is_device(plain) { format!("_{plain}") } else { plain.to_owned() };
    Some(shortened(&named))
}

/// The part after the last dot, in lower case; `None` when there is none.
pub(super) fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then(|| extension.to_ascii_lowercase())
}

/// The name with another extension.
pub(super) fn with_extension(name: &str, extension: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    shortened(&format!("{}.{extension}", if stem.is_empty() { "file" } else { stem }))
}

/// Marks that steer the direction of writing (U+202E makes `exe.png` of `gnp.exe`), that have no width, or that end a line.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn harmless(c: char) -> char {
    if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c }
}

/// Names that Windows takes for devices, whatever their extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |head: &str| {
        stem.len() == 4
            && stem.is_char_boundary(3)
            && stem[..3].eq_ignore_ascii_case(head)
            && stem.as_bytes()[3].is_ascii_digit()
    };
    ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device))
        || numbered("com")
        || numbered("lpt")
}

/// Cut in its stem, so that the extension stays.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let tail = name.rfind('.').map(|at| &name[at..]).filter(|tail| tail.len() <= 32).unwrap_or_default();
    format!("{}{tail}", &name[..name.floor_char_boundary(MAX_BYTES - tail.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS 5.3.2, 5.4.2.
    #[test]
    fn a_name_is_only_a_name() {
        for (sent, kept) in [
            ("a.txt", "a.txt"),
            ("../../evil.html", "evil.html"),
            ("..\\..\\evil.html", "evil.html"),
            ("/etc/passwd", "passwd"),
            ("C:\\autoexec.bat", "autoexec.bat"),
            ("a\0b.txt", "ab.txt"),
            ("a\r\nSet-Cookie: x=y.txt", "aSet-Cookie_ x=y.txt"),
            ("photo\u{202e}gnp.exe", "photognp.exe"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.log", "_com1.log"),
            ("common.log", "common.log"),
            (".htaccess", "htaccess"),
            ("...", "file"),
            ("a/", "file"),
            ("\u{200b}", "file"),
            ("a \"b\".png", "a _b_.png"),
            ("Grüße 😀.png", "Grüße 😀.png"),
        ] {
            assert_eq!(clean(sent).as_deref(), Some(kept), "{sent:?}");
        }
        assert_eq!(clean(""), None);
        assert_eq!(clean("  "), None);
        let long = clean(&format!("{}.png", "ü".repeat(5000))).unwrap();
        assert!(long.len() <= MAX_BYTES && long.ends_with("ü.png"), "{long}");
    }

    #[test]
    fn an_extension_follows_the_last_dot() {
        assert_eq!(extension("a.tar.GZ").as_deref(), Some("gz"));
        assert_eq!(extension("README"), None);
        assert_eq!(with_extension("a.b.png", "jpg"), "a.b.jpg");
    }
}
