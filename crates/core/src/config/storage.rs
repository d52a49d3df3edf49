//! Where files are kept, which are taken, and what is generated from images.

use std::path::PathBuf;

use fastcms_secrets::Secret;
use url::Url;

use super::catalog;
use super::cors::{WebOrigin, origin};
use super::fault::quoted;
use super::kind::choice;
use super::reader::Reader;

choice! {
    /// Where uploaded files are kept.
    pub enum StorageType {
        /// A folder.
        Local = "local",
        /// S3 or a service compatible with it.
        S3 = "s3",
        /// Azure Blob Storage.
        Azure = "azure",
    }
}

/// Where files are kept and which are taken.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The driver in use.
    pub kind: StorageType,
    /// Media types that may be uploaded: lower case, without parameters.
    pub allowed_types: Vec<String>,
    /// Another origin that serves uploaded bytes.
    pub files_origin: Option<WebOrigin>,
    /// Folder of the local driver, relative paths already resolved.
    pub local_path: PathBuf,
    /// The S3 driver.
    pub s3: S3,
    /// The Azure driver.
    pub azure: AzureBlobs,
}

/// What the S3 driver needs.
#[derive(Debug, Clone)]
pub struct S3 {
    /// The bucket.
    pub bucket: Option<String>,
    /// Its region.
    pub region: String,
    /// Endpoint of a compatible service; none: AWS.
    pub endpoint: Option<Url>,
    /// Public address of the bucket, without a slash at the end.
    pub public_url: Option<String>,
    /// Access key, shared with AWS Secrets Manager.
    pub access_key_id: Option<Secret<String>>,
    /// Its secret.
    pub secret_access_key: Option<Secret<String>>,
}

/// What the Azure driver needs.
#[derive(Debug, Clone)]
pub struct AzureBlobs {
    /// The container.
    pub container: Option<String>,
    /// Connection string; wins over name and key.
    pub connection_string: Option<Secret<String>>,
    /// Name of the storage account.
    pub account_name: Option<String>,
    /// Key of the storage account.
    pub account_key: Option<Secret<String>>,
    /// Public address of the container, without a slash at the end.
    pub public_url: Option<String>,
}

impl Storage {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            kind: read.preset_choice(&catalog::STORAGE_TYPE),
            allowed_types: read.list(&catalog::ALLOWED_FILE_TYPES, media_type),
            files_origin: read.parsed(&catalog::FILES_ORIGIN, origin),
            local_path: read.path(&catalog::LOCAL_STORAGE_PATH).unwrap_or_default(),
            s3: S3 {
                bucket: read.text(&catalog::AWS_S3_BUCKET_NAME),
                region: read.preset_text(&catalog::AWS_S3_REGION),
                endpoint: read.parsed(&catalog::AWS_S3_ENDPOINT_URL, web_url),
                public_url: read.parsed(&catalog::AWS_S3_PUBLIC_URL, web_url).map(without_slash),
                access_key_id: read.secret(&catalog::AWS_ACCESS_KEY_ID),
                secret_access_key: read.secret(&catalog::AWS_SECRET_ACCESS_KEY),
            },
            azure: AzureBlobs {
                container: read.text(&catalog::AZURE_STORAGE_CONTAINER_NAME),
                connection_string: read.secret(&catalog::AZURE_STORAGE_CONNECTION_STRING),
                account_name: read.text(&catalog::AZURE_STORAGE_ACCOUNT_NAME),
                account_key: read.secret(&catalog::AZURE_STORAGE_ACCOUNT_KEY),
                public_url: read.parsed(&catalog::AZURE_STORAGE_PUBLIC_URL, web_url).map(without_slash),
            },
        }
    }
}

/// Generated images.
#[derive(Debug, Clone)]
pub struct Images {
    /// Longest sides of the stored thumbnails in pixels, ascending; also what `thumb` may ask for.
    pub thumbnail_sizes: Vec<u32>,
    /// Widest generated image in pixels.
    pub max_width: u32,
    /// Highest generated image in pixels.
    pub max_height: u32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

impl Images {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let mut thumbnail_sizes = read.wholes(&catalog::IMAGE_THUMBNAIL_SIZES);
        thumbnail_sizes.sort_unstable();
        thumbnail_sizes.dedup();
        Self {
            thumbnail_sizes,
            max_width: read.preset_whole(&catalog::IMAGE_MAX_WIDTH),
            max_height: read.preset_whole(&catalog::IMAGE_MAX_HEIGHT),
            quality: read.preset_whole(&catalog::IMAGE_QUALITY),
        }
    }
}

/// An http or https address without user name and password.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(url) if url.username().is_empty() && url.password().is_none() => Ok(url),
        Some(_) => Err("carries a user name or password: give those by their own variables".to_owned()),
        None => Err(format!("{} is neither an http nor an https address", quoted(text))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps the address inside an option")]
fn without_slash(url: Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn media_type(text: &str) -> Result<String, String> {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("{} is not a media type such as `image/png`", quoted(text))),
    }
}
