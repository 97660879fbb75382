"""A key is shown once and then nowhere again."""

import contextlib

import openai
import requests
from asking import chat


def test_no_key_is_ever_written_down(start, connect):
    daemon = start('[log]\nlevel = "trace"\n')
    keys = [
        daemon.make_key(name="spare"),
        daemon.make_key(requests_per_minute=1),
        daemon.make_key(scopes=["files:read"]),
    ]
    keys.append(daemon.admin("POST", f"/keys/{keys[0]['id']}/rotate", {"expire_old_in": "1h"}))
    secrets = [key["key"] for key in keys]
    seen = []
    for secret in secrets:
        for path in ("/v1/models", f"/v1/models/{secret}", f"/v1/models?key={secret}", f"/{secret}", "/v1/nothing"):
            headers = {"Authorization": f"Bearer {secret}", "X-Request-Id": secret}
            seen.append(requests.get(daemon.url + path, headers=headers, timeout=10).text)
        for spoiled in (secret[:-1], secret + "x"):
            with contextlib.suppress(openai.APIStatusError):
                chat(connect(daemon, spoiled))
        with contextlib.suppress(openai.APIStatusError):
            list(chat(connect(daemon, secret), model=secret, stream=True))
    seen.append(requests.get(f"{daemon.admin_url}/metrics", timeout=10, headers=bearer(daemon)).text)
    seen.append(str([daemon.admin("GET", path) for path in ("/keys", "/usage", "/server")]))
    daemon.stop()
    written = b"".join(file.read_bytes() for file in daemon.folder.iterdir() if file.is_file())

    for secret in secrets:
        assert secret not in "".join(seen)
        assert secret.encode() not in written


def bearer(daemon):
    return {"Authorization": f"Bearer {daemon.admin_token}"}
