"""What is measured each second, of the process, its files, and a request that is sent twenty times a second."""

import asyncio
import csv
import os
import time
from pathlib import Path

from client import Broken, Connection

PROBES = 20
FIELDS = ["second", "epoch", "rss_kib", "descriptors", "threads", "wal_bytes", "database_bytes"]
FIELDS += ["p50_ms", "p99_ms", "requests", "cut_off", "errors", "events"]


class Sampler:
    def __init__(self, daemon, shared, desk, plan, file):
        self.daemon, self.shared, self.desk, self.plan = daemon, shared, desk, plan
        self.latencies = []
        self.rows = []
        self.file = file

    async def run(self, until):
        await asyncio.gather(self.probe(until), self.sample(until))

    async def probe(self, until):
        """A chat that is answered at once. A restart is no latency: what it cuts off is left out."""
        connection = Connection(self.plan["port"])
        body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
        while time.monotonic() < until:
            before, start = self.shared.restarts.value, time.monotonic()
            try:
                await connection.ask("POST", "/v1/chat/completions", self.plan["key"], body)
                if before % 2 == 0 and before == self.shared.restarts.value:
                    self.latencies.append((time.monotonic() - start) * 1000)
            except Broken:
                pass
            await asyncio.sleep(1 / PROBES)

    async def sample(self, until):
        with self.file.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            begin = time.monotonic()
            second = 0
            while time.monotonic() < until:
                second += 1
                await asyncio.sleep(max(0, begin + second - time.monotonic()))
                if row := self.row(second):
                    self.rows.append(row)
                    writer.writerow(row)
                    file.flush()

    def row(self, second):
        """Returns a second's figures; none of a process that just starts or ends."""
        latencies, self.latencies = sorted(self.latencies), []
        if self.shared.restarts.value % 2 or not latencies:
            return None
        try:
            status = Path(f"/proc/{self.daemon.pid()}/status").read_text()
            descriptors = len(os.listdir(f"/proc/{self.daemon.pid()}/fd"))
        except OSError:
            return None
        figure = lambda name: int(status.split(f"{name}:")[1].split()[0])
        size = lambda name: (self.daemon.folder / name).stat().st_size if (self.daemon.folder / name).exists() else 0
        events, self.desk.events[:] = " ".join(self.desk.events), []
        counted = {name: getattr(self.shared, name).value for name in ["requests", "cut_off", "errors"]}
        return {
            "second": second,
            "epoch": self.shared.restarts.value // 2,
            "rss_kib": figure("VmRSS"),
            "descriptors": descriptors,
            "threads": figure("Threads"),
            "wal_bytes": size("mcpd.db-wal"),
            "database_bytes": size("mcpd.db"),
            "p50_ms": round(latencies[len(latencies) // 2], 3),
            "p99_ms": round(latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)], 3),
            **counted,
            "events": events,
        }
