//! A text as a QR code in a `data:` address, so that a page shows it without asking anybody.
//!
//! The image is a grey-scale PNG (RFC 2083) of one bit a pixel, its data stored and not compressed (RFC 1951 section 3.2.4): some
//! kilobytes, and no image library.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcodegen::{QrCode, QrCodeEcc};

/// Pixels of a module.
const SCALE: usize = 4;
/// Modules of white around the code (ISO/IEC 18004).
const MARGIN: i32 = 4;
/// Bytes of a stored block.
const BLOCK: usize = 65_535;

/// The address of the image; `None` for a text that no QR code holds.
pub fn data_url(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png(&code))))
}

fn png(code: &QrCode) -> Vec<u8> {
    let modules = usize::try_from(code.size() + 2 * MARGIN).expect("a code has a size");
    let side = modules * SCALE;
    let is_dark = |module: usize| i32::try_from(module).map_or(-1, |at| at - MARGIN);
    let mut rows = Vec::with_capacity(side * (side / 8 + 2));
    for y in 0..side {
        // No filter.
        rows.push(0);
        for byte in 0..side.div_ceil(8) {
            let bits = (0..8).fold(0_u8, |bits, bit| {
                let x = byte * 8 + bit;
                let dark = code.get_module(is_dark(x / SCALE), is_dark(y / SCALE));
                bits << 1 | u8::from(!dark)
            });
            rows.push(bits);
        }
    }
    let side = u32::try_from(side).expect("a code has at most 177 modules");
    let mut header = Vec::new();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    // One bit, grey, and the only compression, filter and interlace there are.
    header.extend([1, 0, 0, 0, 0]);
    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut image, *b"IHDR", &header);
    chunk(&mut image, *b"IDAT", &stored(&rows));
    chunk(&mut image, *b"IEND", &[]);
    image
}

fn chunk(image: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    image.extend(u32::try_from(data.len()).expect("a few kilobytes").to_be_bytes());
    let begin = image.len();
    image.extend(kind);
    image.extend(data);
    let checksum = crc32(&image[begin..]);
    image.extend(checksum.to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        stream.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).expect("a block is cut to this");
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_those_of_the_standards() {
        // The check value of CRC-32/ISO-HDLC, and the CRC of an empty IEND chunk.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        // Adler-32 of RFC 1950's own example word.
        assert_eq!(stored(b"Wikipedia")[2 + 5 + 9..], 0x11e6_0398_u32.to_be_bytes());
    }

    #[test]
    fn the_image_is_a_png_of_the_code_and_its_margin() {
        let url = data_url("otpauth://totp/a:b?secret=c").unwrap();
        let image = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert!(image.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
        let side = u32::from_be_bytes(image[16..20].try_into().unwrap());
        assert_eq!(side % u32::try_from(SCALE).unwrap(), 0);
        // First row: no filter, then white.
        assert_eq!(&image[48..51], [0, 0xff, 0xff]);
        assert!(data_url(&"x".repeat(5_000)).is_none());
    }
}
