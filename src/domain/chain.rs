//! Whether the audit log's rows hold together, one after the other.

use super::audit::Row;

/// A walk along the chain, from its first row on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    /// How many rows were followed.
    rows: u64,
    /// The number of the last one; numbers begin with 1.
    number: i64,
    /// Its digest; zeros before the first.
    digest: [u8; 32],
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// There is none with a number that there was.
    #[error("rows are missing before it: number {found} follows on number {before}")]
    Gap {
        /// The number of the row before.
        before: i64,
        /// The row's own.
        found: i64,
    },
    /// Something in it is not such as it was written.
    #[error("it cannot be read: the row was changed")]
    Unreadable,
    /// It names another row as the one before.
    #[error("it does not follow on the row before it: one of the two was changed, moved or put in")]
    Unlinked,
    /// It has another digest than what stands in it.
    #[error("its digest is not that of what stands in it: the row was changed")]
    Changed,
    /// Rows were written behind it that are not there.
    #[error("rows are missing behind it: the last one was number {0}")]
    Cut(i64),
}

impl Chain {
    /// Follows the chain to its next row, with the number and the digest that are kept with it; without a digest, the
    /// row cannot be read.
    pub fn follow(&mut self, number: i64, row: &Row, digest: Option<[u8; 32]>) -> Result<(), Break> {
        self.rows += 1;
        if number != self.number + 1 {
            return Err(Break::Gap { before: self.number, found: number });
        }
        let digest = digest.ok_or(Break::Unreadable)?;
        if row.previous_digest != self.digest {
            return Err(Break::Unlinked);
        }
        if row.digest() != digest {
            return Err(Break::Changed);
        }
        (self.number, self.digest) = (number, digest);
        Ok(())
    }

    /// Fails unless the row that was followed last is the one that was written last.
    pub fn end(&self, last_written: i64) -> Result<(), Break> {
        if self.number < last_written { Err(Break::Cut(last_written)) } else { Ok(()) }
    }

    /// Returns how many rows were looked at.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the number of the last row that held.
    pub const fn number(&self) -> i64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::super::time::Timestamp;
    use super::*;

    type Kept = (i64, Row, Option<[u8; 32]>);
    type Tamper = fn(&mut Vec<Kept>);

    /// A chain of rows that hold.
    fn chain(length: i64) -> Vec<Kept> {
        let mut previous_digest = [0; 32];
        let mut next = |number: i64| {
            let row = Row {
                id: format!("audit_{number}"),
                at: Timestamp::from_millis(number),
                via: "token".to_owned(),
                uid: None,
                pid: None,
                action: "key.create".to_owned(),
                target: "key_1".to_owned(),
                before: None,
                after: Some("{}".to_owned()),
                previous_digest,
            };
            previous_digest = row.digest();
            (number, row, Some(previous_digest))
        };
        (1..=length).map(&mut next).collect()
    }

    /// The id of the first row that does not hold, and why.
    fn walk(rows: &[Kept]) -> Option<(String, Break)> {
        let mut chain = Chain::default();
        rows.iter().find_map(|(number, row, digest)| {
            chain.follow(*number, row, *digest).err().map(|fault| (row.id.clone(), fault))
        })
    }

    #[test]
    fn whatever_is_done_to_a_chain_is_found_where_it_was_done() {
        assert_eq!(walk(&chain(4)), None);
        let cases: [(&str, Tamper, &str, Break); 8] = [
            ("changed", |rows| rows[1].1.target = "key_2".into(), "audit_2", Break::Changed),
            ("unreadable", |rows| rows[1].2 = None, "audit_2", Break::Unreadable),
            ("another digest", |rows| rows[1].2 = Some([1; 32]), "audit_2", Break::Changed),
            (
                "changed and sealed again",
                |rows| {
                    rows[1].1.target = "key_2".into();
                    rows[1].2 = Some(rows[1].1.digest());
                },
                "audit_3",
                Break::Unlinked,
            ),
            ("taken out", |rows| drop(rows.remove(1)), "audit_3", Break::Gap { before: 1, found: 3 }),
            (
                "the first taken out",
                |rows| drop(rows.remove(0)),
                "audit_2",
                Break::Gap { before: 0, found: 2 },
            ),
            (
                "taken out and numbered anew",
                |rows| {
                    rows.remove(1);
                    (rows[1].0, rows[2].0) = (2, 3);
                },
                "audit_3",
                Break::Unlinked,
            ),
            (
                "swapped",
                |rows| {
                    rows.swap(1, 2);
                    (rows[1].0, rows[2].0) = (2, 3);
                },
                "audit_3",
                Break::Unlinked,
            ),
        ];
        for (case, tamper, id, fault) in cases {
            let mut rows = chain(4);
            tamper(&mut rows);
            assert_eq!(walk(&rows), Some((id.to_owned(), fault)), "{case}");
        }
    }

    #[test]
    fn an_end_that_was_cut_off_is_missed() {
        let mut walked = Chain::default();
        for (number, row, digest) in &chain(3)[..2] {
            walked.follow(*number, row, *digest).unwrap();
        }
        assert_eq!((walked.end(2), walked.end(3)), (Ok(()), Err(Break::Cut(3))));
        assert_eq!(Chain::default().end(0), Ok(()));
    }
}
