"""Files, as OpenAI's client and plain `requests` store and read them."""

import hashlib
import hmac
import random
import time
from uuid import uuid4

import openai
import pytest
import requests
from asking import QUESTION, chat

TEXT = "Paris is the capital of France. Ünïcödé 🦀\n"
LARGE = random.Random(1).randbytes(5 * 1024 * 1024 + 7)
MISSING = "file_ABCDEFGHIJKLMNOPQRSTUVWX"
ODD_NAMES = [
    "naïve 日本語 🦀.txt",
    'he said "hi".txt',
    "C:\\notes\\a.txt",
    "100% 'sure'; really.txt",
    "../../etc/passwd",
]


@pytest.fixture
def purpose():
    """A purpose of the test's own: files are shared by all keys, so a list may show others' too."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def store(client):
    """Stores a file with OpenAI's client, and returns what it was told of it."""
    return lambda file, purpose="user_data": client.files.create(file=file, purpose=purpose)


def part(file_id):
    return {"type": "file", "file": {"file_id": file_id}}


def upload(gate, secret, name="notes.txt", content=TEXT.encode(), **options):
    """Stores a file with `requests`."""
    return requests.post(
        f"{gate.url}/v1/files",
        files={"file": (name, content)},
        data={"purpose": "user_data"},
        headers={"Authorization": f"Bearer {secret}"},
        timeout=20,
        **options,
    )


class Signed(requests.auth.AuthBase):
    """Signs a request's body, form or not, once it is put together."""

    def __init__(self, secret, tamper=False):
        self.secret, self.tamper = secret, tamper

    def __call__(self, request):
        timestamp, nonce = str(int(time.time())), uuid4().hex
        signed = f"{timestamp}.{nonce}.".encode() + (request.body or b"") + (b"!" if self.tamper else b"")
        request.headers["X-MCP-Timestamp"], request.headers["X-MCP-Nonce"] = timestamp, nonce
        request.headers["X-MCP-Signature"] = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        request.headers["Authorization"] = f"Bearer {self.secret}"
        return request


# ---- what goes in comes out


def test_a_file_is_described_as_openai_s_client_knows_it(store, key):
    before = int(time.time())
    file = store(("notes.txt", TEXT.encode()))

    assert file.id.startswith("file_")
    assert (file.object, file.filename, file.purpose, file.status) == ("file", "notes.txt", "user_data", "processed")
    assert file.bytes == len(TEXT.encode())
    assert before <= file.created_at <= time.time()
    assert file.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert file.created_by == key["id"]


