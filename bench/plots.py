"""One picture per scenario, from its JSON document."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

Document = dict[str, Any]
OURS, OTHERS, BAD = "#1f6f8b", "#b8b8b0", "#c0563b"
GROUPS = {"workers": OURS, "database": "#d9a441", "broker": "#8f7aa8", "load": OTHERS}
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def svg(document: Document) -> str | None:
    """The picture of the scenario, to be put into a page; None if it has none."""
    draw = PICTURES.get(document["scenario"])
    if draw is None:
        return None
    with plt.rc_context(STYLE):
        figure = draw(document)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight")
        plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _hot(document: Document) -> Figure:
    figures = document["figures"]
    names = [name.removesuffix("_per_second") for name, found in figures.items() if _is_rate(name) and found]
    names.sort(key=lambda name: figures[f"{name}_per_second"]["median"])
    figure, (rates, cpu) = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, gridspec_kw={"wspace": 0.08})
    _bars(rates, names, [figures[f"{name}_per_second"] for name in names], ours=("ours",))
    rates.set_title("decided and answered per second")
    left = [0.0] * len(names)
    for group, colour in GROUPS.items():
        widths = [(figures.get(f"{name}_cpu_{group}_us") or {"median": 0.0})["median"] for name in names]
        cpu.barh(names, widths, left=left, color=colour, label=group)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    cpu.set_title("processor time per request, µs")
    cpu.legend(loc="center right")
    return figure


def _is_rate(name: str) -> bool:
    return name.endswith("_per_second")


def _rates(document: Document) -> Figure:
    """The scenario beside the hot occurrence."""
    figures = document["figures"]
    names = [name for name in figures if _is_rate(name)]
    figure, axes = plt.subplots(figsize=(6, 1.6))
    rates = {name.removesuffix("_per_second"): figures[name] for name in names}
    _bars(axes, list(rates), list(rates.values()), ours=set(rates) - {"hot"})
    axes.set_title("per second")
    return figure


def _bars(
    axes: Axes, names: list[str], found: list[dict[str, float]], *, ours: Collection[str] | None = None
) -> None:
    """Medians with their spread. What is `ours` (everything, if nothing is said) stands out."""
    medians = [value["median"] for value in found]
    spread = [[m - v["low"] for m, v in zip(medians, found, strict=True)]]
    spread.append([v["high"] - m for m, v in zip(medians, found, strict=True)])
    colours = [OURS if ours is None or name in ours else OTHERS for name in names]
    bars = axes.barh(names, medians, xerr=spread, color=colours, error_kw={"lw": 1, "ecolor": "#555"})
    axes.bar_label(bars, labels=[f"{median:,.0f}" for median in medians], padding=6)
    axes.margins(x=0.15)


def _latency(document: Document) -> Figure:
    figure, axes = plt.subplots(figsize=(8.4, 3.6), layout="constrained")
    share = [tenth / 10 for tenth in range(1, 1000)]
    for name, curve in document["series"]["curves_ms"].items():
        words = name.replace("_percent", " % of saturation").replace("_", " ")
        label = f"{int(name):,}/s" if name.isdigit() else words
        style = ":" if name.startswith("floor") else "-"
        axes.plot([1 / (1 - percent / 100) for percent in share], curve, style, label=label)
    axes.set(xscale="log", yscale="log", ylabel="ms")
    _plain_numbers(axes)
    axes.set_xticks([2, 10, 100, 1000], ["p50", "p90", "p99", "p99.9"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.set_title("publish → answer, from the moment it was meant to be sent (last round)")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _on_sale(document: Document) -> Figure:
    series, requests = document["series"], document["settings"]["requests"]
    figure, axes = plt.subplots(figsize=(7, 3.2))
    answered, granted = series["answered_at_seconds"], series["granted_at_seconds"]
    heights = [number * requests / len(answered) for number in range(1, len(answered) + 1)]
    axes.step(answered, heights, color=OTHERS, label="answered")
    axes.step(granted, range(1, len(granted) + 1), color=OURS, lw=2, label="granted a seat")
    axes.set(xlabel="seconds since everybody wanted one", yscale="log", ylabel="requests")
    axes.set_title("an on-sale (last round)")
    axes.legend()
    return figure


def _scale(document: Document) -> Figure:
    large = document["settings"]["large"]
    names = {
        "small_us": "1,000 occurrences, no old holds",
        "large_us": f"{large['occurrences']:,} occurrences, {large['old_holds']:,} old holds",
        "large_cold_us": "the same, each occurrence for the first time",
    }
    figure, axes = plt.subplots(figsize=(6, 1.8))
    _bars(axes, list(names.values()), [document["figures"][name] for name in names])
    axes.invert_yaxis()
    axes.set_title("µs per decision")
    return figure


def _expiry_storm(document: Document) -> Figure:
    series = document["series"]
    figure, (left, latency) = plt.subplots(2, 1, figsize=(7, 4), sharex=True)
    finished = document["figures"]["finished_seconds"]["high"]
    shown = (-5.0, max(10.0, finished * 1.5))
    left.plot(*_cut(series["left"], shown), color=BAD)
    left.set_title("due holds left (last round)")
    latency.plot(*_cut(series["p99_ms"], shown), color=OURS)
    latency.set(yscale="log", xlabel="seconds since they were due", xlim=shown)
    _plain_numbers(latency)
    latency.set_title("p99 of new holds meanwhile, ms")
    return figure


def _plain_numbers(axes: Axes) -> None:
    """10, not ten to the power of one."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _cut(points: list[list[float]], window: tuple[float, float]) -> tuple[list[float], list[float]]:
    kept = [point for point in points if window[0] <= point[0] <= window[1]]
    return [point[0] for point in kept], [point[1] for point in kept]


def _takeover(document: Document) -> Figure:
    figure, panels = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
    titles = {"killed": "SIGKILL", "stopped": "clean hand-over"}
    for axes, (name, points) in zip(panels, document["series"].items(), strict=True):
        axes.scatter([at for at, _ in points], [ms for _, ms in points], s=3, color=OURS)
        axes.axvline(0, color=BAD, lw=1)
        axes.set_title(f"{titles[name]}: publish → answer, ms (last round)")
        axes.set(xlabel="sent, seconds since the head of the line went", yscale="log")
        _plain_numbers(axes)
    return figure


def _memory(document: Document) -> Figure:
    figures = document["figures"]
    names = {"start_rss_mb": "at the start", "rss_mb": "default bound", "bounded_rss_mb": "a tenth of it"}
    figure, axes = plt.subplots(figsize=(6, 1.8))
    _bars(axes, list(names.values()), [figures[name] for name in names])
    axes.invert_yaxis()
    axes.set_title(f"resident MB of a worker after {document['settings']['occurrences']:,} occurrences")
    return figure


PICTURES: dict[str, Callable[[Document], Figure]] = {
    "hot": _hot,
    "sold_out": _rates,
    "spread": _rates,
    "latency": _latency,
    "on_sale": _on_sale,
    "scale": _scale,
    "expiry_storm": _expiry_storm,
    "takeover": _takeover,
    "memory": _memory,
}
