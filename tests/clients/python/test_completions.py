"""Legacy completions, plain and streamed."""

from asking import QUESTION
from fake_upstream import ANSWER, USAGE


def complete(client, **fields):
    return client.completions.create(**{"model": "talks", "prompt": QUESTION, **fields})


def test_echo_completes_with_the_prompt(echo_client):
    answer = complete(echo_client)

    assert answer.choices[0].text == QUESTION
    assert answer.object == "text_completion"
    assert answer.model == "echo"


def test_echo_streams_the_prompt(echo_client):
    assert "".join(chunk.choices[0].text for chunk in complete(echo_client, stream=True) if chunk.choices) == QUESTION


def test_an_upstreams_completion_arrives_whole(client):
    answer = complete(client)

    assert answer.choices[0].text == "".join(ANSWER)
    assert answer.usage.model_dump(include=set(USAGE)) == USAGE


def test_an_upstreams_completion_arrives_piece_by_piece(client):
    chunks = list(complete(client, stream=True))

    assert [chunk.choices[0].text for chunk in chunks if chunk.choices] == ANSWER
    assert all(chunk.choices for chunk in chunks), "nobody asked for usage"


def test_a_completions_usage_chunk_comes_when_asked_for(client):
    chunks = list(complete(client, stream=True, stream_options={"include_usage": True}))

    assert chunks[-1].choices == []
    assert chunks[-1].usage.model_dump(include=set(USAGE)) == USAGE
