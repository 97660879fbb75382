//! SQL functions that add histograms up.

use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};

use crate::domain::histogram::Histogram;

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

/// Teaches a connection to add histograms up.
pub(in crate::store) fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("add_histograms", 2, FLAGS, |context| {
        let mut sum = Histogram::default();
        for argument in 0..2 {
            sum.merge_bytes(context.get_raw(argument).as_blob()?);
        }
        Ok(sum.to_bytes())
    })
}

/// Teaches a connection what the migrations need besides.
pub(in crate::store) fn register_for_migration(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("renew_histogram", 1, FLAGS, |context| {
        Ok(renew(context.get_raw(0).as_blob()?).to_bytes())
    })?;
    connection.create_aggregate_function("sum_histograms", 1, FLAGS, SumHistograms)
}

/// Returns a histogram of before schema 3: five bytes for each bucket in use, its number and its count
/// (little-endian).
fn renew(bytes: &[u8]) -> Histogram {
    let entries = bytes.chunks_exact(5);
    Histogram::from_counts(entries.map(|entry| {
        let count = entry[1..].try_into().expect("four bytes of five");
        (entry[0], u32::from_le_bytes(count).into())
    }))
}

struct SumHistograms;

impl Aggregate<Histogram, Vec<u8>> for SumHistograms {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Histogram> {
        Ok(Histogram::default())
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Histogram) -> rusqlite::Result<()> {
        sum.merge_bytes(context.get_raw(0).as_blob()?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Histogram>) -> rusqlite::Result<Vec<u8>> {
        Ok(sum.unwrap_or_default().to_bytes())
    }
}
