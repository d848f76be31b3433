"""A COMMIT is found however the client says it and however the network cuts it."""

from __future__ import annotations

from struct import pack

import pytest
from tests.crash.frontend import Frames

START = pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
ENCRYPTION_WANTED = pack("!II", 8, 80877103)


def message(kind: bytes, *texts: bytes) -> bytes:
    body = b"".join(text + b"\0" for text in texts)
    return kind + pack("!I", len(body) + 4) + body


UPDATE = message(b"P", b"", b"UPDATE t SET a = 'COMMIT'") + message(b"B", b"", b"")
SIMPLE = message(b"Q", b" commit; ")
UNNAMED = message(b"P", b"", b"COMMIT") + message(b"B", b"", b"")
NAMED = message(b"P", b"s1", b"COMMIT") + message(b"B", b"", b"s1")
EXECUTE = message(b"E", b"")


@pytest.mark.parametrize("commit", [SIMPLE, UNNAMED, NAMED])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_a_commit_stands_alone_and_nothing_is_lost(commit: bytes, chunk_bytes: int) -> None:
    said = ENCRYPTION_WANTED + START + UPDATE + EXECUTE + commit + EXECUTE + UPDATE + EXECUTE
    frames = Frames()
    pieces = [
        piece for at in range(0, len(said), chunk_bytes) for piece in frames.feed(said[at : at + chunk_bytes])
    ]
    assert b"".join(data for data, _ in pieces) == said
    [place] = [place for place, (_, is_commit) in enumerate(pieces) if is_commit]
    assert b"".join(data for data, _ in pieces[place + 1 :]) == EXECUTE + UPDATE + EXECUTE


def test_a_statement_that_was_prepared_once_is_known_each_time() -> None:
    frames = Frames()
    said = START + UPDATE + NAMED + EXECUTE + UPDATE + message(b"B", b"", b"s1") + EXECUTE
    assert [is_commit for _, is_commit in frames.feed(said)] == [False, True, False, True, False]


def test_the_end_of_a_transaction_that_only_read_is_passed_on_like_anything_else() -> None:
    """A batch of questions alone locks nothing; a case that keeps its COMMIT would wait for nobody."""
    select = message(b"P", b"", b"SELECT a FROM t") + message(b"B", b"", b"")
    frames = Frames()
    said = START + UPDATE + NAMED + EXECUTE + select + message(b"B", b"", b"s1") + EXECUTE
    assert [is_commit for _, is_commit in frames.feed(said)] == [False, True, False]
