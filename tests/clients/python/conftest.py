"""What every test here stands on: the fake upstream, an mcpd in front of it, and one with its built-in echo."""

from contextlib import ExitStack

import openai
import pytest
from daemon import Daemon, upstream
from fake_upstream import MODELS, FakeUpstream


@pytest.fixture(scope="session")
def fake():
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def gate(fake):
    with Daemon(upstream("fake", fake.base_url, MODELS)) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def echo():
    """An mcpd without a single upstream configured, as it is after its first start."""
    with Daemon() as daemon:
        yield daemon


@pytest.fixture
def start():
    """Starts a daemon of the test's own, with the given lines added to its mcpd.toml."""
    with ExitStack() as running:
        yield lambda config="": running.enter_context(Daemon(config))


@pytest.fixture
def connect():
    """Makes OpenAI clients. They do not retry unless told to, so that an error is seen as it was sent."""
    with ExitStack() as open_clients:

        def connect(daemon, secret, **options):
            options = {"max_retries": 0, "timeout": 10, **options}
            return open_clients.enter_context(openai.OpenAI(base_url=f"{daemon.url}/v1", api_key=secret, **options))

        yield connect


@pytest.fixture
def key(gate):
    """A fresh key of `gate` that may do everything."""
    return gate.make_key()


@pytest.fixture
def client(gate, key, connect):
    """A client of `gate` that uses `key`."""
    return connect(gate, key["key"])


@pytest.fixture
def echo_client(echo, connect):
    return connect(echo, echo.make_key()["key"])
