"""Whether what was measured stays as it is.

A restart begins anew, so like is compared with like: within the time between two restarts the last third with the
first, behind a while to settle; and the highest of one such time with that of others, the last third with the first.
"""

from statistics import median

# What may be more, as a factor and in all. The rest of the machine is not still either.
TOLERANCES = {
    "rss_kib": (1.10, 4096),
    "descriptors": (1.15, 16),
    # Blocking threads are made when many wait at once, and stay for a while.
    "threads": (1.25, 16),
    "wal_bytes": (1.25, 4 << 20),
    "p50_ms": (1.5, 1.0),
    "p99_ms": (1.5, 5.0),
}


def judge(rows, total):
    """Returns the findings, each whether it is good and in words."""
    settled = [row for row in rows if row["second"] >= min(300, total / 6)]
    epochs = {}
    for row in settled:
        epochs.setdefault(row["epoch"], []).append(row)
    # What was cut off at either end is no time like the others.
    longest = max(len(epoch) for epoch in epochs.values())
    alike = [epoch for _, epoch in sorted(epochs.items()) if len(epoch) >= 0.8 * longest]
    findings = []
    for name, tolerance in TOLERANCES.items():
        findings.append(within(name, alike, tolerance))
        findings.append(between(name, alike, tolerance))
    findings.append(growth(settled))
    errors = rows[-1]["errors"]
    findings.append((errors == 0, f"errors: {errors} in {rows[-1]['requests']} requests"))
    return findings


def within(name, epochs, tolerance):
    """Compares the ends of the times between restarts with their beginnings: the median over all of them."""
    firsts, lasts = [], []
    for epoch in epochs:
        figures = [row[name] for row in epoch[len(epoch) // 5 :]]
        third = max(1, len(figures) // 3)
        firsts.append(median(figures[:third]))
        lasts.append(median(figures[-third:]))
    return compare(f"{name} between restarts", median(firsts), median(lasts), tolerance)


def between(name, epochs, tolerance):
    """Compares later times between restarts with earlier ones, by the highest figure, or for latencies the usual one."""
    highest = median if name.endswith("_ms") else max
    peaks = [highest(row[name] for row in epoch) for epoch in epochs]
    third = max(1, len(peaks) // 3)
    return compare(f"{name} over restarts", median(peaks[:third]), median(peaks[-third:]), tolerance)


def growth(rows):
    """The database grows, by what is written down for good; it may not do so faster and faster."""
    sizes = [row["database_bytes"] for row in rows]
    third = max(1, len(sizes) // 3)
    first, last = sizes[third] - sizes[0], sizes[-1] - sizes[-third - 1]
    return compare("growth of database_bytes", first, last, (1.5, 1 << 20))


def compare(what, first, last, tolerance):
    factor, more = tolerance
    most = max(first * factor, first + more)
    return last <= most, f"{what}: {first:.6g} at first, {last:.6g} at last, at most {most:.6g}"
