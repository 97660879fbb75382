"""Usage counts exactly what was asked, and can be read at once."""

import openai
import pytest
from asking import chat
from fake_upstream import USAGE


def test_usage_counts_every_request_once_by_endpoint_status_and_model(gate, connect):
    key = gate.make_key(scopes=["chats:create", "models:read"])
    client = connect(gate, key["key"])
    for _ in range(3):
        chat(client)
    list(chat(client, stream=True))
    list(chat(client, "talks-too", stream=True, stream_options={"include_usage": True}))
    client.models.list()
    for ask in (
        lambda: chat(client, "status-400"),
        lambda: chat(client, "status-500"),
        lambda: client.completions.create(model="talks", prompt="?"),
        lambda: client.models.retrieve("gpt-none"),
    ):
        with pytest.raises(openai.APIStatusError):
            ask()

    counted = gate.requests_counted(key["id"], "endpoint", "status")
    assert counted == {
        ("/v1/chat/completions", 200): 5,
        ("/v1/chat/completions", 400): 1,
        ("/v1/chat/completions", 502): 1,
        ("/v1/completions", 403): 1,
        ("/v1/models", 200): 1,
        ("/v1/models/{id}", 404): 1,
    }
    assert gate.requests_counted(key["id"], "model", "status")[("talks", 200)] == 4
    assert gate.requests_counted(key["id"], "model", "status")[("talks-too", 200)] == 1


def test_usage_knows_the_tokens_of_plain_and_streamed_answers(gate, key, client):
    chat(client)
    list(chat(client, stream=True))
    client.completions.create(model="talks", prompt="?")
    totals = gate.usage(key["id"], "endpoint")["totals"]

    assert totals["requests"] == 3
    assert totals["errors"] == 0
    assert totals["prompt_tokens"] == 3 * USAGE["prompt_tokens"]
    assert totals["completion_tokens"] == 3 * USAGE["completion_tokens"]


def test_usage_is_there_as_soon_as_the_answer_is(gate, key, client):
    for count in range(1, 21):
        if count % 2:
            chat(client)
        else:
            list(chat(client, stream=True))
        assert gate.usage(key["id"], "status")["totals"]["requests"] == count


def test_totals_agree_however_they_are_grouped(gate, key, client):
    chat(client), chat(client, "talks-too"), client.models.list()
    groups = [["endpoint"], ["status"], ["model"], ["key"], ["endpoint", "status", "model", "key"]]
    reports = [gate.usage(key["id"], *group_by) for group_by in groups]

    assert [report["totals"]["requests"] for report in reports] == [3] * len(groups)
    assert [sum(row["requests"] for row in report["data"]) for report in reports] == [3] * len(groups)
