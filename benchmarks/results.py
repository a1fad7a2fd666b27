"""Files of results: raw times with the versions and the machine they were taken on."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
LIBRARIES = "cornu keras jax torch tensorflow tensorflow-cpu pytensor optax numpy".split()

Record = dict[str, Any]


def machine() -> dict[str, Any]:
    """Processor, cores, memory, GPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gigabytes": round(memory),
        "system": platform.system(),
    }
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found["gpu"] = names.strip().splitlines()[0] if names.strip() else ""
    return found


def versions() -> dict[str, str]:
    """Python's version, and those of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        from cornu._version import __version__
    except ImportError:
        return found
    return {**found, "cornu": __version__}


def file_here() -> Path:
    """Today's file of this machine."""
    here = machine()
    words = f"{here['cpu']} {here['cores']} cores {here.get('gpu', '')}".lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", words))
    return FOLDER / f"{time.strftime('%Y-%m-%d')}-{slug}.json"


def save(records: Iterable[Record], path: Path) -> None:
    """Add records to a file; each replaces those of the same workload whose subjects it has."""
    kept = load(path) if path.exists() else []
    for new in (record for record in records if record["values"]):
        kept = [old for old in kept if not _covers(new, old)] + [new]
    content = {"machine": machine(), "versions": versions(), "records": kept}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)


def load(path: Path) -> list[Record]:
    """The records of a file, oldest first."""
    records: list[Record] = json.loads(path.read_text())["records"]
    return sorted(records, key=lambda record: str(record["at"]))


def _covers(new: Record, old: Record) -> bool:
    same = (new["workload"], new["engine"]) == (old["workload"], old["engine"])
    return same and set(old["values"]) <= set(new["values"])
