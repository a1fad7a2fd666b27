"""Processes on Kubernetes: an indexed Job, or a JobSet where all are to start again, handed to `kubectl`."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..distribution.ports import MEETING_PORT
from ._job import Ended, Job, LaunchError, Line, Tell, Told, carried
from ._lines import Lines
from ._processes import read_all

#: Seconds between two looks at the pods.
_INTERVAL = 2.0
#: The most bytes that a ConfigMap takes, with room for the rest.
_LARGEST = 900_000
#: Where the script and the payload are found in a container.
_FOLDER = "/cornu"
_INDEX = "batch.kubernetes.io/job-completion-index"
_RESTART = "jobset.sigs.k8s.io/restart-attempt"


def manifest(job: Job) -> list[dict[str, Any]]:
    """What is told to the cluster: the script, a name for the first pod, and the Job or JobSet.

    Raises:
        LaunchError: If there is no image, no count, or the script is too large.
    """
    if job.image is None or not job.workers:
        raise LaunchError(
            "A Job on Kubernetes has an image with Python and Cornu, and a number of pods. Received: "
            f"image={job.image!r}, workers={job.workers!r}. Say both: --image NAME --workers N"
        )
    labels = {"app.kubernetes.io/name": job.name, "app.kubernetes.io/managed-by": "cornu"}
    files = {name: value for name, value in _files(job).items() if value}
    found: list[dict[str, Any]] = []
    if files:
        meta = {"name": job.name, "labels": labels}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **files})
    if not job.restarts:  # a JobSet has a service of its own
        found.append(_service(job.name, labels))
    found.append(
        _jobset(job, labels, bool(files)) if job.restarts else _job(job, labels, bool(files))
    )
    return found


def _files(job: Job) -> dict[str, dict[str, str]]:
    """The script, where it is here, and the payload."""
    script = Path(job.command[0])
    text = script.read_text() if script.is_file() else ""
    if len(text) + len(job.payload or b"") > _LARGEST:
        raise LaunchError(
            f"What is sent along is at most {_LARGEST:,} bytes. Received: {len(text) + len(job.payload or b''):,}. Put "
            "it into the image, and name its path there."
        )
    payload = {} if job.payload is None else {"payload": base64.b64encode(job.payload).decode()}
    return {"data": {"script.py": text} if text else {}, "binaryData": payload}


def _service(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A service without an address: it gives each pod a name."""
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels}
    meta = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _job(job: Job, labels: dict[str, str], has_files: bool) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "labels": labels},
        "spec": _indexed(job, labels, has_files, f"{job.name}-0.{job.name}"),
    }


def _jobset(job: Job, labels: dict[str, str], has_files: bool) -> dict[str, Any]:
    indexed = _indexed(job, labels, has_files, f"{job.name}-main-0-0.{job.name}")
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name, "labels": labels},
        "spec": {
            "failurePolicy": {"maxRestarts": job.restarts},
            "network": {"enableDNSHostnames": True, "subdomain": job.name},
            "replicatedJobs": [{"name": "main", "replicas": 1, "template": {"spec": indexed}}],
        },
    }


