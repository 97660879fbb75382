"""Contexts, over the calls that OpenAI's client has for routes that it does not know."""

import openai
import pytest
from asking import MESSAGES, QUESTION, chat, text_of
from fake_upstream import ANSWER, TOOL_CALL

SYSTEM = {"role": "system", "content": "Answer in one sentence. Ünïcödé 🦀"}
ANSWERED = {"role": "assistant", "content": "".join(ANSWER)}
MISSING = "ctx_ABCDEFGHIJKLMNOPQRSTUVWX"


class Contexts:
    def __init__(self, client):
        self.client = client

    def create(self, **body):
        return self.client.post("/contexts", cast_to=object, body=body)

    def get(self, id):
        return self.client.get(f"/contexts/{id}", cast_to=object)

    def list(self, **query):
        return self.client.get("/contexts", cast_to=object, options={"params": query})

    def change(self, id, revision=None, **body):
        return self.client.patch(f"/contexts/{id}", cast_to=object, body=body, options=_if_match(revision))

    def append(self, id, *messages, revision=None):
        body = {"messages": messages}
        return self.client.post(f"/contexts/{id}/messages", cast_to=object, body=body, options=_if_match(revision))

    def delete(self, id):
        return self.client.delete(f"/contexts/{id}", cast_to=object)


def _if_match(revision):
    return {} if revision is None else {"headers": {"If-Match": f'"{revision}"'}}


@pytest.fixture
def contexts(client):
    return Contexts(client)


def test_a_context_is_kept_and_changed(contexts, key):
    made = contexts.create(name="geography", messages=[SYSTEM], metadata={"team": "blue"})

    assert made["id"].startswith("ctx_")
    assert (made["object"], made["name"], made["revision"]) == ("context", "geography", 1)
    assert (made["messages"], made["metadata"], made["created_by"]) == ([SYSTEM], {"team": "blue"}, key["id"])
    assert contexts.get(made["id"]) == made

    changed = contexts.change(made["id"], name=None, metadata={})
    assert (changed["name"], changed["metadata"], changed["messages"]) == (None, {}, [SYSTEM])
    appended = contexts.append(made["id"], *MESSAGES)
    assert (appended["messages"], appended["revision"]) == ([SYSTEM, *MESSAGES], 3)
    replaced = contexts.change(made["id"], messages=MESSAGES)
    assert (replaced["messages"], replaced["revision"]) == (MESSAGES, 4)

    assert contexts.delete(made["id"]) == {"id": made["id"], "object": "context", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        contexts.get(made["id"])


def test_nothing_has_to_be_said_of_a_context(contexts):
    made = contexts.create()

    assert (made["name"], made["messages"], made["metadata"]) == (None, [], {})


def test_a_lost_update_is_a_conflict(contexts):
    made = contexts.create()
    contexts.append(made["id"], SYSTEM, revision=1)

    for late in (
        lambda: contexts.change(made["id"], revision=1, name="late"),
        lambda: contexts.append(made["id"], SYSTEM, revision=1),
    ):
        with pytest.raises(openai.ConflictError) as refused:
            late()
        assert refused.value.code == "revision_conflict"
    assert contexts.get(made["id"])["revision"] == 2
    assert contexts.change(made["id"], revision=2, name="in time")["name"] == "in time"


def test_lists_are_paged_through(start, connect):
    daemon = start()
    contexts = Contexts(connect(daemon, daemon.make_key()["key"]))
    ids = [contexts.create(name=str(n), messages=[SYSTEM])["id"] for n in range(5)]

    seen, page = [], {"has_more": True, "last_id": None}
    while page["has_more"]:
        page = contexts.list(limit=2, **({"after": page["last_id"]} if seen else {}))
        seen += [context["id"] for context in page["data"]]
        assert page["data"][0]["messages"] == [SYSTEM]
    assert seen == ids[::-1]
    assert [context["id"] for context in contexts.list(order="asc")["data"]] == ids


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [SYSTEM, {"role": "user", "content": 7}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"}]}, "messages[0]"),
        ({"messages": "Hi"}, "messages"),
        ({"name": " "}, "name"),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"metadata": {str(n): "" for n in range(33)}}, "metadata"),
        ({"title": "geography"}, "title"),
    ],
)
def test_what_is_wrong_is_named(body, field, contexts):
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        contexts.create(**body)
    assert (refused.value.code, f"`{field}`" in refused.value.message) == ("invalid_request", True)
    assert "ABCDEFGHIJKLMNOP" not in refused.value.message


