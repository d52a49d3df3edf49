//! The box a secret value lives in.

use std::fmt;

use zeroize::Zeroize;

/// A value that is never printed or serialised, and is overwritten with zeros when dropped.
///
/// `Debug` prints `[secret]`; there is no `Display`, no `Serialize` and no `==` on purpose
/// (equality of secrets must take constant time and belongs to whoever knows what is compared).
/// Growing the value behind [`Secret::new`]'s back can leave old copies in freed memory: build it
/// whole, then box it.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Boxes `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: each call is a place to look at in a review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Clone)]
    struct Counted(Arc<AtomicUsize>);

    impl Zeroize for Counted {
        fn zeroize(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn debug_never_shows_the_value() {
        let secret = Secret::new(String::from("MARKER"));
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "[secret] Some(\n    [secret],\n)");
        assert_eq!(secret.expose(), "MARKER");
    }

    #[test]
    fn every_copy_is_zeroed_when_dropped() {
        let zeroed = Arc::new(AtomicUsize::new(0));
        let secret = Secret::new(Counted(Arc::clone(&zeroed)));
        let copy = secret.clone();
        assert_eq!(zeroed.load(Ordering::Relaxed), 0);
        drop(secret);
        assert_eq!(zeroed.load(Ordering::Relaxed), 1);
        drop(copy);
        assert_eq!(zeroed.load(Ordering::Relaxed), 2);
    }
}
