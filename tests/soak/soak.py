"""soak.py MINUTES FOLDER: runs everything, writes samples.csv, and says whether it stays as it was."""

import asyncio
import multiprocessing
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

import traffic  # noqa: E402
import upstream  # noqa: E402
from daemon import Daemon, free_port  # noqa: E402
from daemon import upstream as configured  # noqa: E402
from desk import Desk  # noqa: E402
from judge import judge  # noqa: E402
from samples import Sampler  # noqa: E402

# A quarter of what one core does.
RATE = 250
# Signatures are remembered for twice the skew: short, so that their number is steady soon.
CONFIG = """
[signing]
max_skew_seconds = 20

# Clients without a key are refused as such all along, not for being many at one address.
[limits]
failed_auth_per_minute = 1000000

[plans]
standard.requests_per_minute = 1000000
"""


class Soaked(Daemon):
    """The daemon, which can be told to read its configuration again, or be started anew."""

    def pid(self):
        return self._process.pid

    def reload(self):
        self._process.send_signal(signal.SIGHUP)

    def restart(self):
        self.stop()
        self.start()


class Shared:
    """What both processes count."""

    def __init__(self):
        for name in ["requests", "cut_off", "errors", "restarts", "done"]:
            setattr(self, name, multiprocessing.Value("q", 0))
        self.told = multiprocessing.Value("q", 0)

    def add(self, name):
        count = getattr(self, name)
        with count.get_lock():
            count.value += 1

    def tell(self, what):
        self.add("told")
        if self.told.value <= 20:
            print(f"    error: {what}", flush=True)


def main(minutes, folder):
    total, shared = minutes * 60, Shared()
    upstream_port = free_port()
    model = configured("small", f"http://127.0.0.1:{upstream_port}/v1", [upstream.MODEL])
    echo = '\n[[upstreams]]\nname = "echo"\nkind = "echo"\n'
    with Soaked(CONFIG + model + echo) as daemon:
        plan = make_plan(daemon, total, upstream_port)
        loading = multiprocessing.Process(target=traffic.run, args=(plan, shared), daemon=True)
        loading.start()
        print(f"{RATE} requests a second for {minutes} min, a restart every {plan['every']['restart']} s", flush=True)
        rows = asyncio.run(watch(daemon, shared, plan, total, folder / "samples.csv"))
        shared.done.value = 1
        loading.join(30)
        if loading.exitcode != 0:
            shared.add("errors")
            shared.tell(f"the clients' process ended with {loading.exitcode}")
        rows[-1]["errors"] = shared.errors.value
        (folder / "mcpd.log").write_text(daemon.log())
    findings = judge(rows, total)
    for good, words in findings:
        print(f"{'ok    ' if good else 'FAILED'} {words}")
    print(f"{rows[-1]['requests'] / rows[-1]['second']:.0f} requests a second, {rows[-1]['cut_off']} cut off by restarts")
    return 0 if all(good for good, _ in findings) else 1


def make_plan(daemon, total, upstream_port):
    key = lambda **fields: daemon.make_key(requests_per_minute=1_000_000, **fields)["key"]
    every = {"backup": 20, "reload": 15, "restart": max(30, total // 6)}
    return {
        "port": int(daemon.url.rsplit(":", 1)[1]),
        "admin_port": int(daemon.admin_url.rsplit(":", 1)[1]),
        "upstream_port": upstream_port,
        "rate": RATE,
        "seed": int(time.time()),
        "key": key(),
        "models_key": key(scopes=["models:read"]),
        "limited_key": daemon.make_key(requests_per_minute=30)["key"],
        "every": every,
    }


async def watch(daemon, shared, plan, total, file):
    until = time.monotonic() + total
    desk = Desk(daemon, shared, plan)
    sampler = Sampler(daemon, shared, desk, plan, file)
    await asyncio.gather(sampler.run(until), desk.run(until))
    return sampler.rows


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
