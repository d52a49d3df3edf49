use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bech32::{ByteIterExt as _, Fe32, Fe32IterExt as _, Hrp};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::header::derive;
use super::*;
use crate::{Place, Reference};

const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// A file of the suite that all implementations share.
struct Vector {
    name: &'static str,
    about: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

impl Vector {
    fn read(line: &'static str) -> Self {
        let (name, text) = line.split_once(' ').unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        let end = bytes.windows(2).position(|both| both == b"\n\n").unwrap();
        let mut about = BTreeMap::<String, Vec<String>>::new();
        for line in String::from_utf8(bytes[..end].to_vec()).unwrap().lines() {
            let (key, value) = line.split_once(": ").unwrap();
            about.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        let file = bytes[end + 2..].to_vec();
        let file = match about.get("compressed").map(|how| how[0].as_str()) {
            None => file,
            Some("zlib") => miniz_oxide::inflate::decompress_to_vec_zlib(&file).unwrap(),
            Some(other) => panic!("{other}"),
        };
        Self { name, about, file }
    }

    fn only(&self, key: &str) -> &str {
        self.about.get(key).map_or("", |values| &values[0])
    }

    fn decrypt(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let given = self.about.get("identity").map_or_else(|| IDENTITY.to_owned(), |all| all.join("\n"));
        decrypt(&self.file, &Identities::parse(&given).unwrap())
    }
}

static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(|| {
    include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#')).map(Vector::read).collect()
});

fn vector(name: &str) -> Vec<u8> {
    VECTORS.iter().find(|vector| vector.name == name).unwrap().file.clone()
}

fn ours() -> Identities {
    Identities::parse(IDENTITY).unwrap()
}

#[test]
fn every_vector_of_the_shared_suite_comes_out_as_it_must() {
    assert_eq!(VECTORS.len(), 120);
    for vector in &*VECTORS {
        let (name, outcome) = (vector.name, vector.decrypt());
        let fault = outcome.as_ref().err().copied();
        let is_right = match vector.only("expect") {
            // What takes a passphrase is not read, however sound it is.
            "success" if name == "scrypt" => fault == Some(Fault::Passphrase),
            _ if name == "scrypt_and_x25519" || name == "scrypt_double" => matches!(fault, Some(Fault::Header(_))),
            _ if vector.about.contains_key("passphrase") && name != "scrypt_uppercase" => {
                matches!(fault, Some(Fault::Passphrase | Fault::Header(_)))
            }
            // The suite counts the nonce before the content to the header.
            _ if ["stream_no_nonce", "stream_short_nonce"].contains(&name) => fault == Some(Fault::Payload),
            "no match" => fault == Some(Fault::NoMatch),
            "success" => fault.is_none(),
            "HMAC failure" => fault == Some(Fault::Mac),
            "payload failure" => fault == Some(Fault::Payload),
            "header failure" => {
                matches!(fault, Some(Fault::Header(_) | Fault::NotAge | Fault::Version | Fault::Passphrase))
            }
            // What does not begin with armor is none to us.
            "armor failure" => matches!(fault, Some(Fault::Armor | Fault::NotAge)),
            other => panic!("{other}"),
        };
        assert!(is_right, "{name}: {} but {fault:?}", vector.only("expect"));
        if let Ok(content) = outcome {
            let digest = Sha256::digest(&*content);
            assert_eq!(format!("{:x}", bytes::Bytes::copy_from_slice(&digest)), vector.only("payload"), "{name}");
        }
    }
}

#[test]
fn what_is_no_file_of_age_is_called_so() {
    for (file, fault) in [
        (&b""[..], Fault::NotAge),
        (b"SECRET_KEY=x\n", Fault::NotAge),
        (b"age-encryption.org/v1", Fault::Version),
        (b"age-encryption.org/v2\n-> X25519 a\n", Fault::Version),
        (b"age-encryption.org/v1\n", Fault::Header("is cut off")),
        (
            b"age-encryption.org/v1\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
            Fault::Header("names no recipient"),
        ),
        (b"-----BEGIN AGE ENCRYPTED FILE-----", Fault::Armor),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n\xff\n-----END AGE ENCRYPTED FILE-----", Fault::Armor),
    ] {
        assert_eq!(decrypt(file, &ours()).err(), Some(fault), "{:?}", String::from_utf8_lossy(file));
    }
}

#[test]
fn headers_and_files_have_a_largest_size() {
    let line = b"-> kind argument\n\n";
    let header = [b"age-encryption.org/v1\n".to_vec(), line.repeat(5_000)].concat();
    assert_eq!(decrypt(&header, &ours()).err(), Some(Fault::Header("is larger than 64 KiB, or ends nowhere")));
    let endless = [b"age-encryption.org/v1\n-> ".to_vec(), vec![b'a'; 100_000]].concat();
    assert_eq!(decrypt(&endless, &ours()).err(), Some(Fault::Header("is larger than 64 KiB, or ends nowhere")));
    assert_eq!(decrypt(&vec![b'a'; MAX_AGE_BYTES + 1], &ours()).err(), Some(Fault::TooLarge));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.age");
    fs::write(&path, vec![b'a'; MAX_AGE_BYTES + 1]).unwrap();
    assert!(matches!(read_text(&path, &ours()), Err(Why::Unusable(why)) if why.contains("1 MiB")));
}

/// Many recipients that are not ours: the work is bounded by the size of a header.
#[test]
fn as_many_recipients_as_a_header_holds_are_tried_within_seconds() {
    let sound = String::from_utf8_lossy(&vector("x25519_no_match")).into_owned();
    let recipient = sound[sound.find("-> ").unwrap()..sound.find("---").unwrap()].to_owned();
    let many = recipient.repeat(60_000 / recipient.len());
    let mac = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let file = format!("age-encryption.org/v1\n{many}--- {mac}\n");
    assert_eq!(decrypt(file.as_bytes(), &ours()).err(), Some(Fault::NoMatch));
}

#[test]
fn no_byte_of_a_file_can_be_changed_taken_away_or_added() {
    let sound = vector("x25519");
    let content = decrypt(&sound, &ours()).unwrap();
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut changed = sound.clone();
            changed[at] ^= 1 << bit;
            assert!(decrypt(&changed, &ours()).is_err(), "bit {bit} of byte {at}");
        }
        assert!(decrypt(&sound[..at], &ours()).is_err(), "cut at {at}");
        let mut shorter = sound.clone();
        shorter.remove(at);
        assert!(decrypt(&shorter, &ours()).is_err(), "without byte {at}");
    }
    assert!(decrypt(&[&sound[..], b"\0"].concat(), &ours()).is_err());
    assert_eq!(*decrypt(&sound, &ours()).unwrap(), *content);
}

