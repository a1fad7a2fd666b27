"""Config: settings that are read and written as attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any


class Config(MutableMapping[str, Any]):
    """Settings by name, as attributes and as a mapping, which can be frozen.

    >>> config = Config(width=64)
    >>> config.depth = 2
    >>> config["width"] * config.depth, config.freeze().to_json()
    (128, '{"width": 64, "depth": 2}')
    """

    _settings: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any) -> None:
        vars(self).update(_settings=dict(kwargs), _frozen=False)

    def __getitem__(self, name: str) -> Any:
        return self._settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._check_open(name)
        self._settings[name] = value

    def __delitem__(self, name: str) -> None:
        self._check_open(name)
        del self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def __getattr__(self, name: str) -> Any:
        settings = vars(self).get("_settings", {})
        if name not in settings:
            raise AttributeError(
                f"A setting must exist before it is read. Received: {name!r}, known are "
                f"{sorted(settings)}."
            )
        return settings[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        return f"<Config {self._settings}>"

    def _check_open(self, name: str) -> None:
        if self._frozen:
            raise ValueError(
                f"A frozen config can't change. Received: a change of {name!r}. Call `unfreeze()` "
                "first, or make a new one."
            )

    @property
    def frozen(self) -> bool:
        """Whether changes are refused."""
        return self._frozen

    def freeze(self) -> Config:
        """Refuse changes from now on."""
        vars(self)["_frozen"] = True
        return self

    def unfreeze(self) -> Config:
        """Allow changes again."""
        vars(self)["_frozen"] = False
        return self

    def as_dict(self) -> dict[str, Any]:
        """The settings as a new dictionary."""
        return dict(self._settings)

    def to_json(self) -> str:
        """The settings as JSON."""
        return json.dumps(self._settings)
