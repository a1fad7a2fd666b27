"""A stand-in of `kubectl`: two pods, of which the second ends with the code that `FAKE_CODE` says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

folder, words = Path(os.environ["FAKE_FOLDER"]), sys.argv[1:]
with (folder / "asked").open("a") as file:
    file.write(" ".join(words) + "\n")
code = int(os.environ["FAKE_CODE"])
if words[0] == "apply":
    (folder / "applied.json").write_text(sys.stdin.read())
elif words[0] == "logs":
    print(f"of {words[-1]}")
elif words[:2] == ["get", "pods"]:
    ended = [{"exitCode": 0}, {"exitCode": code, "finishedAt": "2026"}]
    pods = [
        {
            "metadata": {
                "name": f"train-{n}-x",
                "annotations": {"batch.kubernetes.io/job-completion-index": str(n)},
            },
            "status": {
                "phase": "Succeeded",
                "containerStatuses": [{"state": {"terminated": ended[n]}}],
            },
        }
        for n in range(2)
    ]
    print(json.dumps({"items": pods}))
elif words[0] == "get":
    kind = "Failed" if code else "Complete"
    print(json.dumps({"status": {"conditions": [{"type": kind, "status": "True"}]}}))
