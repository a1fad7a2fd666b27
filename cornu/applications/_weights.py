"""The weights that Keras has published: their hashes, and fetching them."""

from __future__ import annotations

from pathlib import Path

#: What `weights=` says for them.
IMAGENET = "imagenet"
HOME = "https://storage.googleapis.com/"
#: The hash and the name of each file: MD5, or SHA-256 where it is long. Those of MobileNet 1 and 2 have none.
HASHES = Path(__file__).with_name("hashes.txt")


def fetched(path: str) -> str:
    """The path in the cache folder of a file that is published at `HOME` + `path`.

    Raises:
        OSError: If it can't be downloaded.
        ValueError: If it is another file than the one that was published.
    """
    from ..utils import get_file

    published = path.rpartition("/")[2]
    hashes = {file: digest for digest, file in map(str.split, HASHES.read_text().splitlines())}
    # Keras keeps those of NASNet under other names, by which they are found again.
    name = published.lower().replace("-", "_") if "NASNet" in published else published
    return get_file(name, HOME + path, cache_subdir="models", file_hash=hashes.get(published))
