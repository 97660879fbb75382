"""Limits, and the retries that OpenAI's SDK makes of its own accord."""

import asyncio
import threading
import time

import openai
import pytest
from asking import MESSAGES, chat


def test_the_sdk_waits_as_long_as_it_is_told_and_then_gets_through(gate, connect):
    key = gate.make_key(max_concurrent=1)
    patient = connect(gate, key["key"], max_retries=3)
    in_the_way = chat(patient, "takes-its-time", stream=True)
    next(in_the_way)

    started = time.monotonic()
    threading.Timer(0.3, in_the_way.close).start()
    assert chat(patient).choices

    assert time.monotonic() - started >= 1, "Retry-After: 1 was not waited for"
    assert gate.requests_counted(key["id"], "status")[(429,)] >= 1


def test_the_sdk_gives_up_with_a_rate_limit_error_after_its_retries(gate, connect):
    key = gate.make_key(max_concurrent=1)
    in_the_way = chat(connect(gate, key["key"]), "takes-its-time", stream=True)
    next(in_the_way)

    started = time.monotonic()
    with pytest.raises(openai.RateLimitError) as refused:
        chat(connect(gate, key["key"], max_retries=2))

    assert refused.value.code == "concurrency_limit_exceeded"
    assert refused.value.type == "rate_limit_error"
    assert refused.value.response.headers["retry-after"] == "1"
    assert time.monotonic() - started >= 2, "two retries, a second each"
    assert gate.requests_counted(key["id"], "status") == {(429,): 3}, "the stream is still on"


def test_a_stream_that_has_ended_gives_its_place_back(gate, connect):
    client = connect(gate, gate.make_key(max_concurrent=1)["key"])

    for _ in range(3):
        list(chat(client, stream=True))
    for model in ("status-500", "status-400"):
        with pytest.raises(openai.APIStatusError):
            chat(client, model)
    assert chat(client).choices


def test_of_fifty_requests_at_once_exactly_ten_get_through(gate):
    key = gate.make_key(requests_per_minute=10)

    async def one(client):
        try:
            await client.chat.completions.create(model="talks", messages=MESSAGES)
        except openai.RateLimitError:
            return "refused"
        return "let through"

    async def fifty():
        async with openai.AsyncOpenAI(
            base_url=f"{gate.url}/v1", api_key=key["key"], max_retries=0, timeout=30
        ) as client:
            return await asyncio.gather(*(one(client) for _ in range(50)))

    outcomes = asyncio.run(fifty())

    assert outcomes.count("let through") == 10
    assert gate.requests_counted(key["id"], "status") == {(200,): 10, (429,): 40}


def test_every_answer_says_what_remains(gate, connect):
    client = connect(gate, gate.make_key(requests_per_minute=5)["key"])

    remaining = [client.models.with_raw_response.list().headers["x-ratelimit-remaining"] for _ in range(3)]
    assert remaining == ["4", "3", "2"]

    headers = client.models.with_raw_response.list().headers
    assert headers["x-ratelimit-limit"] == "5"
    assert 1 <= int(headers["x-ratelimit-reset"]) <= 60
    assert ";r=1" in headers["ratelimit"]
    assert ";q=5" in headers["ratelimit-policy"]


def test_a_refusal_uses_up_nothing(gate, connect):
    client = connect(gate, gate.make_key(requests_per_minute=2, scopes=["models:read"])["key"])

    for _ in range(5):
        with pytest.raises(openai.PermissionDeniedError):
            chat(client)
    assert client.models.with_raw_response.list().headers["x-ratelimit-remaining"] == "1"
