"""Puts up what a test in another language needs: the fake upstream, an mcpd in front of it, and an mcpd
with its built-in echo. Says where they are in one line of JSON, and stays until its standard input closes.
"""

import json
import sys

from daemon import Daemon, upstream
from fake_upstream import MODELS, FakeUpstream


def describe(daemon):
    return {"url": daemon.url, "adminUrl": daemon.admin_url, "adminToken": daemon.admin_token}


with FakeUpstream() as fake, Daemon(upstream("fake", fake.base_url, MODELS)) as gate, Daemon() as echo:
    print(json.dumps({"fake": fake.base_url, "gate": describe(gate), "echo": describe(echo)}), flush=True)
    sys.stdin.read()
