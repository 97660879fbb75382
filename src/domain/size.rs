//! Sizes as people read them.

/// Returns a number of bytes in the unit that tells it best: `812 B`, `3.4 MiB`.
pub fn tell(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = "B";
    while size >= 1024.0
        && let Some(larger) = units.next()
    {
        (size, unit) = (size / 1024.0, larger);
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (10 << 30, "10.0 GiB"),
            (3 << 50, "3072.0 TiB"),
        ];
        for (bytes, told) in cases {
            assert_eq!(tell(bytes), told);
        }
    }
}
