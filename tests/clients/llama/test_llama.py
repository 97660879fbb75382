"""A real model server behind mcpd: llama.cpp's, with a tiny model of our own (see make_tiny_model.py).

Run by `tests/run llama`, which builds the server first. Its quirks are what a gateway meets in the field: it sends no
usage with a stream, a first chunk without content, and answers one request at a time.
"""

import subprocess
import time
import urllib.request
from pathlib import Path

import openai
import pytest
from daemon import Daemon, free_port, upstream
from make_tiny_model import SENTENCE

HERE = Path(__file__).resolve().parent
MESSAGES = [{"role": "user", "content": "Who are you?"}]
CONTEXT_TOKENS = 512


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    cache = Path(subprocess.run([HERE / "prepare"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    port = free_port()
    log = tmp_path_factory.mktemp("llama") / "log"
    command = [cache / "venv/bin/python", "-m", "llama_cpp.server", "--model", cache / "tiny.gguf"]
    options = {
        "model_alias": "tiny",
        "port": port,
        "n_ctx": CONTEXT_TOKENS,
        "n_threads": 2,
        "interrupt_requests": False,
    }
    for name, value in options.items():
        command += [f"--{name}", str(value).lower()]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            base_url = f"http://127.0.0.1:{port}/v1"
            wait_until_it_answers(f"{base_url}/models", server, log)
            yield base_url
        finally:
            server.terminate()


def wait_until_it_answers(url, server, log):
    deadline = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"llama.cpp did not start:\n{log.read_text()}") from None
            time.sleep(0.05)


@pytest.fixture(scope="module")
def daemon(llama):
    with Daemon(upstream("llama", llama, ["*"])) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def client(daemon):
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key=daemon.default_key(), max_retries=0, timeout=30) as client:
        yield client


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_its_model_is_found_by_asking(client):
    assert "tiny" in [model.id for model in client.models.list()]


def test_it_answers(client):
    answer = client.chat.completions.create(model="tiny", messages=MESSAGES)

    assert answer.choices[0].message.content.strip() == SENTENCE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "tiny"


def test_it_streams_the_same_answer(client):
    chunks = list(client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True))

    assert text_of(chunks).strip() == SENTENCE
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > len(SENTENCE.split()), "a chunk for each word, at least"


def test_it_completes(client):
    request = {"model": "tiny", "prompt": "Who are you?\nassistant:", "max_tokens": 50}
    chunks = client.completions.create(**request, stream=True)

    assert client.completions.create(**request).choices[0].text.strip() == SENTENCE
    assert "".join(chunk.choices[0].text for chunk in chunks).strip() == SENTENCE


def test_its_refusal_is_passed_on(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x" * 2 * CONTEXT_TOKENS}])

    assert "context" in refused.value.message
    assert refused.value.code == "context_length_exceeded"


def test_what_it_used_is_counted(daemon, client):
    key = daemon.make_key()
    mine = client.with_options(api_key=key["key"])
    answer = mine.chat.completions.create(model="tiny", messages=MESSAGES)
    used = daemon.usage(key["id"], "model", "status")["totals"]

    assert used["requests"] == 1
    assert used["prompt_tokens"] == answer.usage.prompt_tokens > 0
    assert used["completion_tokens"] == answer.usage.completion_tokens > 0

    list(mine.chat.completions.create(model="tiny", messages=MESSAGES, stream=True))
    assert daemon.requests_counted(key["id"], "model", "status") == {("tiny", 200): 2}
