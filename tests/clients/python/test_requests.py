"""What passes through untouched, what stays behind, and the request's own name."""

import json

import openai
import pytest
from asking import MESSAGES, chat, text_of
from fake_upstream import ANSWER, EXTRA, TOOL_CALL

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def test_tools_go_up_and_a_tool_call_comes_back(fake, client):
    answer = chat(client, "calls-a-tool", tools=[TOOL], tool_choice="auto")

    assert fake.requests[-1]["body"]["tools"] == [TOOL]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].model_dump() == TOOL_CALL


def test_a_streamed_tool_call_comes_together(client):
    with client.chat.completions.stream(model="calls-a-tool", messages=MESSAGES, tools=[TOOL]) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]

    assert (call.id, call.function.name) == ("call_1", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_a_tools_result_goes_up_as_it_was_given(fake, client):
    turns = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    chat(client, messages=turns)

    assert fake.requests[-1]["body"]["messages"] == turns


def test_unknown_fields_pass_through_both_ways(fake, client):
    unknown = {
        "x_mine": {"exact": 9007199254740993, "small": 1e-7, "words": ["ü", "🦀", ""], "none": None},
        "top_k": 40,
    }
    answer = chat(client, extra_body=unknown, temperature=0.1)

    body = fake.requests[-1]["body"]
    assert {name: body[name] for name in unknown} == unknown
    assert body["temperature"] == 0.1
    assert answer.model_extra["x_fake"] == EXTRA["x_fake"]


def test_unknown_fields_pass_through_a_stream(client):
    chunks = list(chat(client, stream=True))

    assert text_of(chunks) == "".join(ANSWER)
    assert all(chunk.model_extra["x_fake"] == EXTRA["x_fake"] for chunk in chunks)


def test_pictures_go_up_as_they_were_given(fake, client):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    chat(client, messages=[{"role": "user", "content": parts}])

    assert fake.requests[-1]["body"]["messages"][0]["content"] == parts


def test_what_is_the_callers_own_stays_behind(fake, key, client):
    chat(client, extra_headers={"Cookie": "session=secret", "X-MCP-Anything": "secret"})

    sent = json.dumps(fake.requests[-1])
    assert key["key"] not in sent
    assert "secret" not in sent
    assert "authorization" not in fake.requests[-1]["headers"], "this upstream has no key of its own"


def test_the_upstreams_own_key_is_sent_instead(fake, start, connect):
    daemon = start(
        f'[[upstreams]]\nname = "fake"\nkind = "openai"\nbase_url = "{fake.base_url}"\n'
        'models = ["talks"]\napi_key = "the-upstreams-own"\n'
    )
    chat(connect(daemon, daemon.default_key()))

    assert fake.requests[-1]["headers"]["authorization"] == "Bearer the-upstreams-own"
    assert "the-upstreams-own" not in daemon.log()


def test_every_answer_has_a_request_id(client):
    ids = {chat(client)._request_id, chat(client)._request_id, client.models.list()._request_id}

    assert len(ids) == 3
    assert all(ids)


def test_a_request_id_of_the_callers_own_is_kept(client):
    assert chat(client, extra_headers={"X-Request-Id": "my.own_id-1"})._request_id == "my.own_id-1"
    assert chat(client, extra_headers={"X-Request-Id": "not one of ours"})._request_id != "not one of ours"


def test_an_error_has_a_request_id_too(gate, connect):
    with pytest.raises(openai.AuthenticationError) as refused:
        chat(connect(gate, "junk"), extra_headers={"X-Request-Id": "lost-and-found"})
    assert refused.value.request_id == "lost-and-found"
