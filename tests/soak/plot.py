"""plot.py FOLDER: draws soak.png from samples.csv."""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# The heading, the columns with what they are divided by, and what those are called.
PANELS = [
    ("Memory (RSS), MiB", [("rss_kib", 1024, None)]),
    ("Open descriptors and threads", [("descriptors", 1, "descriptors"), ("threads", 1, "threads")]),
    ("Write-ahead log, MiB", [("wal_bytes", 1 << 20, None)]),
    ("Database, MiB", [("database_bytes", 1 << 20, None)]),
    ("Latency of a chat, ms", [("p50_ms", 1, "median"), ("p99_ms", 1, "99th percentile")]),
]
COLOURS = ["#2a5d9f", "#c8691c"]
EVENTS = {"reload": ("#8a8a8a", 0.04), "backup": ("#3c8d5a", 0.09)}


def main(folder):
    with (folder / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row["second"]) / 60 for row in rows]
    figure, panels = plt.subplots(len(PANELS), 1, figsize=(9, 11), sharex=True, layout="constrained")
    for panel, (heading, lines) in zip(panels, PANELS):
        for (column, divisor, name), colour in zip(lines, COLOURS):
            draw(panel, minutes, [float(row[column]) / divisor for row in rows], rows, name, colour)
        panel.set_title(heading, loc="left", fontsize=10)
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
        mark(panel, minutes, rows)
        if lines[0][2]:
            panel.legend(loc="upper right", fontsize=8, frameon=False)
    panels[-1].set_xlabel("minutes; lines: restarts; short marks: reloads (grey), backups (green)")
    panels[-1].set_xlim(0, max(minutes))
    figure.savefig(folder / "soak.png", dpi=110)
    print(f"drawn: {folder / 'soak.png'}")


def draw(panel, minutes, figures, rows, name, colour):
    """A line for each time between restarts: nothing is known of what lies between two."""
    epochs = sorted({row["epoch"] for row in rows}, key=int)
    for number, epoch in enumerate(epochs):
        points = [(at, figure) for at, figure, row in zip(minutes, figures, rows) if row["epoch"] == epoch]
        panel.plot(*zip(*points), color=colour, linewidth=0.9, label=name if number == 0 else None)


def mark(panel, minutes, rows):
    for before, at, row in zip([None, *rows], minutes, rows):
        if before and before["epoch"] != row["epoch"]:
            panel.axvline(at, color="#b0b0b0", linewidth=0.8, zorder=0)
        for event in set(row["events"].split()) & EVENTS.keys():
            colour, height = EVENTS[event]
            panel.axvline(at, ymax=height, color=colour, linewidth=0.8, zorder=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