def test_a_context_has_its_limit(start, connect):
    daemon = start()
    daemon.stop()
    settings = daemon.folder / "mcpd.toml"
    settings.write_text(settings.read_text().replace("[server]", "[server]\nmax_json_bytes = 2000"))
    daemon.start()
    contexts = Contexts(connect(daemon, daemon.make_key()["key"]))
    long = {"role": "user", "content": "x" * 1500}
    made = contexts.create(messages=[long])

    for ask in (
        lambda: contexts.append(made["id"], long),
        lambda: chat(contexts.client, messages=[long], extra_body={"context": made["id"]}),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            ask()
        assert (refused.value.status_code, refused.value.code) == (413, "payload_too_large")
    assert contexts.get(made["id"])["revision"] == 1


# ---- contexts in chats


def test_a_chat_goes_on_from_a_context(contexts, fake):
    made = contexts.create(messages=[SYSTEM])
    assert chat(contexts.client, extra_body={"context": made["id"]}).choices

    sent = fake.requests[-1]["body"]
    assert sent["messages"] == [SYSTEM, *MESSAGES]
    assert not {"context", "context_append"} & sent.keys()
    assert contexts.get(made["id"]) == made


@pytest.mark.parametrize("stream", [False, True])
def test_question_and_answer_are_appended(stream, contexts, fake):
    made = contexts.create(messages=[SYSTEM])
    for turn in (1, 2):
        answer = chat(contexts.client, stream=stream, extra_body={"context": made["id"], "context_append": True})
        said = text_of(list(answer)) if stream else answer.choices[0].message.content
        assert said == ANSWERED["content"]
        # It is there by the time that the answer has ended.
        after = contexts.get(made["id"])
        assert after["messages"] == [SYSTEM, *[*MESSAGES, ANSWERED] * turn]
        assert after["revision"] == 1 + turn
    assert fake.requests[-1]["body"]["messages"] == [SYSTEM, *MESSAGES, ANSWERED, *MESSAGES]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_a_tool_is_appended_as_it_is(stream, contexts):
    made = contexts.create()
    answer = chat(
        contexts.client, "calls-a-tool", stream=stream, extra_body={"context": made["id"], "context_append": True}
    )
    assert list(answer) if stream else answer

    [_, called] = contexts.get(made["id"])["messages"]
    assert called == {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}


@pytest.mark.parametrize("model", ["breaks-off", "stops-short", "fails-midway"])
def test_an_answer_that_is_not_complete_is_not_appended(model, contexts):
    made = contexts.create(messages=[SYSTEM])
    with pytest.raises(openai.APIError):
        list(chat(contexts.client, model, stream=True, extra_body={"context": made["id"], "context_append": True}))

    assert contexts.get(made["id"]) == made


def test_a_client_that_leaves_appends_nothing(contexts):
    made = contexts.create(messages=[SYSTEM])
    extra = {"context": made["id"], "context_append": True}
    with chat(contexts.client, "takes-its-time", stream=True, extra_body=extra) as stream:
        next(iter(stream))

    assert contexts.get(made["id"]) == made


def test_the_context_s_messages_alone_are_a_chat_too(contexts, fake):
    made = contexts.create(messages=[SYSTEM, *MESSAGES])
    chat(contexts.client, messages=[], extra_body={"context": made["id"], "context_append": True})

    assert fake.requests[-1]["body"]["messages"] == [SYSTEM, *MESSAGES]
    assert contexts.get(made["id"])["messages"] == [SYSTEM, *MESSAGES, ANSWERED]


def test_a_file_in_a_context_is_read_anew_for_each_chat(contexts, fake):
    file = contexts.client.files.create(file=("notes.txt", b"Paris it is."), purpose="user_data")
    named = {"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}
    made = contexts.create(messages=[named])
    chat(contexts.client, extra_body={"context": made["id"]})

    sent = {"role": "user", "content": [{"type": "text", "text": "Paris it is."}]}
    assert fake.requests[-1]["body"]["messages"] == [sent, *MESSAGES]
    assert contexts.get(made["id"])["messages"] == [named]
    contexts.client.files.delete(file.id)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat(contexts.client, extra_body={"context": made["id"]})
    assert "context.messages[0].content[0].file.file_id" in refused.value.message


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [
        (["chats:create"], "contexts:read"),
        (["chats:create", "contexts:write"], "contexts:read"),
        (["chats:create", "contexts:read"], "contexts:write"),
    ],
)
def test_each_scope_that_a_chat_calls_for_is_asked_for(scopes, missing, contexts, gate, connect):
    made = contexts.create(messages=[SYSTEM])
    narrow = connect(gate, gate.make_key(scopes=scopes)["key"])
    with pytest.raises(openai.PermissionDeniedError) as refused:
        chat(narrow, extra_body={"context": made["id"], "context_append": True})

    assert (refused.value.code, missing in refused.value.message) == ("insufficient_scope", True)
    assert contexts.get(made["id"]) == made


def test_a_context_that_is_not_there_is_not_found(contexts):
    for missing in (MISSING, "geography"):
        with pytest.raises(openai.NotFoundError) as refused:
            chat(contexts.client, extra_body={"context": missing})
        assert refused.value.code == "not_found"
    with pytest.raises(openai.UnprocessableEntityError):
        chat(contexts.client, extra_body={"context_append": True})


def test_a_context_is_shared_by_all_keys_and_outlives_its_maker(gate, connect):
    maker, other = gate.make_key(), gate.make_key()
    made = Contexts(connect(gate, maker["key"])).create(messages=MESSAGES)
    gate.admin("DELETE", f"/keys/{maker['id']}")
    appended = Contexts(connect(gate, other["key"])).append(made["id"], ANSWERED)

    assert appended["created_by"] == maker["id"]
    assert appended["messages"][0]["content"] == QUESTION
