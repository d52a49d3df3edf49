//! Pictures: decoded within limits, and made smaller. What comes out is JPEG on white, upright, without any of the metadata that came in.
//!
//! Decoding is dear and its input is a stranger's: the size is read before anything is decoded, memory is capped, a small pool does the
//! work, and a decoder that panics costs one upload.

use std::fmt;
use std::io::{BufRead, Seek};
use std::sync::Arc;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage, RgbaImage};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Most pixels of a picture.
const MAX_PIXELS: u64 = 40_000_000;
/// Most memory of one decoder, bytes: 16 bits of four channels a pixel, and something to work with.
const MAX_MEMORY: u64 = 8 * MAX_PIXELS + 64 * 1024 * 1024;
/// Pictures worked on at once, and those that may wait.
const WORKERS: usize = 2;
const QUEUE: usize = 64;
/// Longest work on one picture. What takes longer goes on in its place, and nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a picture cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not a picture of its kind, or a damaged one.
    Damaged,
    TooLarge,
}

/// How a picture is made to fill the size asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Cut to its proportions, from the middle, the top or the bottom.
    Middle,
    Top,
    Bottom,
    /// Whole, on white.
    Whole,
}

/// A size that a picture may be asked for in: `100x100`, `100x100f`, `0x100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thumb {
    /// 0: as the other side has it.
    width: u32,
    height: u32,
    fit: Fit,
}

impl Thumb {
    /// Reads `^\d+x\d+[fbt]?$`; not both may be 0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (size, fit) = match text.strip_suffix(['f', 't', 'b']) {
            Some(size) if text.ends_with('f') => (size, Fit::Whole),
            Some(size) if text.ends_with('t') => (size, Fit::Top),
            Some(size) => (size, Fit::Bottom),
            None => (text, Fit::Middle),
        };
        let (width, height) = size.split_once('x')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let thumb = Self { width: number(width)?, height: number(height)?, fit };
        (thumb.width > 0 || thumb.height > 0).then_some(thumb)
    }

    /// Whether it is one of those that every picture is offered in.
    pub(super) fn is_among(self, sides: &[u32]) -> bool {
        match (self.width, self.height) {
            (side, 0) | (0, side) => sides.contains(&side),
            (width, height) => width == height && sides.contains(&width),
        }
    }

    /// Whether it is of the size that this text names.
    pub(super) fn is_size_of(self, text: &str) -> bool {
        Self::parse(text).is_some_and(|other| (other.width, other.height) == (self.width, self.height))
    }
}

impl fmt::Display for Thumb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = match self.fit {
            Fit::Middle => "",
            Fit::Top => "t",
            Fit::Bottom => "b",
            Fit::Whole => "f",
        };
        write!(f, "{}x{}{fit}", self.width, self.height)
    }
}

/// The kind of picture that a media type names, if it is one that can be decoded here.
pub(super) fn format_of(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// A picture (of a moving one, the first), turned as its camera says.
pub(super) fn decode(source: impl BufRead + Seek, format: ImageFormat) -> Result<DynamicImage, Unusable> {
    let mut reader = ImageReader::with_format(source, format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let unusable = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => Unusable::TooLarge,
        _ => Unusable::Damaged,
    };
    let mut decoder = reader.into_decoder().map_err(unusable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Unusable::TooLarge);
    }
    let orientation = decoder.orientation().map_err(unusable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unusable)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// What generated pictures must keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ceiling {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Of JPEG, 1 to 100.
    pub(super) quality: u8,
}

/// The picture with its longest side at most `side`, as JPEG.
pub(super) fn within(picture: &DynamicImage, side: u32, ceiling: Ceiling) -> Vec<u8> {
    let (width, height) = proportional(picture.dimensions(), (side.min(ceiling.width), side.min(ceiling.height)));
    jpeg(&scaled(picture, (0, 0, picture.width(), picture.height()), width, height), ceiling)
}

/// The picture in the size asked for, as JPEG.
pub(super) fn render(picture: &DynamicImage, thumb: Thumb, ceiling: Ceiling) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let whole = (0, 0, width, height);
    let (asked_width, asked_height) = (thumb.width.min(ceiling.width), thumb.height.min(ceiling.height));
    let or_any = |side: u32, ceiling: u32| if side == 0 { ceiling } else { side };
    let frame = (or_any(asked_width, ceiling.width), or_any(asked_height, ceiling.height));
    if thumb.width == 0 || thumb.height == 0 {
        let (width, height) = proportional((width, height), frame);
        return jpeg(&scaled(picture, whole, width, height), ceiling);
    }
    if thumb.fit == Fit::Whole {
        let (width, height) = proportional((width, height), frame);
        let mut canvas = RgbImage::from_pixel(frame.0, frame.1, Rgb([255; 3]));
        let (left, top) = ((frame.0 - width) / 2, (frame.1 - height) / 2);
        imageops::replace(&mut canvas, &scaled(picture, whole, width, height), left.into(), top.into());
        return jpeg(&canvas, ceiling);
    }
    jpeg(&scaled(picture, cut((width, height), frame, thumb.fit), frame.0, frame.1), ceiling)
}

