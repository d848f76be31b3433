"""What a scenario hands back: one row of figures per repetition, the targets, and what plots need."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, float | None]
"""Figures of one repetition by name, units last; None where a server is absent."""


@dataclass(frozen=True)
class Options:
    """How much is to be run."""

    pairs: int = 3
    requests: int | None = None
    """Instead of the scenario's own number."""
    full: bool = False
    """At the size that the bar names, where the usual one is smaller because that takes long."""


@dataclass(frozen=True)
class Target:
    """One line of the bar: the figure has to be at least, or at most, so much."""

    what: str
    figure: str
    bound: float
    at_least: bool = False

    def is_met(self, measured: float) -> bool:
        """Whether this is good enough."""
        return measured >= self.bound if self.at_least else measured <= self.bound


@dataclass(frozen=True)
class Result:
    """A scenario that was run."""

    settings: Mapping[str, object]
    rows: list[Row]
    targets: Sequence[Target] = ()
    closing: str = ""
    """The last line for machines. Empty: every figure's median."""
    series: Mapping[str, Any] = field(default_factory=dict)
    """What is plotted and is no figure of its own."""

    def values(self, figure: str) -> list[float]:
        """The figure of every repetition, without those where it is absent."""
        return [value for row in self.rows if (value := row.get(figure)) is not None]

    def median(self, figure: str) -> float | None:
        """Its median; None if it is absent."""
        values = self.values(figure)
        return statistics.median(values) if values else None

    def figures(self) -> list[str]:
        """The names of all figures."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def as_json(self) -> dict[str, Any]:
        """Everything, the medians and spreads included."""
        return {
            "settings": dict(self.settings),
            "figures": {
                name: {"median": self.median(name), "low": min(values), "high": max(values)}
                if (values := self.values(name))
                else None
                for name in self.figures()
            },
            "rows": self.rows,
            "targets": [
                {
                    "what": target.what,
                    "figure": target.figure,
                    "bound": target.bound,
                    "at_least": target.at_least,
                    "measured": measured,
                    "met": None if measured is None else target.is_met(measured),
                }
                for target in self.targets
                for measured in [self.median(target.figure)]
            ],
            "series": dict(self.series),
        }


def shown(value: float | None) -> str:
    """A figure for people: three digits that mean something."""
    if value is None:
        return "absent"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