def _indexed(job: Job, labels: dict[str, str], has_files: bool, first: str) -> dict[str, Any]:
    """The specification of a Job, of which each pod has a number, and none starts again alone."""
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [_container(job, first)]}
    if not job.restarts:
        pod["subdomain"] = job.name
    if has_files:
        pod["volumes"] = [{"name": "cornu", "configMap": {"name": job.name}}]
        pod["containers"][0]["volumeMounts"] = [{"name": "cornu", "mountPath": _FOLDER}]
    return {
        "completions": job.workers,
        "parallelism": job.workers,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


def _container(job: Job, first: str) -> dict[str, Any]:
    script, *arguments = job.command
    is_here = Path(script).is_file()
    command = [job.python or "python", f"{_FOLDER}/script.py" if is_here else script, *arguments]
    said = {
        **{k: v for k, v in carried(os.environ).items() if k != "PYTHONPATH"},
        **{k: v for k, v in job.variables().items() if k != "CORNU_SUPERVISED"},
        **({} if job.payload is None else {"CORNU_PAYLOAD": f"{_FOLDER}/payload"}),
        "WORLD_SIZE": str(job.workers),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": first,
        "MASTER_PORT": str(MEETING_PORT),
    }
    fields = {"RANK": f"metadata.annotations['{_INDEX}']"}
    if job.restarts:
        del said["CORNU_RESTART"]
        fields["CORNU_RESTART"] = f"metadata.labels['{_RESTART}']"
    environment: list[dict[str, Any]] = [{"name": k, "value": v} for k, v in said.items()]
    environment += [
        {"name": k, "valueFrom": {"fieldRef": {"fieldPath": path}}} for k, path in fields.items()
    ]
    gpus = {"resources": {"limits": {"nvidia.com/gpu": str(job.gpus)}}} if job.gpus else {}
    return {"name": "main", "image": job.image, "command": command, "env": environment, **gpus}


def shown_on_kubernetes(job: Job) -> str:
    """The manifest as YAML."""
    return "---\n".join("\n".join(_yaml(part)) + "\n" for part in manifest(job)).rstrip("\n")


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Lines of YAML. Texts are those of JSON, which YAML reads, so none is taken for a number."""
    if isinstance(value, dict):
        for key, of in value.items():
            name = key if re.fullmatch(r"[\w.-]+", key) else json.dumps(key)
            if isinstance(of, dict | list) and of:
                yield f"{indent}{name}:"
                yield from _yaml(of, f"{indent}  ")
            else:
                yield f"{indent}{name}: {json.dumps(of)}"
    else:
        for of in value:
            if isinstance(of, dict | list) and of:
                first, *rest = _yaml(of, f"{indent}  ")
                yield f"{indent}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{indent}- {json.dumps(of)}"


def start_on_kubernetes(job: Job, tell: Tell) -> Pods:
    """Hand the manifest to the cluster that `kubectl` talks to.

    Raises:
        LaunchError: If it takes it not.
    """
    parts = manifest(job)
    pods = Pods(job, tell)
    pods.ask(
        "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": parts})
    )
    threading.Thread(target=pods.follow, daemon=True).start()
    return pods


class Pods:
    """The pods of a Job or JobSet, as `_job.Started`."""

    def __init__(self, job: Job, tell: Tell) -> None:
        self.places = [job.name] * (job.workers or 1)
        self._job, self._tell = job, tell
        self._kind = "jobset" if job.restarts else "job"
        self._followed: dict[str, threading.Thread] = {}
        self._is_closed = False

    def ask(self, *words: str, given: str | None = None) -> str:
        """What `kubectl` answers."""
        command = ["kubectl", *self._job.options, *words]
        try:
            found = subprocess.run(
                command, input=given, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise LaunchError(
                "Kubernetes is reached by its command `kubectl`. Received: none that runs "
                f"({error}). Install it, or print the manifest: --dry-run"
            ) from error
        if found.returncode:
            raise LaunchError(f"`kubectl {words[0]}` failed: {found.stderr.strip()}")
        return found.stdout

    def follow(self) -> None:
        """Tell what the pods write, until the Job has ended."""
        try:
            while (code := self._look()) is None and not self._is_closed:
                time.sleep(_INTERVAL)
            for thread in self._followed.values():
                thread.join(_INTERVAL)
            self._tell(Ended(None, code or 0))
        except (LaunchError, ValueError, KeyError) as error:
            self._tell(Line(None, str(error)))
            self._tell(Ended(None, 1))

    def _look(self) -> int | None:
        """Follow the pods that are new; the exit code, once there is one."""
        told = json.loads(self.ask("get", self._kind, self._job.name, "-o", "json"))
        conditions = told.get("status", {}).get("conditions", [])
        states = {x["type"] for x in conditions if x["status"] == "True"}
        selector = f"app.kubernetes.io/name={self._job.name}"
        pods = json.loads(self.ask("get", "pods", "-l", selector, "-o", "json"))["items"]
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in self._followed and pod["status"].get("phase") != "Pending":
                rank = int(pod["metadata"]["annotations"][_INDEX])
                thread = threading.Thread(target=self._read, args=(name, rank), daemon=True)
                self._followed[name] = thread
                thread.start()
        if states & {"Complete", "Completed"}:
            return 0
        if "Failed" not in states:
            return None
        failed = [found for pod in pods if (found := _failure(pod)) is not None]
        for _, rank, code in sorted(failed)[:1]:
            self._tell(Ended(rank, code))
            return code
        return 1

    def _read(self, name: str, rank: int) -> None:
        command = ["kubectl", *self._job.options, "logs", "--follow", name]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        ) as logs:
            lines = Lines(
                lambda text: self._tell(Line(rank, text)),
                lambda kind, text: self._tell(Told(rank, kind, text)),
            )
            read_all(logs.stdout, lines)

    def signal(self, number: int, rank: int | None = None) -> None:
        """Delete the Job, whose pods are asked to end then, and killed after a while."""
        if not self._is_closed:
            self._is_closed = True
            self.ask("delete", self._kind, self._job.name, "--wait=false")

    def close(self) -> None:
        """Leave what has ended: it is looked at by `kubectl`."""


def _failure(pod: dict[str, Any]) -> tuple[str, int, int] | None:
    """When, and with which code, a pod failed."""
    rank = int(pod["metadata"]["annotations"][_INDEX])
    for container in pod["status"].get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated")
        if ended and ended["exitCode"]:
            return ended.get("finishedAt", ""), rank, ended["exitCode"]
    return None
