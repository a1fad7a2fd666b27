"""Files from a URL: fetched once, gone on with, checked, unpacked."""

from __future__ import annotations

import errno
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from cornu.utils import _archives, _download, get_file
from tests.serving_files import Server, serving

CONTENT = bytes(range(256)) * 40
MD5, SHA256 = (hashlib.new(name, CONTENT).hexdigest() for name in ("md5", "sha256"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server with a file, and an empty cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(_download, "PAUSE", 0.0)
    with serving() as found:
        found.files["x.bin"] = CONTENT
        yield found


def drafts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"fname": "x.bin"},
        {"md5_hash": MD5},
        {"file_hash": MD5, "hash_algorithm": "md5"},
        {"file_hash": SHA256},
        {"file_hash": SHA256.upper(), "hash_algorithm": "sha256"},
    ],
)
def test_a_file_is_fetched_once(server: Server, tmp_path: Path, given: dict[str, Any]) -> None:
    for _ in range(2):
        path = get_file(origin=server.url("x.bin?download=1"), **given)
        assert Path(path).read_bytes() == CONTENT
    assert path == str(tmp_path / "datasets" / "x.bin")
    assert server.asked == [None] and not drafts(tmp_path)
    get_file(origin=server.url("x.bin"), force_download=True, **given)
    assert server.asked == [None] * 2


def test_folders(server: Server, tmp_path: Path) -> None:
    url = server.url("x.bin")
    assert get_file("a", url, cache_subdir="b/c") == str(tmp_path / "b" / "c" / "a")
    assert get_file("a", url, cache_dir=tmp_path / "d") == str(tmp_path / "d" / "datasets" / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="A cache folder is one that can be written to.*KERAS_HOME"):
        get_file("a", url, cache_dir=tmp_path / "file")


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("version", ["one", ""])
@pytest.mark.parametrize("digest", [MD5, None])
def test_a_broken_transfer_goes_on(
    server: Server, tmp_path: Path, ranges: bool, version: str, digest: str | None
) -> None:
    """By itself, and in a later call; from the beginning where nothing tells that it is the same file."""
    server.breaks_after, server.ranges, server.version = 4000, ranges, version
    if ranges and (version or digest):
        path = get_file(origin=server.url("x.bin"), file_hash=digest)
        assert server.asked == [None, "bytes=4000-", "bytes=8000-"]
    else:
        with pytest.raises(
            OSError, match=r"Received: origin='http.*ended after 4,000 of 10,240 bytes"
        ):
            get_file(origin=server.url("x.bin"), file_hash=digest)
        server.breaks_after = None
        path = get_file(origin=server.url("x.bin"), file_hash=digest)
    assert Path(path).read_bytes() == CONTENT and not drafts(tmp_path)


