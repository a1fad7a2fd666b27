"""Who gets in: tokens, TLS and pages of other origins, over both ports of a server as a process."""

from __future__ import annotations

import functools
import json
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cornu import Sequential, layers
from cornu import serving as served
from cornu.cli import main
from cornu.serving import Client, Failure

from .processes import serving
from .test_server import file as file

OPEN = [["ServerLive", "/v2/health/live"], ["ServerReady", "/v2/health/ready"]]
X = np.ones((2, 1), "float32")


def certified(folder: Path, name: str = "own") -> tuple[str, str]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    files = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own".split()
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *names, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True
    )
    return files


def test_tokens_and_tls(file: Path, tmp_path: Path) -> None:
    """Over both ports: who has a token and trusts the certificate is answered, others hear of health alone."""
    tokens = tmp_path / "tokens"
    tokens.write_text("first\n\n second \n")
    certificate, key = certified(tmp_path)
    options = ["--token-file", str(tokens), "--certificate", certificate, "--key", key]
    options += ["--cors", "https://a.example", "--drain-delay", "0.1", "--host", "0.0.0.0"]
    with serving(file, *options) as server:
        urls = [f"https://127.0.0.1:{server.port}", f"grpcs://127.0.0.1:{server.grpc_port}"]
        for url in urls:
            for token in ("first", "second"):
                with Client(url, token=token, certificate=certificate) as client:
                    np.testing.assert_array_equal(client.predict("m", X), X)
                    assert client.models()[0]["state"] == "READY"
            for token in (None, "third", "firs", "firsts"):
                with Client(url, token=token, certificate=certificate, timeout=10) as client:
                    assert client.ready()
                    for ask in (client.models, functools.partial(client.predict, "m", X)):
                        with pytest.raises(Failure, match="Authorization: Bearer TOKEN") as failed:
                            ask()
                        assert failed.value.code == "UNAUTHENTICATED"
            with Client(url, token="first", timeout=5) as client:  # which trusts others
                with pytest.raises(Failure) as failed:
                    client.models()
                assert failed.value.code == "UNAVAILABLE"
        checked(urls[0], certificate)
        checked_health(server.grpc_port, certificate)
        printed = next(line for line in server.said[0].splitlines() + server.said if "curl" in line)
        asked = subprocess.run(["bash", "-c", printed], capture_output=True, check=True)
        assert json.loads(asked.stdout) == {"predictions": [[0.0]]}
        assert server.ended() == 0
    assert "Whoever gets to" not in "".join(server.said)


def checked(url: str, certificate: str) -> None:
    """What HTTP alone shows: the scheme that is asked for, and what a browser is told."""
    trusted = ssl.create_default_context(cafile=certificate)
    with httpx.Client(base_url=url, verify=trusted) as client:
        answer = client.get("/v2")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"].endswith("Received: none.")
        for authorization in ("Basic first", "first", "Bearer", "Bearer first second"):
            answer = client.get("/v2", headers={"Authorization": authorization})
            assert answer.status_code == 401
        for authorization in ("bearer first", "BEARER  second"):
            answer = client.get("/v2", headers={"Authorization": authorization})
            assert answer.status_code == 200
        for path in (
            "/v2/health/live/",
            "//v2/health/live",
            "/v2/health/live%2f..",
            "/v1/models/m",
        ):
            assert client.get(path).status_code == 401
        asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        asks["Access-Control-Request-Headers"] = "authorization,content-type"
        allowed = client.options("/v1/models/m:predict", headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        asks["Origin"] = "https://b.example"
        refused = client.options("/v1/models/m:predict", headers=asks)
        assert "access-control-allow-origin" not in refused.headers


def checked_health(port: int | None, certificate: str) -> None:
    """gRPC's own health checks need no token; a stream does."""
    import grpc

    credentials = grpc.ssl_channel_credentials(Path(certificate).read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        serving = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
        assert serving == b"\x08\x01"
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        with pytest.raises(grpc.RpcError) as failed:
            list(stream(iter([b""]), timeout=10))
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_nobody_is_asked_for_a_token(file: Path) -> None:
    """A server that all get to says so; others are let in from this machine without CORS."""
    with serving(file, "--host", "0.0.0.0", "--drain-delay", "0.1") as server:
        url = f"http://127.0.0.1:{server.port}"
        answer = httpx.get(f"{url}/v2", headers={"Origin": "https://a.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert server.ended() == 0
    assert "WARNING Whoever gets to 0.0.0.0 may ask" in "".join(server.said)


def test_an_application_with_tokens(tmp_path: Path) -> None:
    """Where it is mounted as well."""
    import asyncio

    from starlette.applications import Starlette
    from starlette.routing import Mount

    (tmp_path / "tokens").write_text("first")
    model = Sequential([layers.Input((2,)), layers.Dense(1)], name="m")
    inner = served.app(model, token_file=str(tmp_path / "tokens"), cors=("*",))
    outer = Starlette(routes=[Mount("/models", inner)])
    bearer = {"Authorization": "Bearer first", "Origin": "https://a.example"}
    rows: list[tuple[str, dict[str, str], int]] = [
        ("/models/v2", {}, 401),
        ("/models/v2", bearer, 200),
        ("/models/v2/health/ready", {}, 200),
        ("/models/v2/models/m", {}, 401),
    ]

    async def main() -> None:
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            for path, headers, status in rows:
                answer = await client.get(path, headers=headers)
                assert answer.status_code == status, path
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == ("*" if "Origin" in headers else None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--certificate", "c"], "ValueError: TLS takes `certificate` and `key`. Received: certif"),
        (["--key", "c"], "TLS takes `certificate` and `key`. Received: certificate=None, key='c'."),
        (["--certificate", "{0}/c", "--key", "{0}/k"], "(No such file or directory)"),
        (["--certificate", "{0}/empty", "--key", "{0}/empty"], "PEM that belong together, the key"),
        (["--certificate", "{0}/one.pem", "--key", "{0}/two.key"], "PEM that belong together"),
        (["--token-file", "{0}/gone"], "No such file or directory"),
        (["--token-file", "{0}/empty"], "`token_file` has a token in each line. Received: "),
        (["--token-file", "{0}/empty", "--workers", "2"], "`token_file` has a token in each"),
    ],
)
def test_misuse(file: Path, options: list[str], message: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty").write_text("\n")
    if "one.pem" in str(options):
        certified(tmp_path, "one")
        certified(tmp_path, "two")
    given = [option.format(tmp_path) for option in options]
    assert main(["serve", str(file), "--port", "0", "--grpc-port", "0", *given]) == 1
    assert message in capsys.readouterr().err
