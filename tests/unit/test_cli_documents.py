"""JSON files of every command, in the encodings that editors write."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdgate_workers.cli import exits
from holdgate_workers.cli.documents import read_object
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.main import cli

PRODUCT = {
    "product_id": "keep",
    "label": "Château du fleuve",
    "currency": "EUR",
    "timezone": "Europe/Paris",
    "ticket_types": [{"key": "adult", "price": 1500, "counts_as": "adult"}],
    "rules": {},
}
TEXT = json.dumps(PRODUCT, ensure_ascii=False)


class Named(BytesIO):
    name = "keep.json"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("cp1252"),
    ],
)
def test_a_document_is_the_same_in_every_encoding(data: bytes) -> None:
    assert read_object(Named(data)) == PRODUCT


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (TEXT.replace("Château", "Замок на реке").encode("cp1251"), "UTF-8"),
        (b"\xff\xfe" + TEXT.encode(), "keep.json"),
        (b"PK\x03\x04\xff\xff", "another program"),
        (TEXT.replace(": {}", ": {").encode(), "line 1"),
        (b"", "line 1"),
        (b"[]", "one JSON object"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(data: bytes, word: str) -> None:
    with pytest.raises(Failure) as failure:
        read_object(Named(data))
    assert failure.value.exit_code == exits.USAGE
    assert word in failure.value.format_message()


@pytest.mark.parametrize("command", [("product", "put"), ("voucher", "put"), ("occurrence", "put", "--file")])
def test_every_command_that_takes_json_reads_what_editors_write(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong in it is named by its field: it was read."""
    monkeypatch.setenv("HOLDGATE_DATA_DIR", str(tmp_path / "data"))
    file = tmp_path / "wrong.json"
    file.write_bytes('{"nonsense": "Größe"}'.encode("utf-8-sig"))
    result = CliRunner().invoke(cli, [*command, str(file)])
    assert result.exit_code == exits.USAGE
    assert "nonsense" in result.output
    file.write_bytes("{'a'}".encode("utf-16"))
    result = CliRunner().invoke(cli, [*command, str(file)])
    assert result.exit_code == exits.USAGE
    assert "is not JSON" in result.output
