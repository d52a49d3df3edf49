//! A secret from a file: `X_FILE` variables, Docker and Kubernetes secrets.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Secret};

/// The largest secret file read, in bytes (64 KiB).
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// Reads the secret that is the whole content of the file at `path`.
///
/// Exactly one trailing newline (`\n` or `\r\n`) is not part of the secret; nothing else is trimmed
/// or decoded. The file is read once: a caller that wants to follow changes reads it again.
///
/// # Errors
/// Each [`Error`] names the path and what to do; none carries any of the content.
pub fn read_file(path: impl AsRef<Path>) -> Result<Secret<String>, Error> {
    let path = path.as_ref();
    let mut bytes = read_bytes(path, MAX_FILE_BYTES)?;
    let mut bytes = std::mem::take(&mut *bytes);
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Err(Error::Empty(path.into())),
        Ok(mut text) => {
            let exact = Secret::new(text.as_str().to_owned());
            text.zeroize();
            Ok(exact)
        }
        Err(fault) => {
            fault.into_bytes().zeroize();
            Err(Error::NotText(path.into()))
        }
    }
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_bytes(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let refused = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => Error::NotFound(path.into()),
        ErrorKind::PermissionDenied => Error::PermissionDenied(path.into()),
        ErrorKind::IsADirectory => Error::IsFolder(path.into()),
        _ => Error::Unreadable { path: path.into(), source },
    };
    refuse_pipe(path).map_err(refused)?;
    let file = File::open(path).map_err(refused)?;
    // Sized for the whole limit at once, so that growing never leaves a copy behind in freed
    // memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    let most = u64::try_from(limit + 1).expect("limits of files fit into 64 bits");
    file.take(most).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() > limit { Err(Error::TooLarge(path.into())) } else { Ok(bytes) }
}

/// A pipe is waited for until somebody writes, for ever if need be, and gives its content once: it cannot be looked at again.
fn refuse_pipe(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&std::fs::metadata(path)?.file_type()) {
        return Err(io::Error::other("it is a pipe, write the secret into a file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join("secret");
            fs::write(&path, content).unwrap();
            path
        }
    }

    #[test]
    fn exactly_one_trailing_newline_is_cut() {
        let folder = Folder::new();
        for (content, secret) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\r\n", "abc"),
            ("abc\n\n", "abc\n"),
            ("abc \n", "abc "),
            ("\nabc", "\nabc"),
            ("a\nb\n", "a\nb"),
            ("abc\r", "abc\r"),
            ("schlüssel\n", "schlüssel"),
        ] {
            assert_eq!(read_file(folder.file(content)).unwrap().expose(), secret, "{content:?}");
        }
    }

    #[test]
    fn the_limit_is_64_kib_and_not_one_byte_more() {
        let folder = Folder::new();
        let at = read_file(folder.file(vec![b'a'; MAX_FILE_BYTES])).unwrap();
        assert_eq!(at.expose().len(), MAX_FILE_BYTES);
        let past = read_file(folder.file(vec![b'a'; MAX_FILE_BYTES + 1]));
        assert!(matches!(past, Err(Error::TooLarge(_))));
    }

    #[test]
    fn each_fault_has_its_own_error() {
        let folder = Folder::new();
        assert!(matches!(read_file(folder.0.path().join("none")), Err(Error::NotFound(_))));
        assert!(matches!(read_file(folder.0.path()), Err(Error::IsFolder(_))));
        for empty in ["", "\n", "\r\n"] {
            assert!(matches!(read_file(folder.file(empty)), Err(Error::Empty(_))));
        }
        assert!(matches!(read_file(folder.file([b'a', 0xff])), Err(Error::NotText(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = Folder::new();
        let path = folder.0.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (done, read) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(read_file(path).unwrap_err().to_string()));
        let said = read.recv_timeout(std::time::Duration::from_secs(10)).expect("it is not waited for");
        assert!(said.contains("it is a pipe"), "{said}");
    }

    #[test]
    fn an_error_names_the_file_and_the_remedy_but_no_content() {
        let folder = Folder::new();
        let mut content = b"MARKER".to_vec();
        content.push(0xff);
        let fault = read_file(folder.file(content)).unwrap_err();
        let text = format!("{fault} {fault:?}");
        assert!(text.contains("secret") && text.contains("hex or base64"));
        assert!(!text.contains("MARKER"));
    }
}
