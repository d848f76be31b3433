"""The report: one page with everything that has been run, to be opened in a browser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from .plots import svg
from .result import shown

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
.met { color: #3f7a35 } .missed { color: #b0402a; font-weight: 600 } .quiet { color: #777 } svg { max-width: 100% }
"""


def write_report(results: Path, order: Sequence[str]) -> Path:
    """Put the latest result of each scenario into `report.html` beside them; its path."""
    documents = [
        json.loads(path.read_text(encoding="utf-8"))
        for name in order
        if (path := results / f"{name}.json").exists()
    ]
    page = results / "report.html"
    body = "\n".join([_bar(documents), *map(_scenario, documents)])
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Benchmark</title><style>{STYLE}</style>"
    page.write_text(f"{head}<h1>Benchmark</h1>\n{body}\n</html>\n", encoding="utf-8")
    return page


def _bar(documents: Sequence[dict[str, Any]]) -> str:
    """All targets, met or not."""
    rows = [_target(target) for document in documents for target in document["targets"]]
    return _table(["the bar", "target", "measured", ""], rows)


def _target(target: dict[str, Any]) -> list[str]:
    verdict = {
        True: "<span class=met>met</span>",
        False: "<span class=missed>not met</span>",
        None: "<span class=quiet>not measured</span>",
    }[target["met"]]
    sign = "≥" if target["at_least"] else "≤"
    return [escape(target["what"]), f"{sign} {target['bound']:g}", shown(target["measured"]), verdict]


def _scenario(document: dict[str, Any]) -> str:
    name, machine = document["scenario"], document["machine"]
    about = escape(str(import_module(f"bench.{name}").__doc__).strip())
    when = escape(f"{document['at'][:16]} · {machine['cpus']} processors · Python {machine['python']}")
    settings = escape(json.dumps(document["settings"]))
    rows = [
        [escape(figure), *(shown(found[key]) if found else "absent" for key in ("median", "low", "high"))]
        for figure, found in document["figures"].items()
    ]
    return "\n".join(
        [
            f"<h2>{escape(name)}</h2><p>{about}</p>",
            svg(document) or "",
            f"<p class=quiet>{when} · {len(document['rows'])} rounds · {settings}</p>",
            f"<details><summary>figures</summary>{_table(['', 'median', 'lowest', 'highest'], rows)}</details>",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
