"""Signed requests, as a program with Python's `requests` makes them."""

import hashlib
import hmac
import json
import time

import pytest
import requests
from asking import MESSAGES

PAYLOAD = json.dumps({"model": "talks", "messages": MESSAGES})


def sign(secret, payload=PAYLOAD, timestamp=None, nonce=None):
    """Returns the headers of a signed request."""
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    signed = f"{timestamp}.{payload}" if nonce is None else f"{timestamp}.{nonce}.{payload}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    headers = {"X-MCP-Timestamp": timestamp, "X-MCP-Signature": signature}
    return headers if nonce is None else {**headers, "X-MCP-Nonce": nonce}


@pytest.fixture
def post(gate):
    def post(secret, headers, payload=PAYLOAD):
        """Sends a chat and returns its status and, for an error, its code."""
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **headers}
        answer = requests.post(f"{gate.url}/v1/chat/completions", data=payload, headers=headers, timeout=10)
        return answer.status_code, answer.json().get("error", {}).get("code")

    return post


@pytest.fixture
def strict(gate):
    """A key that must sign."""
    return gate.make_key(require_signature=True)["key"]


def test_a_signed_request_passes(post, strict):
    assert post(strict, sign(strict)) == (200, None)


def test_a_key_that_must_sign_is_refused_unsigned(post, strict):
    assert post(strict, {}) == (401, "missing_signature")


def test_a_key_that_need_not_sign_passes_unsigned(post, key):
    assert post(key["key"], {}) == (200, None)


def test_a_signature_counts_once(post, strict):
    headers = sign(strict)

    assert post(strict, headers) == (200, None)
    assert post(strict, headers) == (401, "replayed_signature")


def test_a_nonce_lets_equal_bodies_pass_in_one_second(post, strict):
    now = int(time.time())

    assert post(strict, sign(strict, timestamp=now, nonce="first-one")) == (200, None)
    assert post(strict, sign(strict, timestamp=now, nonce="second-one")) == (200, None)
    assert post(strict, sign(strict, timestamp=now, nonce="second-one")) == (401, "replayed_signature")


def test_a_wrong_signature_is_refused_even_where_none_is_needed(post, key, strict):
    assert post(key["key"], sign("somebody-elses-key")) == (401, "invalid_signature")
    assert post(strict, sign("somebody-elses-key")) == (401, "invalid_signature")


def test_a_body_changed_on_the_way_is_refused(post, strict):
    assert post(strict, sign(strict), PAYLOAD.replace("France", "Spain")) == (401, "invalid_signature")


@pytest.mark.parametrize("seconds_off", [-310, 310])
def test_an_old_or_early_timestamp_is_refused(post, strict, seconds_off):
    assert post(strict, sign(strict, timestamp=int(time.time()) + seconds_off)) == (401, "stale_timestamp")


def test_a_get_is_signed_over_nothing(gate, strict):
    headers = {"Authorization": f"Bearer {strict}", **sign(strict, payload="")}

    assert requests.get(f"{gate.url}/v1/models", headers=headers, timeout=10).status_code == 200
    assert requests.get(f"{gate.url}/v1/models", headers=headers, timeout=10).status_code == 401, "a replay"


def test_a_signature_counts_once_across_a_restart(start):
    daemon = start()
    secret = daemon.default_key()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **sign(secret)}
    ask = lambda: requests.post(f"{daemon.url}/v1/chat/completions", data=PAYLOAD, headers=headers, timeout=10)  # noqa: E731

    assert ask().status_code == 200
    daemon.stop()
    daemon.start()
    assert ask().json()["error"]["code"] == "replayed_signature"