/// The largest size of these proportions within a frame, never larger than the picture.
fn proportional((width, height): (u32, u32), (max_width, max_height): (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(width), u64::from(height));
    let (max_width, max_height) = (u64::from(max_width).min(width), u64::from(max_height).min(height));
    let (fit_width, fit_height) = if max_width * height <= max_height * width {
        (max_width, (height * max_width).div_ceil(width.max(1)))
    } else {
        ((width * max_height).div_ceil(height.max(1)), max_height)
    };
    let side = |side: u64, max: u64| u32::try_from(side.clamp(1, max.max(1))).unwrap_or(u32::MAX);
    (side(fit_width, max_width), side(fit_height, max_height))
}

/// The part of a picture that has the proportions of a frame: left, top, width, height.
fn cut((width, height): (u32, u32), frame: (u32, u32), fit: Fit) -> (u32, u32, u32, u32) {
    let (wide, high) = (u64::from(width) * u64::from(frame.1), u64::from(height) * u64::from(frame.0));
    if wide > high {
        let part = u32::try_from(high / u64::from(frame.1)).unwrap_or(width).clamp(1, width);
        return ((width - part) / 2, 0, part, height);
    }
    let part = u32::try_from(wide / u64::from(frame.0)).unwrap_or(height).clamp(1, height);
    let top = match fit {
        Fit::Top => 0,
        Fit::Bottom => height - part,
        Fit::Middle | Fit::Whole => (height - part) / 2,
    };
    (0, top, width, part)
}

/// A part of the picture in a size of its own, on white.
fn scaled(picture: &DynamicImage, part: (u32, u32, u32, u32), width: u32, height: u32) -> RgbImage {
    let view = picture.view(part.0, part.1, part.2, part.3);
    let is_smaller = width <= part.2 && height <= part.3;
    let scaled = if is_smaller {
        imageops::thumbnail(&*view, width, height)
    } else {
        imageops::resize(&*view, width, height, FilterType::Triangle)
    };
    on_white(&scaled)
}

fn on_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        let mixed = |channel: u32| u8::try_from((channel * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX);
        Rgb([mixed(red), mixed(green), mixed(blue)])
    })
}

fn jpeg(picture: &RgbImage, ceiling: Ceiling) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, ceiling.quality);
    encoder.encode_image(picture).expect("a picture within the ceiling is written to memory");
    bytes
}

/// Where pictures are worked on.
#[derive(Debug)]
pub(super) struct Pool {
    admitted: Semaphore,
    workers: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { admitted: Semaphore::new(WORKERS + QUEUE), workers: Arc::new(Semaphore::new(WORKERS)) }
    }

    /// Runs work on a picture. A full queue is [`Error::Overloaded`]; work that panics or takes too long finds the picture damaged.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<Result<T, Unusable>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Unusable> + Send + 'static,
    {
        let _admitted = self.admitted.try_acquire().map_err(|_| Error::Overloaded { retry_after_seconds: 1 })?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(Error::internal)?;
        let running = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(worker);
            outcome
        });
        Ok(match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unusable::Damaged),
            Err(_) => Err(Unusable::TooLarge),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_strictly() {
        for (text, wanted) in [
            ("100x100", Some((100, 100))),
            ("0x100", Some((0, 100))),
            ("100x0f", Some((100, 0))),
            ("1x2t", Some((1, 2))),
            ("1x2b", Some((1, 2))),
            ("0x0", None),
            ("0x0f", None),
            ("x", None),
            ("100x", None),
            ("x100", None),
            ("100", None),
            ("100x100ff", None),
            ("100x100g", None),
            ("+1x1", None),
            ("-1x1", None),
            ("1x1x1", None),
            ("99999999999x1", None),
            ("1x1/../..", None),
            ("", None),
        ] {
            assert_eq!(Thumb::parse(text).map(|thumb| (thumb.width, thumb.height)), wanted, "{text}");
        }
        assert_eq!(Thumb::parse("007x1f").unwrap().to_string(), "7x1f");
    }

    #[test]
    fn sizes_keep_to_the_frame_and_to_the_picture() {
        assert_eq!(proportional((200, 100), (50, 50)), (50, 25));
        assert_eq!(proportional((100, 200), (50, 50)), (25, 50));
        assert_eq!(proportional((10, 10), (50, 50)), (10, 10), "never enlarged");
        assert_eq!(proportional((1, 40_000_000), (100, 2000)), (1, 2000), "never nothing");
        assert_eq!(proportional((40_000_000, 1), (100, 2000)), (100, 1));
        assert_eq!(cut((200, 100), (50, 50), Fit::Middle), (50, 0, 100, 100));
        assert_eq!(cut((100, 200), (50, 50), Fit::Top), (0, 0, 100, 100));
        assert_eq!(cut((100, 200), (50, 50), Fit::Bottom), (0, 100, 100, 100));
        assert_eq!(cut((1, 40_000_000), (50, 50), Fit::Middle).3, 1);
    }

    #[tokio::test]
    async fn work_that_panics_costs_one_picture() {
        let pool = Pool::new();
        for _ in 0..=WORKERS {
            let outcome: Result<(), Unusable> = pool.run(|| panic!("a decoder's fault")).await.unwrap();
            assert_eq!(outcome, Err(Unusable::Damaged));
        }
        assert_eq!(pool.run(|| Ok(1)).await.unwrap(), Ok(1));
    }
}
