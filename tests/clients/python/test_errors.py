"""Every error reaches the program as the exception class that OpenAI's SDK has for it."""

import time

import openai
import pytest
from asking import MESSAGES, chat
from daemon import free_port, upstream

INVALID = {
    "code": "invalid_api_key",
    "message": "The API key provided is invalid or has been revoked",
    "type": "authentication_error",
}


def refusal(expected, ask):
    """Returns the exception of exactly that class which `ask` ends in."""
    with pytest.raises(expected) as refused:
        ask()
    assert type(refused.value) is expected
    return refused.value


def said(error):
    return (error.code, error.type)


# ---- 401


def test_an_unknown_key_is_an_authentication_error(gate, connect):
    stranger = connect(gate, "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38")
    error = refusal(openai.AuthenticationError, lambda: chat(stranger))

    assert error.status_code == 401
    assert error.response.json() == {"error": INVALID}
    assert error.response.headers["www-authenticate"] == 'Bearer realm="mcpd", error="invalid_token"'


@pytest.mark.parametrize("junk", ["sk-from-somewhere-else", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg39", "mcp_sk_"])
def test_a_malformed_key_gets_the_same_answer_as_an_unknown_one(gate, connect, junk):
    assert refusal(openai.AuthenticationError, lambda: chat(connect(gate, junk))).body == INVALID


def test_no_key_at_all_is_told_apart(gate, connect):
    nobody = connect(gate, "unused")
    error = refusal(openai.AuthenticationError, lambda: chat(nobody, extra_headers={"Authorization": openai.omit}))

    assert said(error) == ("missing_api_key", "authentication_error")
    assert error.response.headers["www-authenticate"] == 'Bearer realm="mcpd"'


def test_a_disabled_key_is_refused_until_it_is_enabled_again(gate, key, client):
    gate.admin("PATCH", f"/keys/{key['id']}", {"enabled": False})
    assert refusal(openai.AuthenticationError, lambda: chat(client)).body == INVALID

    gate.admin("PATCH", f"/keys/{key['id']}", {"enabled": True})
    assert chat(client).choices


def test_a_revoked_key_is_refused_by_the_very_next_request(gate, key, client):
    assert chat(client).choices
    gate.admin("POST", f"/keys/{key['id']}/revoke")

    assert refusal(openai.AuthenticationError, lambda: chat(client)).response.json() == {"error": INVALID}


def test_a_deleted_key_is_refused_by_the_very_next_request(gate, key, client):
    gate.admin("DELETE", f"/keys/{key['id']}")

    assert refusal(openai.AuthenticationError, lambda: chat(client)).body == INVALID


def test_an_expired_key_is_told_that_it_expired(gate, connect):
    client = connect(gate, gate.make_key(expires_in="1s")["key"])
    deadline = time.monotonic() + 3

    def ask_until_it_expires():
        while time.monotonic() < deadline:
            client.models.list()

    error = refusal(openai.AuthenticationError, ask_until_it_expires)
    assert said(error) == ("expired_api_key", "authentication_error")


# ---- 403


def test_a_missing_scope_is_a_permission_error_that_names_it(gate, connect):
    client = connect(gate, gate.make_key(scopes=["models:read"])["key"])
    error = refusal(openai.PermissionDeniedError, lambda: chat(client))

    assert said(error) == ("insufficient_scope", "permission_error")
    assert "chats:create" in error.message
    assert 'error="insufficient_scope"' in error.response.headers["www-authenticate"]
    assert 'scope="chats:create"' in error.response.headers["www-authenticate"]


def test_an_address_outside_the_keys_networks_is_a_permission_error(gate, connect):
    client = connect(gate, gate.make_key(allowed_ips=["203.0.113.0/24"])["key"])
    error = refusal(openai.PermissionDeniedError, lambda: chat(client))

    assert said(error) == ("ip_not_allowed", "permission_error")


# ---- 429


def test_a_used_up_limit_is_a_rate_limit_error(gate, connect):
    client = connect(gate, gate.make_key(requests_per_minute=2)["key"])
    chat(client), chat(client)
    error = refusal(openai.RateLimitError, lambda: chat(client))

    assert said(error) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-ratelimit-limit"] == "2"
    assert error.response.headers["x-ratelimit-remaining"] == "0"


def test_too_many_bad_keys_from_one_address_are_slowed_down_but_a_good_one_is_not(start, connect):
    daemon = start("[limits]\nfailed_auth_per_minute = 3\n")
    guesser = connect(daemon, "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38")
    for _ in range(3):
        refusal(openai.AuthenticationError, lambda: chat(guesser))
    error = refusal(openai.RateLimitError, lambda: chat(guesser))

    assert said(error) == ("too_many_failed_attempts", "rate_limit_error")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert chat(connect(daemon, daemon.default_key())).choices


# ---- 400, 404, 422


def test_json_that_does_not_parse_is_a_bad_request(client):
    ask = lambda: client.post("/chat/completions", cast_to=object, content=b'{"model": ')  # noqa: E731

    assert said(refusal(openai.BadRequestError, ask)) == ("invalid_json", "invalid_request_error")


def test_a_key_in_the_query_string_is_a_bad_request(gate, key, client):
    error = refusal(openai.BadRequestError, lambda: chat(client, extra_query={"api_key": key["key"]}))

    assert said(error) == ("invalid_request", "invalid_request_error")
    assert key["key"] not in error.response.text
    assert key["key"] not in gate.log()


def test_an_unknown_path_is_not_found(client):
    error = refusal(openai.NotFoundError, lambda: client.get("/embeddings/none", cast_to=object))

    assert said(error) == ("not_found", "invalid_request_error")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("model", {"messages": MESSAGES}),
        ("model", {"model": 5, "messages": MESSAGES}),
        ("messages", {"model": "talks"}),
        ("messages", {"model": "talks", "messages": "hello"}),
        ("object", [1, 2]),
    ],
)
def test_a_wrong_field_is_an_unprocessable_entity_and_the_message_names_it(client, field, body):
    ask = lambda: client.post("/chat/completions", cast_to=object, body=body)  # noqa: E731
    error = refusal(openai.UnprocessableEntityError, ask)

    assert said(error) == ("invalid_request", "invalid_request_error")
    assert field in error.message


