"""`holdgate contract`: what the world may rely on."""

from __future__ import annotations

import sys

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example


@click.command(
    epilog=example(
        "holdgate contract",
        "holdgate contract asyncapi > asyncapi.yaml",
        "holdgate contract hold.place.v1",
        "holdgate contract slots",
    )
)
@click.argument("name", required=False)
@output_option
def contract(name: str | None, out: Output) -> None:
    """Print one document of the contract, or what there is.

    NAME is asyncapi (YAML), slots, topology, or a message such as hold.place.v1 or answer.held.v1 (JSON Schema).
    """
    from holdgate_schema.contract.published import UnknownDocument, names, render

    if name is None:
        found = list(names())
        if out.is_json:
            out.json({"documents": found})
        else:
            for each in found:
                out.line(each)
        return
    try:
        sys.stdout.write(render(name))
    except UnknownDocument as exc:
        raise Failure(f"{exc}", exits.USAGE) from exc