def test_a_later_call_goes_on_with_the_same_version_only(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    for version, asked in (("one", [None, "bytes=4000-"]), ("two", [None])):
        server.version, server.breaks_after = "one", 4000
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(_download.time, "sleep", interrupted)
            get_file("x", server.url("x.bin"))
        assert len(drafts(tmp_path)) == 1
        server.version, server.breaks_after, server.asked = version, None, []
        path = Path(get_file("x", server.url("x.bin")))
        assert path.read_bytes() == CONTENT and server.asked == asked and not drafts(tmp_path)
        path.unlink()


def test_a_new_version_in_the_middle(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.breaks_after = 4000

    def renewed(seconds: float) -> None:
        server.version, server.files["x.bin"], server.breaks_after = "two", b"new", None

    monkeypatch.setattr(_download.time, "sleep", renewed)
    assert Path(get_file(origin=server.url("x.bin"))).read_bytes() == b"new"


@pytest.mark.parametrize("digest", [MD5, None])
@pytest.mark.parametrize("habit", ["another piece", "no pieces", "another version"])
def test_a_piece_that_does_not_fit(
    server: Server, monkeypatch: pytest.MonkeyPatch, digest: str | None, habit: str
) -> None:
    """Is no part of the file: all of it is fetched, and no more pieces."""
    server.breaks_after = 4000
    server.shift = 100 if habit == "another piece" else 0
    server.codes = [200, 416, 200] if habit == "no pieces" else []

    def later(seconds: float) -> None:
        if habit == "another version":
            server.version, server.careless = "two", True
        if len(server.asked) == 2:
            server.breaks_after = None

    monkeypatch.setattr(_download.time, "sleep", later)
    path = Path(get_file(origin=server.url("x.bin"), file_hash=digest))
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000-", None]


def test_a_length_that_is_no_number(server: Server) -> None:
    server.told = "many"
    assert Path(get_file(origin=server.url("x.bin"))).read_bytes() == CONTENT


def test_a_server_that_is_busy(server: Server) -> None:
    server.codes, server.lengths = [200, 503, 429], False
    server.files["y"] = b""
    get_file(origin=server.url("y"))
    assert Path(get_file(origin=server.url("x.bin"))).read_bytes() == CONTENT


def test_of_several_processes_one_fetches(server: Server, tmp_path: Path) -> None:
    code = f"from cornu.utils import get_file; get_file(origin={server.url('x.bin')!r})"
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert [run.communicate() and run.returncode for run in runs] == [0, 0, 0]
    assert server.asked == [None] and not drafts(tmp_path)


def test_progress(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    get_file(origin=server.url("x.bin"))
    assert capsys.readouterr().out.startswith("x.bin - 10.2 kB/10.2 kB - 0s - ")


# --------------------------------------------------------------------------- what is wrong


def test_a_wrong_hash(server: Server, tmp_path: Path) -> None:
    text = f"hash that is known of it, {'0' * 32}. Received: md5 {MD5} of 'http.*was removed"
    with pytest.raises(ValueError, match=text):
        get_file(origin=server.url("x.bin"), file_hash="0" * 32)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    path = Path(get_file(origin=server.url("x.bin")))
    path.write_text("changed")
    assert Path(get_file(origin=server.url("x.bin"), md5_hash=MD5)).read_bytes() == CONTENT


def test_no_room(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "A file is saved where there is room for it. Received: .*x.bin.* free are"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
        with pytest.raises(OSError, match=text):
            get_file(origin=server.url("x.bin"))
    monkeypatch.setattr(_download, "open", full, raising=False)
    with pytest.raises(OSError, match=text) as caught:
        get_file(origin=server.url("x.bin"))
    assert caught.value.errno == errno.ENOSPC
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def full(path: str, mode: str) -> Any:
    """A file on a disk that fills up while it is written."""

    def write(piece: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    if mode[0] in "wa":
        return nullcontext(SimpleNamespace(write=write, touched=open(path, mode).close()))
    return open(path, mode)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"origin": None}, ValueError, "comes from a URL. Received: origin=None"),
        (
            {"origin": "http://host/"},
            ValueError,
            "without folders.*fname=None, origin='http://host/'",
        ),
        ({"fname": "a/b"}, ValueError, "without folders. Received: fname='a/b'.*`cache_subdir`"),
        ({"fname": ".."}, ValueError, "without folders"),
        (
            {"hash_algorithm": "crc"},
            ValueError,
            "`hash_algorithm` must be one of .*Received.*'crc'",
        ),
        ({"origin": "missing"}, OSError, "Received: origin='.*missing': HTTP Error 404"),
        ({"origin": "http://127.0.0.1:1/x"}, OSError, "Look at the URL and the network"),
        (
            {"extract": True},
            ValueError,
            "an archive, of tar or zip. Received: '.*x.bin', which is none",
        ),
        ({"extract": True, "archive_format": "rar"}, ValueError, "archive_format='rar'"),
    ],
)
def test_bad_arguments(
    server: Server, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    given = {"origin": "x.bin", "fname": "x.bin", **given}
    if "://" not in (given["origin"] or "://"):
        given["origin"] = server.url(given["origin"])
    if given["origin"] == "http://host/":
        del given["fname"]
    with pytest.raises(error, match=text):
        get_file(**given)


# ------------------------------------------------------------------------------- archives


def tar(mode: str, **changes: Any) -> bytes:
    """A tar file of a folder `a` with a file `x`, which may be said to be something else."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w{mode}") as file:
        folder, info = tarfile.TarInfo("a"), tarfile.TarInfo("a/x")
        folder.type, info.size = tarfile.DIRTYPE, len(CONTENT)
        for name, value in changes.items():
            setattr(info, name, value)
        file.addfile(folder)
        file.addfile(info, io.BytesIO(CONTENT))
    return content.getvalue()


def zipped(name: str = "a/x", content: bytes = CONTENT, mode: int = 0) -> bytes:
    """A zip file of a folder `a` with a file, of a name and mode."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/", "")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        file.writestr(info, content)
    return packed.getvalue()


ARCHIVES = {"x.tar": tar(""), "x.tar.gz": tar(":gz"), "x.tar.bz2": tar(":bz2"), "x.zip": zipped()}


@pytest.mark.parametrize("given", ["{name}", "x", None])
@pytest.mark.parametrize(
    ("name", "option"), [*((name, "extract") for name in ARCHIVES), ("x.tar.gz", "untar")]
)
def test_archives(
    server: Server, tmp_path: Path, name: str, given: str | None, option: str
) -> None:
    """They come to lie where Keras puts them."""
    server.files[name] = ARCHIVES[name]
    options = {"fname": given and given.format(name=name), option: True}
    ours = get_file(origin=server.url(name), **options)
    (tmp_path / "keras").mkdir()  # else it takes /tmp
    theirs = keras.utils.get_file(origin=server.url(name), cache_dir=tmp_path / "keras", **options)
    assert Path(ours).relative_to(tmp_path) == Path(theirs).relative_to(tmp_path / "keras")
    folders = [tmp_path / "datasets", tmp_path / "keras" / "datasets"]
    found = [
        {p.relative_to(f): p.is_dir() or p.read_bytes() for p in f.rglob("*")} for f in folders
    ]
    assert found[0] == found[1] and (Path(ours) / "a" / "x").read_bytes() == CONTENT
    asked = len(server.asked)
    assert get_file(origin=server.url(name), **options) == ours and len(server.asked) == asked


def damaged() -> bytes:
    content = bytearray(zipped())
    content[150] ^= 255
    return bytes(content)


def crooked() -> bytes:
    """A tar file whose sum is another one."""
    content = bytearray(tar(":gz"))
    content[-6] ^= 255
    return bytes(content)


def bomb() -> bytes:
    """Some kilobytes of zip that are 40 MB."""
    return zipped(content=bytes(40_000_000))


SUSPECT: dict[str, tuple[Callable[[], bytes], str]] = {
    "a path above": (
        lambda: tar("", name="../x"),
        "the name '../x', which leads out of its folder",
    ),
    "a path at the root": (lambda: tar("", name="/x"), "the name '/x', which leads out"),
    "a path above, in a zip file": (lambda: zipped("a/../../x"), "the name 'a/../../x'"),
    "a path of Windows": (lambda: zipped("C:\\x"), "which leads out of its folder"),
    "a link": (lambda: tar("", type=tarfile.SYMTYPE, linkname="/etc"), "'a/x', which is neither"),
    "a hard link": (lambda: tar("", type=tarfile.LNKTYPE, linkname="b"), "is neither a file nor"),
    "a device": (
        lambda: tar("", type=tarfile.CHRTYPE),
        "'a/x', which is neither a file nor a folder",
    ),
    "a link in a zip file": (lambda: zipped(mode=0o120777), "'a/x', which is neither"),
    "a bomb": (bomb, "files of more than 200 times its size"),
    "half an archive": (lambda: tar(":gz")[:-50], "An archive must be whole"),
    "a wrong sum": (crooked, "CRC check failed"),
    "a file in the place of a folder": (lambda: tar("", name="a"), "An archive must be whole"),
    "a file without a name": (lambda: tar("", name="."), "An archive must be whole"),
    "a broken zip file": (
        damaged,
        "An archive must be whole",
    ),
}


@pytest.mark.parametrize("case", SUSPECT)
def test_archives_that_are_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(_archives, "ALLOWED", 1 << 20)
    make, text = SUSPECT[case]
    server.files["x"] = make()
    with pytest.raises(ValueError, match=re.escape(text)):
        get_file("x.any", server.url("x"), extract=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["datasets", "x.any"]
