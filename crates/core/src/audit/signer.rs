//! The key of the audit log at work: what exactly is signed of a row, of the end of a segment and of its pruning.

use std::fmt::Write as _;

use fastcms_guard::chain::{ChainKey, Hash, Kind};
use fastcms_guard::sealed::DataKey;
use fastcms_store::audit::chain::{Closing, Pruning, Segment};
use fastcms_store::audit::{AuditRow, NewRow};

/// Signs with one data key.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(super) key_id: i64,
    /// Added to transaction numbers of `PostgreSQL`: see the store.
    pub(super) shift: i64,
    pub(super) key: ChainKey,
}

impl Signer {
    pub(super) fn new(id: i64, key: &DataKey, shift: i64) -> Self {
        Self { key_id: id, shift, key: ChainKey::new(key.bytes()) }
    }

    /// Puts key and signature into a row.
    pub(super) fn sign(&self, row: &mut NewRow) {
        let mac = self.mac(row.texts());
        row.sign(self.key_id, self.shift, mac);
    }

    /// The signature that a row must have.
    pub(super) fn row(&self, row: &AuditRow) -> Hash {
        self.mac(row.texts())
    }

    fn mac<'t>(&self, texts: impl IntoIterator<Item = Option<&'t str>>) -> Hash {
        self.key.sign(Kind::Row, texts.into_iter().map(|text| text.map(str::as_bytes)))
    }

    /// The seal of the end of a segment.
    pub(super) fn closing(&self, segment: &Segment, closing: &Closing) -> Hash {
        let numbers =
            [segment.number, segment.first_link, segment.first_position, closing.links, closing.last_position];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let parts: [&[u8]; 4] = [&numbers, &segment.first_hash, &closing.last_hash, closing.closed.as_bytes()];
        self.key.sign(Kind::Closing, parts.map(Some))
    }

    /// The seal of leave to take a segment's rows away.
    pub(super) fn pruning(&self, closing: &Closing, pruned: &str) -> Hash {
        self.key.sign(Kind::Pruning, [Some(closing.seal.as_slice()), Some(pruned.as_bytes())])
    }

    /// Whether this key sealed both the end of a segment and leave to take its rows away.
    pub(super) fn has_pruned(&self, segment: &Segment) -> bool {
        let (Some(closing), Some(pruning)) = (&segment.closing, &segment.pruning) else { return false };
        segment.key_id == self.key_id
            && self.closing(segment, closing).as_slice() == closing.seal
            && self.is_pruned(closing, pruning)
    }

    pub(super) fn is_pruned(&self, closing: &Closing, pruning: &Pruning) -> bool {
        self.pruning(closing, &pruning.pruned).as_slice() == pruning.seal
    }
}

/// A stored hash; one of another length is no hash that anything agrees with.
pub(super) fn hash_of(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or([0xff; fastcms_guard::chain::LENGTH])
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
