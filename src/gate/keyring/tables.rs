//! Tables of pointers to keys, found by what the keys themselves hold.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Entry;
use crate::domain::digest::Digest;
use crate::domain::id::KeyId;

/// Keys, found by one thing or another.
pub(super) type Table<T> = HashSet<T, RandomState>;

/// Returns a table with room for so many keys.
pub(super) fn with_room<T>(keys: usize) -> Table<T> {
    Table::with_capacity_and_hasher(keys, RandomState::default())
}

/// Enough of a digest to find a key by; whoever finds one verifies the whole.
type Slot = [u8; 8];

/// A key, found by its digest.
#[derive(Debug)]
pub(super) struct ByDigest(pub(super) Arc<Entry>);

/// A key, found by its id.
#[derive(Debug)]
pub(super) struct ById(pub(super) Arc<Entry>);

/// Returns what the key with the digest is found by.
pub(super) const fn slot(digest: &Digest) -> &Slot {
    digest.first_chunk().expect("eight bytes of 32")
}

macro_rules! found_by {
    ($name:ident, $by:ty, $entry:ident => $found:expr) => {
        impl Borrow<$by> for $name {
            fn borrow(&self) -> &$by {
                let $entry = &self.0;
                $found
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Borrow::<$by>::borrow(self) == Borrow::<$by>::borrow(other)
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                Borrow::<$by>::borrow(self).hash(state);
            }
        }
    };
}

found_by!(ByDigest, Slot, entry => slot(entry.digest()));
found_by!(ById, KeyId, entry => &entry.key.id);
