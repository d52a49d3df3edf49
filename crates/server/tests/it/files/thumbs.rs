//! `thumb`: pictures in the sizes that are offered, made once.

use super::{fetch, file, on_disk, path, png, upload, uploaded};
use crate::callers::Calls;
use crate::product::Product;

crate::on_both_engines!(
    pictures_come_in_the_sizes_that_are_offered,
    a_picture_is_made_once,
    only_images_have_pictures,
    a_photograph_loses_its_metadata_and_stands_upright,
);

async fn pictures_come_in_the_sizes_that_are_offered(product: &Product) {
    let admin = product.admin().await;
    let content = png(800, 400);
    let made = upload(&admin, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    for (thumb, size) in [
        ("100x100", Some((100, 100))),
        ("100x100f", Some((100, 100))),
        ("100x100t", Some((100, 100))),
        ("100x100b", Some((100, 100))),
        ("300x0", Some((300, 150))),
        ("0x100", Some((200, 100))),
        ("0x600", Some((800, 400))),
        ("600x600", Some((600, 600))),
        ("100x300", None),
        ("5000x5000", None),
        ("101x101", None),
        ("0x0", None),
        ("100", None),
        ("100x100x", None),
        ("100x100ff", None),
        ("-100x100", None),
        ("100x100%2F..%2F..", None),
        ("", None),
    ] {
        let answer = fetch(&admin, &format!("{}/download?thumb={thumb}", path(&made)), &[]).await;
        let Some(size) = size else {
            answer.refused(400, "invalid_thumb");
            continue;
        };
        let answer = answer.expect(200);
        let picture = image::load_from_memory_with_format(&answer.bytes, image::ImageFormat::Jpeg).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), size, "{thumb}");
        assert_eq!(answer.header("content-length"), Some(answer.bytes.len().to_string().as_str()));
        let corner = picture.get_pixel(1, 1).0;
        let is_white = corner.iter().all(|channel| *channel > 240);
        assert_eq!(is_white, thumb.ends_with('f'), "{thumb}: {corner:?}");
    }
}

async fn a_picture_is_made_once(product: &Product) {
    let admin = product.admin().await;
    let content = png(800, 400);
    let made = upload(&admin, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    let path = format!("{}/download?thumb=100x100", path(&made));
    let before = on_disk(product).len();
    let answers = futures_util::future::join_all((0..20).map(|_| fetch(&admin, &path, &[]))).await;
    let first = answers[0].clone().expect(200);
    assert!(answers.iter().all(|answer| answer.bytes == first.bytes && answer.header("etag") == first.header("etag")));
    assert_eq!(on_disk(product).len(), before + 1);
    let whole = fetch(&admin, path.split('?').next().unwrap(), &[]).await;
    assert_ne!(whole.header("etag"), first.header("etag"));
}

async fn only_images_have_pictures(product: &Product) {
    let admin = product.admin().await;
    let text = uploaded(&admin).await;
    fetch(&admin, &format!("{}/download?thumb=100x100", path(&text)), &[]).await.refused(400, "invalid_thumb");
    admin.get(&format!("{}?thumb=100x100", path(&text))).await.refused(400, "unknown_parameter");
}

/// R141: where a photograph was taken is nobody's business.
async fn a_photograph_loses_its_metadata_and_stands_upright(product: &Product) {
    let admin = product.admin().await;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(400, 200, |x, _| image::Rgb(if x < 200 { [255, 0, 0] } else { [0, 0, 255] }))
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    // EXIF with one entry: orientation 6, to be turned clockwise by a quarter. And a place.
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    exif.extend_from_slice(b"GPS-48.8584,2.2945");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let photograph = [&jpeg[..2], b"\xff\xe1", &length, &exif, &jpeg[2..]].concat();
    let made = upload(&admin, &[file("a.jpg", "image/jpeg", &photograph)]).await.expect(201).json();
    for thumbnail in super::thumbnails(product, &made).await {
        let row = serde_json::json!({"id": thumbnail.id});
        let answer = super::download(&admin, &row).await.expect(200);
        assert!(!answer.bytes.windows(4).any(|window| window == b"Exif" || window == b"GPS-"));
        let picture = image::load_from_memory(&answer.bytes).unwrap().to_rgb8();
        assert!(picture.width() < picture.height(), "{:?}", picture.dimensions());
        let top = picture.get_pixel(picture.width() / 2, 2).0;
        assert!(top[0] > 200 && top[2] < 60, "{top:?}");
    }
    let answer = fetch(&admin, &format!("{}/download?thumb=100x0", path(&made)), &[]).await.expect(200);
    let picture = image::load_from_memory(&answer.bytes).unwrap();
    assert_eq!((picture.width(), picture.height()), (100, 200));
}
