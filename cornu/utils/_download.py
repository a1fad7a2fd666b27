"""Files from a URL, fetched once: checked by their hash, and kept in a folder."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import time
import zlib
from contextlib import suppress
from typing import Any

from ..callbacks.progress import Transfer
from ..core.checks import one_of
from ..core.files import FULL, alone, draft_name, remove_drafts, replacing, told_where_full
from ..engines import home
from ._archives import unpack

#: How often in a row a transfer may break off without a byte more.
TRIES = 5
#: The seconds before it goes on, twice as many each time.
PAUSE = 1.0
#: The seconds without a byte after which it counts as broken.
PATIENCE = 60.0
CHUNK = 1 << 18
#: HTTP's number of that.
NO_SUCH_PIECE = 416


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file that is fetched from a URL, unless it is there already.

    A transfer that breaks off goes on where it stopped, by itself and in a later call too, where the server
    can. Of processes that ask for one file at once, one fetches it and the others wait.

    Args:
        fname: Its name in the cache folder; by default, that in the URL.
        origin: The URL: `https:`, `http:`, `ftp:` or `file:`.
        untar: Former name of `extract`, for tar files.
        md5_hash: Former name of `file_hash`, for MD5.
        file_hash: The hash that the file has, in hexadecimal digits.
        cache_subdir: The folder within the cache folder.
        hash_algorithm: `"sha256"`, `"md5"`, `"sha1"` or `"sha512"`; `"auto"` is one of the first two, by the length.
        extract: Whether it is unpacked: a tar file, compressed or not, or a zip file.
        archive_format: `"tar"`, `"zip"`, a list of them, `"auto"` for both; None leaves it packed.
        cache_dir: The cache folder; by default `KERAS_HOME`, or `~/.keras`.
        force_download: Whether it is fetched even if it is there.

    Returns:
        The path of the file, or of the folder that it was unpacked to: `x_extracted` for the name `x.zip`. Where
        `fname` has no ending, or is left out, that name is the folder's, and the archive is `x.zip_archive`.

    Raises:
        ValueError: If the file has another hash (it is removed then), or is no archive, or a damaged or
            dangerous one.
        OSError: If it can't be fetched, or there is no room for it.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     far = pathlib.Path(folder, "far.csv")
    ...     _ = far.write_text("1, 2, 3")
    ...     near = get_file("near.csv", far.as_uri(), cache_dir=folder)
    ...     pathlib.Path(near).read_text()
    near.csv - 7 B/7 B - 0s ...
    '1, 2, 3'
    """
    if origin is None:
        raise ValueError(
            "A file comes from a URL. Received: origin=None. Give one: `origin='https://...'`."
        )
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    right = Hash(file_hash, hash_algorithm)
    name = result = _name(fname, origin)
    archive_format = "tar" if untar else archive_format
    unpacks = (untar or extract) and archive_format is not None
    if unpacks:
        name, result = _names_unpacked(name, fname is not None)
    folder = _folder(cache_dir, cache_subdir)
    path, result = os.path.join(folder, name), os.path.join(folder, result)
    if force_download or not (right.is_of(path) and os.path.exists(result)):
        with alone(path):
            fetched = force_download or not right.is_of(path)
            if fetched:
                _Fetching(origin, path, right).run()
            if unpacks and (fetched or not os.path.exists(result)):
                unpack(path, result, archive_format)
    return result


