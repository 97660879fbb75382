"""Starts the real mcpd in a folder of its own, speaks to its admin API, and stops it.

Only Python's standard library, so that the JavaScript tests can use it too (see stage.py).
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MCPD_BINARY", ROOT / "target/debug/mcpd")).absolute()

CONFIG = """
[server]
listen = ["127.0.0.1:{public_port}"]
shutdown_grace_seconds = 1

[admin]
listen = "127.0.0.1:{admin_port}"
socket = "{folder}/admin.sock"
token_file = "{folder}/admin-token"

[store]
path = "{folder}/mcpd.db"
"""


def upstream(name, base_url, models, **settings):
    """One `[[upstreams]]` entry of kind `openai`."""
    lines = [f"name = {json.dumps(name)}", 'kind = "openai"', f"base_url = {json.dumps(base_url)}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in {"models": models, **settings}.items()]
    return "\n[[upstreams]]\n" + "\n".join(lines) + "\n"


class Daemon:
    """A running mcpd, for as long as the `with` block lasts. `config` is added to its mcpd.toml."""

    def __init__(self, config=""):
        self.folder = Path(tempfile.mkdtemp(prefix="mcpd-"))
        self._log = self.folder / "log"
        public_port, admin_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{public_port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        settings = CONFIG.format(folder=self.folder, public_port=public_port, admin_port=admin_port)
        (self.folder / "mcpd.toml").write_text(settings + config)

    def __enter__(self):
        try:
            self.start()
        except Exception:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)

    def start(self):
        # The caller's own mcpd settings must not leak into the daemon under test.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MCPD")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, "serve", "--config", self.folder / "mcpd.toml"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()
        self.admin_token = (self.folder / "admin-token").read_text().strip()

    def stop(self):
        """Stops the daemon as an init system would; a daemon that does not end well is an error."""
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = "none: killed after 10 s"
        if status != 0:
            raise RuntimeError(f"mcpd stopped with status {status}; its log:\n{self.log()}")

    def log(self):
        return self._log.read_text(errors="replace")

    def default_key(self):
        return (self.folder / "default-key").read_text().strip()

    def admin(self, method, path, body=None):
        """Calls the admin API and returns its JSON; any other answer than 2xx is an error that shows it."""
        request = urllib.request.Request(
            f"{self.admin_url}/admin/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.admin_token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise RuntimeError(f"{method} {path}: {refused.code} {refused.read().decode()}") from None

    def make_key(self, **fields):
        """Makes a key that may do everything, but for what `fields` say."""
        return self.admin("POST", "/keys", {"name": "test", "scopes": ["*"], "requests_per_minute": 1000, **fields})

    def usage(self, key_id, *group_by):
        """Returns the usage report of one key over the hours around now."""
        query = {"key": key_id, "from": _rfc3339(-3600), "to": _rfc3339(3600), "step": "hour"}
        return self.admin("GET", "/usage?" + urlencode({**query, "group_by": ",".join(group_by)}))

    def requests_counted(self, key_id, *group_by):
        """Returns {group: requests}, the group being a tuple of the `group_by` values, None where there is none."""
        counts = Counter()
        for row in self.usage(key_id, *group_by)["data"]:
            counts[tuple(row.get(name) or None for name in group_by)] += row["requests"]
        return dict(counts)

    def _wait_until_ready(self):
        deadline = time.monotonic() + 15
        while not self._is_ready():
            if self._process.poll() is not None:
                raise RuntimeError(f"mcpd ended with status {self._process.returncode}; its log:\n{self.log()}")
            if time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"mcpd was not ready after 15 s; its log:\n{self.log()}")
            time.sleep(0.02)

    def _is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False


def free_port():
    return _free_ports(1)[0]


def _free_ports(count):
    # All are held before any is let go, so that they differ.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _rfc3339(seconds_from_now):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds_from_now))
