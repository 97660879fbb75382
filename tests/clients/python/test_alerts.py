"""The receiver of alerts that docs/alerts.md shows, run as it stands."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon import free_port

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "receive.py"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "alerts.md"
SECRET = "a secret of the two"


@contextmanager
def receiving(port):
    """Runs the receiver; what it prints can be read."""
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    command = [sys.executable, EXAMPLE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout
        finally:
            process.kill()


def test_the_receiver_in_the_docs_takes_what_is_signed_and_nothing_else(start):
    daemon, port = start(), free_port()
    webhook = {"url": f"http://127.0.0.1:{port}/", "secret": SECRET}
    rule = daemon.admin("POST", "/alert-rules", {"kind": "key_expiring", "webhook": webhook})
    key = daemon.make_key(name="guest", expires_in="3d")
    forger = {"kind": "failed_auth", "webhook": {**webhook, "secret": "another secret"}}
    forged = daemon.admin("POST", "/alert-rules", forger)

    # It comes up after the alert was raised, and gets it all the same.
    with receiving(port) as told:
        assert told.readline().startswith(f"Key `guest` ({key['id']}) expires in 3 days, at ")
        assert daemon.admin("POST", f"/alert-rules/{forged['id']}/test")["status"] == 403
        assert daemon.admin("POST", f"/alert-rules/{rule['id']}/test")["delivered"]
        assert told.readline().startswith(f"This is a test of the rule {rule['id']}")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(webhook["url"], data=b'{"summary": "unsigned"}', timeout=5)


def test_the_docs_show_the_receiver_as_it_is():
    assert EXAMPLE.read_text() in DOCS.read_text()
