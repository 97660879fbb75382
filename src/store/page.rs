//! Pages of lists whose ids are in their order.

/// Which rows of a list to return.
#[derive(Clone, Copy, Debug)]
pub struct Rows<T> {
    /// Only rows behind this one, whether or not it is still there.
    pub after: Option<T>,
    /// Which rows come first.
    pub sort: Sort,
    /// At most this many.
    pub limit: u32,
}

/// Which rows of a list come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The oldest.
    Oldest,
    /// The newest.
    Newest,
}
