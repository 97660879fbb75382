"""The list of models, and what a key sees of it."""

import openai
import pytest
from asking import chat
from daemon import upstream
from fake_upstream import MODELS


def ids(client):
    return sorted(model.id for model in client.models.list())


def test_every_configured_model_is_listed(client):
    assert set(MODELS) <= set(ids(client))


def test_a_listed_model_can_be_retrieved(client):
    model = client.models.retrieve("talks")

    assert (model.id, model.object) == ("talks", "model")
    assert isinstance(model.created, int)


def test_echo_lists_itself(echo_client):
    assert ids(echo_client) == ["echo"]
    assert echo_client.models.retrieve("echo").id == "echo"


def test_a_model_that_nobody_has_is_not_found(client):
    for ask in (lambda: client.models.retrieve("gpt-none"), lambda: chat(client, "gpt-none")):
        with pytest.raises(openai.NotFoundError) as refused:
            ask()
        assert refused.value.type == "invalid_request_error"


def test_allowed_models_hide_all_others(gate, connect):
    client = connect(gate, gate.make_key(allowed_models=["talks"])["key"])

    assert ids(client) == ["talks"]
    assert client.models.retrieve("talks").id == "talks"
    with pytest.raises(openai.APIStatusError) as refused:
        client.models.retrieve("talks-too")
    assert refused.value.status_code in (403, 404)


def test_a_model_that_the_key_may_not_use_is_refused(gate, connect):
    client = connect(gate, gate.make_key(allowed_models=["talks"])["key"])

    assert chat(client, "talks").model == "talks"
    with pytest.raises(openai.PermissionDeniedError) as refused:
        chat(client, "talks-too")
    assert (refused.value.code, refused.value.type) == ("model_not_allowed", "permission_error")


def test_an_upstream_is_asked_for_its_models_where_the_configuration_says_so(fake, start, connect):
    daemon = start(upstream("fake", fake.base_url, ["*"]))
    client = connect(daemon, daemon.default_key())

    assert set(MODELS) <= set(ids(client))
    assert chat(client, "talks-too").model == "talks-too"


def test_a_table_of_models_gives_them_names_of_our_own(fake, start, connect):
    daemon = start(
        f'[[upstreams]]\nname = "fake"\nkind = "openai"\nbase_url = "{fake.base_url}"\nmodels = {{ ours = "talks" }}\n'
    )
    client = connect(daemon, daemon.default_key())

    assert "ours" in ids(client)
    assert chat(client, "ours").model == "talks", "`model` in an answer is the upstream's own word"
    assert fake.requests[-1]["body"]["model"] == "talks"