/// What is not as the suite has it, made by hand: the same file key, another content.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut file = vector("x25519");
    let end = file.windows(5).position(|five| five == b"\n--- ").unwrap() + 5 + 43 + 1;
    file.truncate(end);
    let mut key = [0; 32];
    derive(b"YELLOW SUBMARINE", &[7; 16], b"payload", &mut key);
    let cipher = ChaCha20Poly1305::new((&key).into());
    file.extend([7; 16]);
    let chunks: Vec<&[u8]> = if content.is_empty() { vec![b""] } else { content.chunks(64 * 1024).collect() };
    for (number, chunk) in chunks.iter().enumerate() {
        let mut nonce = Nonce::default();
        nonce[10] = u8::try_from(number).unwrap();
        nonce[11] = u8::from(number + 1 == chunks.len());
        let mut text = chunk.to_vec();
        let tag = cipher.encrypt_inout_detached(&nonce, &[], text.as_mut_slice().into()).unwrap();
        file.extend(text);
        file.extend(tag);
    }
    file
}

#[test]
fn content_comes_back_whatever_its_length() {
    const CHUNK: usize = 64 * 1024;
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let content = vec![b'a'; length];
        assert!(*decrypt(&sealed(&content), &ours()).unwrap() == content, "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutilated_file_gives_nothing_and_no_panic(
        which in 0..120_usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
    ) {
        let vector = &VECTORS[which];
        let sound = vector.decrypt().ok();
        let mut file = vector.file.clone();
        for (at, byte, how) in edits {
            let at = at.index(file.len() + 1);
            match how {
                0 if at < file.len() => file[at] = byte,
                1 if at < file.len() => drop(file.remove(at)),
                2 => file.insert(at, byte),
                _ => {}
            }
        }
        let armored = vector.about.contains_key("armored");
        if let Ok(opened) = decrypt(&file, &ours()) {
            // White space around armor may change; nothing else may.
            prop_assert!(file == vector.file || armored);
            prop_assert!(Some(&*opened) == sound.as_deref());
        }
    }

    #[test]
    fn no_text_makes_identities_panic(text in "\\PC{0,120}", line in "AGE-SECRET-KEY-1[A-Z0-9]{0,70}") {
        let _ = Identities::parse(&text);
        prop_assert!(Identities::parse(&line).is_err());
    }
}

