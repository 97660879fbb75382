"""Streams that do not end as they should: the upstream fails, the client leaves, the key is revoked."""

import contextlib
import json
import time

import openai
import pytest
import requests
from asking import MESSAGES, chat, text_of


def wait_until(condition, seconds):
    """Returns whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("model", ["breaks-off", "stops-short", "fails-midway"])
def test_a_stream_that_fails_half_way_raises_and_never_looks_complete(client, model):
    chunks = []
    with pytest.raises(openai.APIError) as failed:
        for chunk in chat(client, model, stream=True):
            chunks.append(chunk)

    assert text_of(chunks) == "The capital of France ", "what had arrived is passed on"
    assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
    assert not isinstance(failed.value, openai.APIConnectionError), "the stream says itself that it failed"


@pytest.mark.parametrize("model", ["breaks-off", "stops-short", "fails-midway"])
def test_a_stream_that_fails_half_way_ends_with_an_error_and_without_done(gate, key, model):
    lines = []
    with requests.post(
        f"{gate.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {key['key']}"},
        json={"model": model, "messages": MESSAGES, "stream": True},
        stream=True,
        timeout=10,
    ) as answer:
        # The connection may well be closed in the middle of the body: all the clearer that this is no good end.
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
            for line in answer.iter_lines(decode_unicode=True):
                lines.append(line)
    events = [line for line in lines if line]

    assert list(json.loads(events[-1].removeprefix("data: "))) == ["error"]
    assert not any("[DONE]" in event for event in events)


def test_a_client_that_leaves_is_noticed_upstream_within_a_second(gate, fake, key, client):
    stream = chat(client, "takes-its-time", stream=True)
    next(stream), next(stream)
    request = fake.requests[-1]
    stream.close()

    assert wait_until(lambda: request["client_left_at"], 1), "the upstream still believes that somebody listens"
    assert wait_until(lambda: gate.requests_counted(key["id"], "status"), 1)
    assert gate.requests_counted(key["id"], "status", "model") == {(499, "takes-its-time"): 1}
    assert gate.usage(key["id"], "status")["totals"]["completion_tokens"] > 0, "estimated from what was sent"


def test_a_client_that_leaves_before_the_answer_is_noticed_upstream_too(gate, fake, connect, key):
    hasty = connect(gate, key["key"], timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        chat(hasty, "says-nothing")
    request = fake.requests[-1]

    assert wait_until(lambda: request["client_left_at"], 1)
    assert wait_until(lambda: gate.requests_counted(key["id"], "status"), 1)
    assert gate.requests_counted(key["id"], "status") == {(499,): 1}


@pytest.mark.parametrize(
    "end", [("POST", "/revoke", None), ("PATCH", "", {"enabled": False}), ("DELETE", "", None)], ids=lambda e: e[0]
)
def test_a_key_that_is_taken_away_ends_its_stream_within_a_second(gate, fake, key, client, end):
    method, path, body = end
    stream = chat(client, "takes-its-time", stream=True)
    next(stream)
    request = fake.requests[-1]

    started = time.monotonic()
    gate.admin(method, f"/keys/{key['id']}{path}", body)
    with pytest.raises(openai.APIError):
        list(stream)

    assert time.monotonic() - started < 1
    assert wait_until(lambda: request["client_left_at"], 1), "the upstream goes on for nobody"
    with pytest.raises(openai.AuthenticationError) as refused:
        chat(client)
    assert refused.value.code == "invalid_api_key"


def test_other_keys_keep_their_streams(gate, key, client, connect):
    other = chat(connect(gate, gate.make_key()["key"]), "takes-its-time", stream=True)
    mine = chat(client, "takes-its-time", stream=True)
    next(other), next(mine)

    gate.admin("POST", f"/keys/{key['id']}/revoke")
    with pytest.raises(openai.APIError):
        list(mine)
    assert text_of([next(other) for _ in range(5)]) == "word " * 5
    other.close()