@pytest.mark.parametrize("form", ["bytes", "path", "open file", "tuple", "tuple with a type"])
def test_every_way_to_name_a_file_works(form, store, client, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(TEXT)
    with path.open("rb") as opened:
        forms = {
            "bytes": TEXT.encode(),
            "path": path,
            "open file": opened,
            "tuple": ("notes.txt", TEXT.encode()),
            "tuple with a type": ("notes.txt", TEXT.encode(), "text/plain"),
        }
        file = store(forms[form])

    # Of bytes alone the client says no name, and makes one up.
    assert file.filename == ("upload" if form == "bytes" else "notes.txt")
    assert client.files.content(file.id).read() == TEXT.encode()


def test_an_empty_file_is_a_file(store, client):
    file = store(("empty.txt", b""))

    assert file.bytes == 0
    assert client.files.content(file.id).read() == b""


def test_a_large_file_comes_back_to_the_byte(store, client, tmp_path):
    file = store(("large.bin", LARGE))

    assert (file.bytes, file.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert client.files.content(file.id).read() == LARGE
    with client.files.with_streaming_response.content(file.id) as answer:
        answer.stream_to_file(tmp_path / "streamed")
    assert (tmp_path / "streamed").read_bytes() == LARGE


def test_a_part_of_a_file_may_be_asked_for(store, client):
    file = store(("large.bin", LARGE))
    answer = client.files.content(file.id, extra_headers={"Range": "bytes=131070-131080"})

    assert answer.response.status_code == 206
    assert answer.response.headers["content-range"] == f"bytes 131070-131080/{len(LARGE)}"
    assert answer.read() == LARGE[131070:131081]


def test_what_a_client_has_already_is_not_sent_again(store, gate, key):
    url = f"{gate.url}/v1/files/{store(('notes.txt', TEXT.encode())).id}/content"
    headers = {"Authorization": f"Bearer {key['key']}"}
    first = requests.get(url, headers=headers, timeout=10)
    again = requests.get(url, headers={**headers, "If-None-Match": first.headers["ETag"]}, timeout=10)

    assert (again.status_code, again.content) == (304, b"")
    for name in ("ETag", "Cache-Control"):
        assert again.headers[name] == first.headers[name]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept_to_the_letter(name, store, client, gate, key):
    assert store((name, b"x")).filename == name
    answer = upload(gate, key["key"], name)

    assert answer.json()["filename"] == name
    assert client.files.retrieve(answer.json()["id"]).filename == name
    assert client.files.content(answer.json()["id"]).response.headers["content-disposition"].startswith("attachment;")


# ---- the others of OpenAI's calls


def test_a_file_is_there_at_once_and_gone_at_once(store, client):
    file = store(("notes.txt", TEXT.encode()))

    assert client.files.retrieve(file.id) == file
    assert client.files.wait_for_processing(file.id, poll_interval=0.01, max_wait_seconds=1) == file
    gone = client.files.delete(file.id)
    assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(file.id)


def test_lists_are_paged_through(store, client, purpose):
    ids = [store((f"{n}.txt", b"x"), purpose).id for n in range(5)]

    first = client.files.list(purpose=purpose, limit=2)
    assert ([file.id for file in first.data], first.has_more) == (ids[:2:-1], True)
    assert [file.id for file in client.files.list(purpose=purpose, limit=2)] == ids[::-1]
    assert [file.id for file in client.files.list(purpose=purpose, limit=2, order="asc")] == ids
    assert [file.id for file in client.files.list(purpose=purpose, after=ids[1])] == ids[:1]
    assert set(ids) <= {file.id for file in client.files.list()}


def test_any_key_with_the_scope_reads_what_another_stored(store, gate, connect):
    file = store(("notes.txt", TEXT.encode()))
    reader = connect(gate, gate.make_key(scopes=["files:read"])["key"])

    assert reader.files.content(file.id).read() == TEXT.encode()
    with pytest.raises(openai.PermissionDeniedError) as refused:
        reader.files.delete(file.id)
    assert (refused.value.code, "files:write" in refused.value.message) == ("insufficient_scope", True)


def test_a_file_outlives_its_key_and_a_restart(start, connect):
    daemon = start()
    maker, reader = daemon.make_key(), daemon.make_key()
    file = connect(daemon, maker["key"]).files.create(file=("large.bin", LARGE), purpose="user_data")
    daemon.admin("DELETE", f"/keys/{maker['id']}")
    daemon.stop()
    daemon.start()

    client = connect(daemon, reader["key"])
    assert client.files.retrieve(file.id).created_by == maker["id"]
    assert client.files.content(file.id).read() == LARGE


# ---- refusals


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (openai.NotFoundError, lambda files: files.retrieve(MISSING)),
        (openai.NotFoundError, lambda files: files.content("notes.txt")),
        (openai.BadRequestError, lambda files: files.list(limit=0)),
        (openai.BadRequestError, lambda files: files.list(after="notes.txt")),
    ],
)
def test_what_is_not_there_is_not_given(error, call, client):
    with pytest.raises(error) as refused:
        call(client.files)
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"purpose": "two words"}, "purpose"),
        ({"file": ("", b"x")}, "file"),
        ({"file": ("a\0b", b"x")}, "file"),
        ({"file": ("x" * 1025, b"x")}, "file"),
        ({"file": ("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38.txt", b"x")}, "file"),
        ({"expires_after": {"anchor": "created_at", "seconds": 3600}}, "expires_after[anchor]"),
    ],
)
def test_what_is_wrong_is_named(fields, name, client):
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.files.create(**{"file": b"x", "purpose": "user_data", **fields})
    assert (refused.value.code, f"`{name}`" in refused.value.message) == ("invalid_request", True)


