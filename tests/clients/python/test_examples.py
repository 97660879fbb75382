"""The programs that the README shows, run as they stand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def run(echo):
    def run(*command, key=None):
        """Runs an example with the default key, and returns what it prints."""
        environment = {**os.environ, "MCPD_URL": echo.url, "MCP_API_KEY": key or echo.default_key()}
        return subprocess.run(
            command, cwd=EXAMPLES, env=environment, timeout=20, check=True, capture_output=True, text=True
        ).stdout

    return run


def test_the_curl_example_gets_its_answer(run):
    answer = json.loads(run("bash", "chat.sh"))

    assert answer["choices"][0]["message"]["content"] == "What is the capital of France?"
    assert answer["model"] == "echo"


def test_the_signing_example_gets_its_answer(run, echo):
    must_sign = echo.make_key(require_signature=True)["key"]

    assert run(sys.executable, "sign.py", key=must_sign) == "What is the capital of France?\n"
