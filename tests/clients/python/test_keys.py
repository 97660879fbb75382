"""A key's life as its holder sees it: rotation, expiry, restart, and the key itself."""

import openai
import pytest
import requests
from asking import chat


def test_after_a_rotation_both_keys_work_and_share_one_limit(gate, connect):
    old = gate.make_key(requests_per_minute=4)
    new = gate.admin("POST", f"/keys/{old['id']}/rotate", {"expire_old_in": "24h"})
    clients = [connect(gate, old["key"]), connect(gate, new["key"])]

    for client in clients * 2:
        assert chat(client).choices
    for client in clients:
        with pytest.raises(openai.RateLimitError) as refused:
            chat(client)
        assert refused.value.code == "rate_limit_exceeded"


def test_what_the_old_key_used_up_the_new_one_does_not_get_back(gate, connect):
    old = gate.make_key(requests_per_minute=3)
    for _ in range(2):
        chat(connect(gate, old["key"]))
    new = connect(gate, gate.admin("POST", f"/keys/{old['id']}/rotate", {"expire_old_in": "24h"})["key"])

    chat(new)
    with pytest.raises(openai.RateLimitError):
        chat(new)


def test_a_rotation_links_the_keys_both_ways(gate):
    old = gate.make_key(scopes=["models:read"], metadata={"team": "blue"})
    new = gate.admin("POST", f"/keys/{old['id']}/rotate", {"expire_old_in": "24h"})

    assert new["key"] != old["key"]
    assert new["rotated_from"] == old["id"]
    assert (new["scopes"], new["metadata"]) == (["models:read"], {"team": "blue"})
    assert gate.admin("GET", f"/keys/{old['id']}")["rotated_to"] == new["id"]
    assert gate.admin("GET", f"/keys/{old['id']}")["expires_at"] is not None


def test_a_change_is_in_force_for_the_very_next_request(gate, key, client):
    assert chat(client).choices
    gate.admin("PATCH", f"/keys/{key['id']}", {"scopes": ["models:read"]})
    with pytest.raises(openai.PermissionDeniedError):
        chat(client)

    gate.admin("PATCH", f"/keys/{key['id']}", {"scopes": ["chats:create"], "allowed_models": ["talks-too"]})
    with pytest.raises(openai.PermissionDeniedError):
        chat(client, "talks")
    assert chat(client, "talks-too").choices


def test_keys_and_what_they_used_outlive_a_restart(start, connect):
    daemon = start()
    key = daemon.make_key(requests_per_minute=2)
    revoked = daemon.make_key()
    daemon.admin("POST", f"/keys/{revoked['id']}/revoke")
    chat(connect(daemon, key["key"]))
    daemon.stop()
    daemon.start()

    assert daemon.requests_counted(key["id"], "status") == {(200,): 1}
    with pytest.raises(openai.AuthenticationError):
        chat(connect(daemon, revoked["key"]))
    chat(connect(daemon, key["key"]))
    with pytest.raises(openai.RateLimitError):
        chat(connect(daemon, key["key"]))


def test_a_key_may_look_at_itself(gate):
    key = gate.make_key(name="mine", scopes=["models:read"], requests_per_minute=7, metadata={"team": "blue"})
    answer = requests.get(f"{gate.url}/v1/key", headers={"Authorization": f"Bearer {key['key']}"}, timeout=10)
    shown = answer.json()

    assert answer.status_code == 200
    assert (shown["id"], shown["name"], shown["scopes"]) == (key["id"], "mine", ["models:read"])
    assert shown["metadata"] == {"team": "blue"}
    assert shown["hint"] == f"{key['key'][:11]}…{key['key'][-4:]}"
    assert key["key"] not in answer.text


def test_a_key_that_will_expire_says_so_with_every_answer(gate, connect):
    key = gate.make_key(expires_in="24h")
    answer = connect(gate, key["key"]).models.with_raw_response.list()

    assert answer.headers["x-mcp-key-expires"] == key["expires_at"]
