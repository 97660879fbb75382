"""Chat completions, plain and streamed."""

import asyncio

import openai
import pytest
from asking import MESSAGES, QUESTION, chat, text_of
from daemon import upstream
from fake_upstream import ANSWER, MODELS, USAGE


def test_the_echo_upstream_answers_any_model_name_with_the_question(echo_client):
    answer = chat(echo_client, "claude-3-5-sonnet")

    assert answer.choices[0].message.content == QUESTION
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "echo"
    assert answer.object == "chat.completion"


def test_echo_answers_with_the_last_user_message(echo_client):
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "third"},
    ]

    assert chat(echo_client, messages=conversation).choices[0].message.content == "third"


@pytest.mark.parametrize("text", ["ünï🦀 \u2028 \\n \"'", "line\nline\r\n\ndata: [DONE]\n\n", "x" * 200_000])
def test_text_survives_both_ways(echo_client, text):
    messages = [{"role": "user", "content": text}]

    assert chat(echo_client, messages=messages).choices[0].message.content == text
    assert text_of(chat(echo_client, messages=messages, stream=True)) == text


def test_an_echo_streamed_says_the_same_as_an_echo_plain(echo_client):
    chunks = list(chat(echo_client, stream=True))

    assert text_of(chunks) == QUESTION
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk.model for chunk in chunks} == {"echo"}
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]


def test_an_upstreams_answer_arrives_whole(client):
    answer = chat(client)

    assert answer.choices[0].message.content == "".join(ANSWER)
    assert answer.model == "talks"
    assert answer.usage.model_dump(include=set(USAGE)) == USAGE


def test_an_upstreams_stream_arrives_piece_by_piece(client):
    chunks = list(chat(client, stream=True))

    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_ends_with_done_and_is_never_held_back_or_cached(client):
    with client.chat.completions.with_streaming_response.create(
        model="talks", messages=MESSAGES, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in response.headers["cache-control"] or "no-store" in response.headers["cache-control"]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


@pytest.mark.parametrize("asked", [True, False, None])
def test_the_usage_chunk_comes_only_when_asked_for(fake, client, asked):
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    chunks = list(chat(client, stream=True, **options))
    extra = [chunk for chunk in chunks if not chunk.choices]

    assert text_of(chunks) == "".join(ANSWER)
    assert fake.requests[-1]["body"]["stream_options"]["include_usage"] is True, "mcpd itself always wants to know"
    if asked:
        assert extra == [chunks[-1]]
        assert extra[0].usage.model_dump(include=set(USAGE)) == USAGE
    else:
        assert extra == []


@pytest.mark.parametrize("asked", [True, False])
def test_echo_sends_its_usage_chunk_only_when_asked_for(echo_client, asked):
    chunks = list(chat(echo_client, stream=True, stream_options={"include_usage": asked}))

    assert [chunk.usage is not None for chunk in chunks if not chunk.choices] == ([True] if asked else [])


def test_an_upstream_that_refuses_stream_options_is_asked_again_without(fake, start, connect):
    daemon = start(upstream("fake", fake.base_url, MODELS))
    client = connect(daemon, daemon.default_key())

    assert text_of(chat(client, "no-stream-options", stream=True)) == "".join(ANSWER)
    assert "stream_options" not in fake.requests[-1]["body"]

    key = daemon.make_key()
    list(chat(connect(daemon, key["key"]), "talks", stream=True))
    told = daemon.usage(key["id"], "model")["totals"]
    assert told["completion_tokens"] == USAGE["completion_tokens"], "one model's refusal is not all models' refusal"


def test_the_stream_helper_of_the_sdk_puts_the_answer_together(client):
    with client.chat.completions.stream(model="talks", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == "".join(ANSWER)


def test_the_async_client_streams_many_answers_at_once(gate, key):
    async def one(client):
        stream = await client.chat.completions.create(model="talks", messages=MESSAGES, stream=True)
        return text_of([chunk async for chunk in stream])

    async def many():
        async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key=key["key"], timeout=10) as client:
            return await asyncio.gather(*(one(client) for _ in range(20)))

    assert asyncio.run(many()) == ["".join(ANSWER)] * 20


def test_the_default_key_of_the_first_start_works(echo, connect):
    assert chat(connect(echo, echo.default_key())).choices[0].message.content == QUESTION