def test_what_is_too_large_is_refused_and_leaves_nothing(start, connect):
    daemon = start("\n[files]\nmax_bytes = 1000000\ntotal_bytes = 1500000\n")
    client = connect(daemon, daemon.make_key()["key"])

    # One is refused by what its head says, the other once it is longer than it may be.
    for content in (LARGE, LARGE[:1000001]):
        with pytest.raises(openai.APIStatusError) as refused:
            client.files.create(file=content, purpose="a")
        assert (refused.value.status_code, refused.value.code) == (413, "payload_too_large")
    first = client.files.create(file=LARGE[:1000000], purpose="a")
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=LARGE[:1000000], purpose="a")
    assert refused.value.status_code == 413
    assert [file.id for file in client.files.list()] == [first.id]

    client.files.delete(first.id)
    assert client.files.create(file=LARGE[:1000000], purpose="a").bytes == 1000000


def test_a_key_without_the_scope_may_not_store(gate, connect):
    with pytest.raises(openai.PermissionDeniedError) as refused:
        connect(gate, gate.make_key(scopes=["files:read"])["key"]).files.create(file=LARGE, purpose="a")
    assert refused.value.code == "insufficient_scope"


def test_a_signed_upload_is_kept_and_one_with_another_body_is_not(gate):
    secret = gate.make_key(require_signature=True)["key"]
    read = {"auth": Signed(secret), "timeout": 10}
    name = f"{uuid4().hex}.bin"

    refused = upload(gate, secret, name, LARGE, auth=Signed(secret, tamper=True))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_signature")
    assert name not in requests.get(f"{gate.url}/v1/files", **read).text

    kept = upload(gate, secret, name, LARGE, auth=Signed(secret))
    assert kept.status_code == 200, kept.text
    assert requests.get(f"{gate.url}/v1/files/{kept.json()['id']}/content", **read).content == LARGE


# ---- files in chats


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_given_the_text_of_a_file(stream, store, client, fake):
    file = store(("notes.txt", TEXT.encode()))
    question = {"type": "text", "text": QUESTION}
    answer = chat(client, messages=[{"role": "user", "content": [part(file.id), question]}], stream=stream)
    assert list(answer) if stream else answer.choices

    [message] = fake.requests[-1]["body"]["messages"]
    assert message["content"] == [{"type": "text", "text": TEXT}, question]


def test_others_files_are_the_upstream_s_to_know(client, fake):
    chat(client, messages=[{"role": "user", "content": [part("file-abc123")]}])

    assert fake.requests[-1]["body"]["messages"][0]["content"] == [part("file-abc123")]


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a\0b"])
def test_a_file_that_is_none_or_no_text_is_an_unprocessable_entity(content, store, client):
    file_id = MISSING if content is None else store(("data.bin", content)).id

    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat(client, messages=[{"role": "user", "content": [part(file_id)]}])
    assert "messages[0].content[0].file.file_id" in refused.value.message


def test_a_chat_with_a_file_needs_the_scope_to_read_it(store, gate, connect):
    file = store(("notes.txt", TEXT.encode()))
    with pytest.raises(openai.PermissionDeniedError) as refused:
        talker = connect(gate, gate.make_key(scopes=["chats:create"])["key"])
        chat(talker, messages=[{"role": "user", "content": [part(file.id)]}])
    assert (refused.value.code, "files:read" in refused.value.message) == ("insufficient_scope", True)