# ---- what the upstream says


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_refusal_keeps_its_status_and_message(client, status, expected, stream):
    error = refusal(expected, lambda: chat(client, f"status-{status}", stream=stream))

    assert error.status_code == status
    assert f"the fake says {status}" in error.message


@pytest.mark.parametrize("model", ["status-500", "status-503", "status-401", "status-403", "mumbles"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_own_trouble_is_a_502_that_does_not_say_why(client, model, stream):
    error = refusal(openai.InternalServerError, lambda: chat(client, model, stream=stream))

    assert error.status_code == 502
    assert said(error) == ("upstream_error", "api_error")
    assert "the fake says" not in error.message


def test_an_upstream_that_hangs_up_is_an_internal_server_error(client):
    error = refusal(openai.InternalServerError, lambda: chat(client, "hangs-up"))

    assert error.type == "api_error"


def test_an_upstream_that_nobody_can_reach_is_a_503(start, connect):
    daemon = start(upstream("gone", f"http://127.0.0.1:{free_port()}/v1", ["talks"]))
    error = refusal(openai.InternalServerError, lambda: chat(connect(daemon, daemon.default_key())))

    assert error.status_code == 503
    assert said(error) == ("upstream_unavailable", "api_error")


def test_an_upstream_that_does_not_answer_in_time_is_a_504(fake, start, connect):
    daemon = start(upstream("slow", fake.base_url, ["says-nothing"], timeout_seconds=1))
    error = refusal(openai.InternalServerError, lambda: chat(connect(daemon, daemon.default_key()), "says-nothing"))

    assert error.status_code == 504
    assert said(error) == ("upstream_timeout", "api_error")
