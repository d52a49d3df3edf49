//! A page of a list that is counted, as most lists answer it.

use serde::Serialize;
use serde_json::{Value, json};

/// The schema of a page of such items.
pub(super) fn page_schema(item: &Value) -> Value {
    json!({"type": "object", "required": ["items", "total", "page", "per_page", "total_pages"], "properties": {
        "items": {"type": "array", "items": item},
        "total": {"type": "integer"}, "page": {"type": "integer"}, "per_page": {"type": "integer"},
        "total_pages": {"type": "integer"},
    }})
}

/// Some of `total` things, and where they stand among them.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "as the contract names them")]
pub(super) struct Page<T> {
    items: Vec<T>,
    total: i64,
    page: u32,
    per_page: u32,
    total_pages: i64,
}

impl<T> Page<T> {
    /// The things of this page, each as it is answered. `per_page` is not 0.
    pub(super) fn of<F: Into<T>>(found: Vec<F>, total: i64, page: u32, per_page: u32) -> Self {
        let size = i64::from(per_page);
        let items = found.into_iter().map(F::into).collect();
        Self { items, total, page, per_page, total_pages: (total + size - 1) / size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_need_not_be_full_and_nothing_has_no_pages() {
        let pages = |total| Page::<u8>::of(Vec::<u8>::new(), total, 1, 20).total_pages;
        assert_eq!([0, 1, 20, 21].map(pages), [0, 1, 1, 2]);
    }
}