class Hash:
    """The hash that a file must have.

    Args:
        digest: Its hexadecimal digits; None where every file is right.
        algorithm: What gives it; `"auto"` is MD5 or SHA-256, by its length.
    """

    def __init__(self, digest: str | None, algorithm: str = "auto") -> None:
        one_of(("auto", "sha256", "md5", "sha1", "sha512"), hash_algorithm=algorithm)
        self.digest = None if digest is None else digest.lower()
        by_length = "sha256" if len(digest or "") == 64 else "md5"
        self.algorithm = by_length if algorithm == "auto" else algorithm

    def is_of(self, path: str) -> bool:
        """Whether there is such a file, and it is the right one."""
        return os.path.exists(path) and self.digest in (None, self.found(path))

    def found(self, path: str) -> str:
        """The hash of a file."""
        import hashlib

        with open(path, "rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest()


class _Fetching:
    """A file on its way.

    What has come lies beside its place, under a name that follows from the URL, and from the size and the version
    that the server tells: a later call goes on with it, and never with a piece of another version.
    """

    def __init__(self, url: str, path: str, right: Hash) -> None:
        self.url, self.path, self.right = url, path, right
        self.size: int | None = None
        #: What says that the file at the URL is still the same.
        self.version: str | None = None
        #: Whether it gives what comes from a byte on; not if it once gave something else.
        self.gives_pieces = True
        self.draft = ""
        self.progress = Transfer(None, os.path.basename(path))

    def run(self) -> None:
        """Fetch it, check it, and put it in its place."""
        try:
            with told_where_full(self.path):
                self._fetch()
        finally:
            self.progress.pause()
        if not self.right.is_of(self.draft):
            found = self.right.found(self.draft)
            os.remove(self.draft)
            raise ValueError(
                f"A file must have the hash that is known of it, {self.right.digest}. Received: "
                f"{self.right.algorithm} {found} of {self.url!r}. The file was removed: it was damaged on its way, "
                "or there is a new version. Try again, or ask its owner for the hash."
            )
        with replacing(self.path) as place:
            os.rename(self.draft, place)
        remove_drafts(os.path.dirname(self.path), glob.escape(os.path.basename(self.path)))

    def _fetch(self) -> None:
        """Have all of it in the draft, if in several pieces."""
        from http.client import HTTPException

        broken = 0
        while True:
            before = self._done()
            try:
                self._request(before)
                size = os.path.getsize(self.draft)
                if self.size in (None, size):
                    self.progress.finish(size)
                    return
                why: Exception = EOFError(f"it ended after {size:,} of {self.size:,} bytes")
            except (OSError, HTTPException) as error:
                if getattr(error, "errno", None) in FULL:
                    with suppress(FileNotFoundError):
                        os.remove(self.draft)
                    raise
                why = error
                self.gives_pieces &= getattr(error, "code", None) != NO_SUCH_PIECE
            broken = 0 if self._done() > before else broken + 1
            if broken == TRIES or _is_final(why, bool(self.draft)):
                raise OSError(
                    f"A file is fetched from where it is. Received: origin={self.url!r}: {why}. Look at the URL "
                    "and the network. The next call goes on with what has come."
                ) from why
            time.sleep(PAUSE * 2**broken)

    def _request(self, start: int) -> None:
        """Ask for what comes from a byte on, and add it to the draft."""
        from urllib.error import HTTPError

        headers = {"User-Agent": "cornu"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers |= {"If-Range": self.version} if self.version else {}
        with _open(self.url, headers) as response:
            goes_on = response.headers["Content-Range"] is not None
            if goes_on and not (start and self._fits(response.headers, start)):
                raise HTTPError(self.url, NO_SUCH_PIECE, "another piece", response.headers, None)
            if not goes_on:
                self._describe(response.headers)
            earlier = 0 if start else self._done()
            if not earlier:
                self._receive(response, start if goes_on else 0)
        if earlier and earlier != self.size:
            self._request(earlier)

    def _describe(self, headers: Any) -> None:
        """Note what the server says of the file."""
        size = headers["Content-Length"] or ""
        self.size = int(size) if size.isdecimal() else None
        self.version = _version(headers)
        key = zlib.crc32(f"{self.url} {self.size} {self.version}".encode())
        self.draft = draft_name(self.path, f"{key:08x}")
        self.progress.target = self.size

    def _fits(self, headers: Any, start: int) -> bool:
        """Whether what comes is the rest of the file from a byte on, and the file is still the same."""
        piece = headers["Content-Range"]
        same = _version(headers) in (None, self.version)
        return (
            same and piece.startswith(f"bytes {start}-") and piece.endswith((f"/{self.size}", "/*"))
        )

    def _done(self) -> int:
        """How many bytes are there that a request can go on from."""
        same = self.version is not None or self.right.digest is not None
        if not (self.gives_pieces and self.size is not None and same) or not os.path.exists(
            self.draft
        ):
            return 0
        size = os.path.getsize(self.draft)
        return size if size <= self.size else 0

    def _receive(self, response: Any, start: int) -> None:
        missing = (self.size or 0) - start
        if shutil.disk_usage(os.path.dirname(self.path)).free < missing:
            raise OSError(errno.ENOSPC, f"{missing:,} bytes are to come")
        with open(self.draft, "ab" if start else "wb") as file:
            self.progress.update(start)
            while piece := response.read(CHUNK):
                file.write(piece)
                start += len(piece)
                self.progress.update(start)


def _open(url: str, headers: dict[str, str]) -> Any:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        return urlopen(Request(url, headers=headers), timeout=PATIENCE)
    except HTTPError as error:
        error.close()  # the page that says it
        raise


def _version(headers: Any) -> str | None:
    """What is another one when the file is."""
    tag: str | None = headers["ETag"]
    return headers["Last-Modified"] if tag is None or tag.startswith("W/") else tag


def _is_final(error: Exception, begun: bool) -> bool:
    """Whether it is of no use to try again: the server says so, or can't be reached."""
    code = getattr(error, "code", None)
    if code is None:
        return not begun
    return code < 500 and code not in (NO_SUCH_PIECE, 429)  # too many requests


def _folder(cache_dir: str | os.PathLike[str] | None, subfolder: str) -> str:
    """The folder of files, which is there."""
    folder = os.path.join(os.path.expanduser(cache_dir or home()), subfolder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"A cache folder is one that can be written to. Received: {folder!r}: {error.strerror}. Pass "
            "`cache_dir`, or set the environment variable KERAS_HOME."
        ) from error
    return folder


def _name(fname: str | None, origin: str) -> str:
    """The name of the file, which stays in its folder."""
    from urllib.parse import unquote, urlsplit

    name = os.fspath(fname) if fname else os.path.basename(unquote(urlsplit(origin).path))
    if not name or name in (".", "..") or os.path.basename(name) != name:
        raise ValueError(
            "A file in the cache has a name without folders. Received: "
            f"fname={fname!r}, origin={origin!r}. Pass `fname`, and folders as `cache_subdir`."
        )
    return name


def _names_unpacked(name: str, is_given: bool) -> tuple[str, str]:
    """The names of an archive and of the folder that it is unpacked to, as Keras has them."""
    stem, ending = os.path.splitext(name)
    return (
        (name, f"{stem.removesuffix('.tar')}_extracted")
        if is_given and ending
        else (f"{name}_archive", name)
    )
