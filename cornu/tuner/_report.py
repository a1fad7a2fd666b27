"""The report of a search as a page that stands alone: scores, importance of parameters, parameters and trials."""

from __future__ import annotations

import html
import math
import os
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..callbacks.progress import format_seconds, format_value
from ..core.files import replacing
from ..core.pages import embedded, filled
from ._study import Record, Study

_PAGE = Path(__file__).with_name("page")
#: From which ratio on numbers stand on a logarithmic axis.
_WIDE = 100.0


def write(study: Study, path: str | os.PathLike[str], title: str | None = None) -> None:
    """Write the report of a search.

    Args:
        study: The search.
        path: The file, HTML that needs nothing else.
        title: What it is called; the name of the study by default.

    Raises:
        OSError: If the file can't be written.
    """
    page = _page(study, study.name if title is None else title)
    with replacing(path) as draft:
        Path(draft).write_text(page, encoding="utf-8")


def _page(study: Study, title: str) -> str:
    return filled(
        _PAGE / "report.html",
        {
            "title": html.escape(title),
            "style": (_PAGE / "report.css").read_text(encoding="utf-8"),
            "search": embedded(_content(study)),
            "script": (_PAGE / "report.js").read_text(encoding="utf-8"),
        },
    )


def _content(study: Study) -> dict[str, Any]:
    """All that the page draws, as values of JSON."""
    records = study.trials()
    objectives = [
        {"name": name, "direction": direction, "importance": importances(study, i)}
        for i, (name, direction) in enumerate(zip(study.objectives, study.directions, strict=True))
    ]
    return {
        "objectives": objectives,
        "facts": _facts(records),
        "trials": [_trial(record) for record in records],
        "parameters": _parameters(records),
    }


def importances(study: Study, objective: int = 0) -> list[tuple[str, float]]:
    """How much of what sets the best trials apart each parameter has, the most important first; their sum is 1.

    By PED-ANOVA (S. Watanabe and others, 2023), each parameter among the trials that have it. Nothing where there are
    fewer than four trials, or no parameter differs.
    """
    import optuna

    done = [it for it in study.trials() if it.state == "COMPLETE"]
    found: dict[str, float] = {}
    for name in {name for record in done for name in record.params}:
        values = [record.params[name] for record in done if name in record.params]
        if len(values) < 4 or len(set(values)) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(
                study.optuna,
                evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                params=[name],
                target=lambda trial: trial.values[objective],
                normalize=False,
            )
        found[name] = max(0.0, float(shares[name]))
    total = sum(found.values())
    order = sorted(found, key=found.__getitem__, reverse=True)
    return [(name, found[name] / total) for name in order] if total > 0 else []


def _facts(records: Sequence[Record]) -> list[str]:
    """What the search was, in a few words each."""
    counts = [
        f"{sum(record.state in states for record in records)} {what}"
        for what, states in (
            ("completed", ["COMPLETE"]),
            ("pruned", ["PRUNED"]),
            ("failed", ["FAIL"]),
            ("running", ["RUNNING", "WAITING"]),
        )
    ]
    spans = [_seconds(record) or 0.0 for record in records]
    return [
        f"{len(records)} trials",
        *(count for count in counts if not count.startswith("0 ")),
        f"{format_seconds(sum(spans))} in trials",
        f"written {datetime.now():%Y-%m-%d %H:%M}",
    ]


def _trial(record: Record) -> dict[str, Any]:
    ended = record.state == "COMPLETE"
    scores = [_finite(value) for value in record.values or ()] if ended else None
    message = str((record.attributes.get("trial") or {}).get("message") or "").strip()
    return {
        "number": record.number,
        "state": record.state,
        "scores": scores,
        "values": {name: _plain(value) for name, value in record.chosen.items()},
        "reports": {step: _finite(value) for step, value in record.reports.items()},
        "seconds": _seconds(record),
        "message": message.rpartition("\n")[2] or None,
    }


def _seconds(record: Record) -> float | None:
    if record.started is None or record.ended is None:
        return None
    return (record.ended - record.started).total_seconds()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else str(value)


def _parameters(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The parameters that trials had, and what their axes are."""
    seen: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.chosen.items():
            known = seen.setdefault(name, [])
            if _plain(value) not in known:
                known.append(_plain(value))
    return [{"name": name, **_axis(values)} for name, values in seen.items()]


def _axis(values: list[Any]) -> dict[str, Any]:
    """The kind of an axis.

    >>> _axis([0.1, 0.001])["kind"], _axis([1, 2])["kind"], _axis([True, False])["kind"]
    ('log', 'number', 'choice')
    """
    if any(isinstance(value, (str, bool)) for value in values):
        return {"kind": "choice", "values": sorted(values, key=str)}
    is_wide = min(values) > 0 and max(values) / min(values) >= _WIDE
    return {"kind": "log" if is_wide else "number", "values": sorted(values)}


def summary(study: Study) -> str:
    """The search in a line: how many trials, and the best score."""
    records = [record for record in study.trials() if record.state == "COMPLETE"]
    if not records or len(study.directions) > 1:
        return f"{len(study.trials())} trials"
    pick = min if study.directions[0] == "minimize" else max
    best = pick(records, key=lambda record: (record.values or [math.nan])[0])
    score = format_value((best.values or [math.nan])[0])
    return (
        f"{len(study.trials())} trials, best {study.objectives[0]}: {score} (trial {best.number})"
    )