#[test]
fn identities_are_read_as_age_keygen_writes_them() {
    let text = format!("# created: 2026-01-01T00:00:00Z\r\n# public key: age1…\r\n\r\n{IDENTITY}\r\n\n");
    assert_eq!(format!("{:?}", Identities::parse(&text).unwrap()), "1 [secret]");
    let lower = IDENTITY.to_lowercase();
    let mixed = IDENTITY.replace("EGTZ", "egtz");
    let wrong = IDENTITY.replace("LM0", "LM2");
    let short = bech32_of(&[7; 31]);
    let long = bech32_of(&[7; 33]);
    for (text, fault) in [
        ("", BadIdentities::None),
        ("# nothing\n\n", BadIdentities::None),
        (lower.as_str(), BadIdentities::Malformed(1)),
        (mixed.as_str(), BadIdentities::Malformed(1)),
        (wrong.as_str(), BadIdentities::Malformed(1)),
        (short.as_str(), BadIdentities::Malformed(1)),
        (long.as_str(), BadIdentities::Malformed(1)),
        ("#\nMARKER", BadIdentities::Malformed(2)),
        ("AGE-PLUGIN-YUBIKEY-1MARKER", BadIdentities::Plugin(1)),
        ("AGE-SECRET-KEY-PQ-1MARKER", BadIdentities::Kind(1)),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMARKER", BadIdentities::Ssh(1)),
        ("age-encryption.org/v1\n-> scrypt", BadIdentities::Encrypted),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", BadIdentities::Encrypted),
    ] {
        let found = Identities::parse(text).unwrap_err();
        assert_eq!(found, fault, "{text}");
        assert!(!found.to_string().contains("MARKER"));
    }
    let many = |count: usize| Identities::parse(&vec![IDENTITY; count].join("\n")).map(drop);
    assert_eq!((many(MAX_IDENTITIES), many(MAX_IDENTITIES + 1)), (Ok(()), Err(BadIdentities::TooMany)));
}

fn bech32_of(bytes: &[u8]) -> String {
    written(bytes.iter().copied().bytes_to_fes())
}

fn written(letters: impl Iterator<Item = Fe32>) -> String {
    let hrp = Hrp::parse("age-secret-key-").unwrap();
    let text: String = letters.with_checksum::<bech32::Bech32>(&hrp).chars().collect();
    text.to_uppercase()
}

/// Of 52 letters the last has four bits that mean nothing: set, they would be a second way to write the same key.
#[test]
fn an_identity_is_written_in_one_way_only() {
    let mut letters = [Fe32::Q; 52];
    letters[51] = Fe32::try_from(16_u8).unwrap();
    assert!(Identities::parse(&written(letters.iter().copied())).is_ok());
    for bits in 17..32_u8 {
        letters[51] = Fe32::try_from(bits).unwrap();
        assert!(Identities::parse(&written(letters.iter().copied())).is_err(), "{bits}");
    }
}

fn follow(content: &[u8], reference: &str) -> Result<String, Why> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.age"), sealed(content)).unwrap();
    let place = Place { directory: folder.path(), environment: &[], identities: &Ok(ours()) };
    let reference = Reference::parse(reference).unwrap().unwrap();
    let found = place.follow(&reference).unwrap()?;
    assert!(found.current.created.is_some() && found.previous.is_none() && found.next.is_none());
    Ok(found.current.value.expose().clone())
}

#[test]
fn a_field_is_a_name_of_dotenv_or_a_member_of_json() {
    let dotenv = b"# ours\nexport A=one\nb = 'two # 2' # comment\nA=\"th\\\"ree\\n4\"\nEMPTY=\n";
    assert_eq!(follow(dotenv, "age:s.age#A").unwrap(), "th\"ree\n4");
    assert_eq!(follow(dotenv, "age:s.age#B").unwrap(), "two # 2");
    assert!(matches!(follow(dotenv, "age:s.age#C"), Err(Why::NotFound(_))));
    assert!(matches!(follow(dotenv, "age:s.age#EMPTY"), Err(Why::Unusable(_))));
    let json = br#" {"A": "one", "n": 1}"#;
    assert_eq!(follow(json, "age:s.age#A").unwrap(), "one");
    assert!(matches!(follow(json, "age:s.age#a"), Err(Why::NotFound(_))));
    assert!(matches!(follow(json, "age:s.age#n"), Err(Why::Unusable(_))));
}

#[test]
fn without_a_field_the_whole_text_is_the_secret_but_for_its_last_newline() {
    for (content, secret) in [
        ("the key\n", "the key"),
        ("the key\r\n", "the key"),
        ("a\n\n", "a\n"),
        ("a\r", "a\r"),
        ("{\"a\":1}", "{\"a\":1}"),
    ] {
        assert_eq!(follow(content.as_bytes(), "age:s.age").unwrap(), secret, "{content:?}");
    }
    assert!(matches!(follow(b"", "age:s.age"), Err(Why::Unusable(_))));
    assert!(matches!(follow(b"\n", "age:s.age"), Err(Why::Unusable(_))));
    assert!(matches!(follow(&vec![b'a'; 65 * 1024], "age:s.age"), Err(Why::Unusable(_))));
}

#[test]
fn each_fault_keeps_its_meaning_and_repeats_nothing() {
    let unreadable = follow(b"A=1\nMARKER\n", "age:s.age#A").unwrap_err();
    assert!(unreadable.to_string().contains("line 2") && !unreadable.to_string().contains("MARKER"), "{unreadable}");
    assert!(matches!(follow(b"A=\xff", "age:s.age#A"), Err(Why::Unusable(_))));
    assert!(matches!(follow(b"A=1", "age:none.age#A"), Err(Why::NotFound(_))));
    assert!(matches!(follow(b"A=1", "age:."), Err(Why::Unusable(_))));
    assert!(matches!(Why::from(Fault::NoMatch), Why::Denied(_)));
}
