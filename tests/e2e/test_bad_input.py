"""Whatever is thrown at the request queues gets its typed answer or lies in the dead letters with its reason; the
worker lives, and good requests in between are answered as if nothing were.

Everything is sent with plain pika, so that nothing of ours stands between the junk and the gate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import pika
import pytest
from tests.support.processes import WorkerProcess
from tests.support.rabbit import PATIENCE_SECONDS, eventually
from tests.support.requests import place_of, put
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_schema.answers.holds import Held, HoldShown, Reason, Refused
from holdgate_schema.codec import BODY_BYTES_MAX, encode
from holdgate_schema.envelope import BODY_BYTES_KEPT
from holdgate_schema.routing import partition_of, routing_key, slot_key, slot_of
from holdgate_schema.topology import DEAD_QUEUE, REQUESTS_EXCHANGE, partition_queue
from holdgate_workers.app.ports import DeadLetter, Oversized
from holdgate_workers.ids import new_request_id

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif("rabbit" not in kinds(), reason="the broker is left out of this run"),
]

OCCURRENCE = "bad-input"
ANSWER_SECONDS = 5.0
LARGE_MESSAGES, LARGE_BYTES = 50, 4 << 20
Document = dict[str, Any]


class Raw:
    """A client that may send anything."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self.address = self._channel.queue_declare("holdgate.reply.bad-input", exclusive=True).method.queue

    def send(self, body: bytes, *, key: str | None = None, **properties: Any) -> None:
        """Publish; `reply_to` is our own queue unless another is named."""
        given = pika.BasicProperties(**{"reply_to": self.address, **properties})
        self._channel.basic_publish(REQUESTS_EXCHANGE, key or routing_key(OCCURRENCE), body, given)

    def answer(self, correlation_id: str, seconds: float = ANSWER_SECONDS) -> Document:
        """The answer with this correlation id."""

        def look() -> Document | None:
            _, properties, body = self._channel.basic_get(self.address, auto_ack=True)
            return json.loads(body) if properties and properties.correlation_id == correlation_id else None

        found: Document = eventually(look, f"an answer for {correlation_id}", seconds)
        return found

    def silence(self) -> bool:
        """Whether nothing lies in our queue."""
        return self._channel.basic_get(self.address, auto_ack=True)[0] is None

    def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        count: int = self._channel.queue_declare(queue, passive=True).method.message_count
        return count

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestSite, WorkerProcess]]:
    """A site with one gate and an occurrence, and the process that must survive it all."""
    with open_test_site("rabbit", tmp_path_factory.mktemp("bad-input")) as site:
        worker = site.start("gate")
        put(site.client(), OCCURRENCE, 100_000)
        yield site, worker
        assert worker.get("/livez")[0] == 200
        assert worker.is_running
        assert worker.logged("engine_failed") == []


@pytest.fixture
def site(gate: tuple[TestSite, WorkerProcess]) -> TestSite:
    return gate[0]


@pytest.fixture
def raw(site: TestSite) -> Iterator[Raw]:
    assert site.amqp_url is not None
    client = Raw(site.amqp_url)
    yield client
    client.close()


def good(**more: Any) -> Document:
    """A request as it should be, to be spoiled."""
    document: Document = json.loads(encode(place_of(OCCURRENCE)))
    return {**document, **more}


def letter_of(site: TestSite, marker: str) -> DeadLetter:
    """The dead letter with this correlation id."""
    found: DeadLetter = eventually(
        lambda: next((one for one in site.dead_letters() if one.properties.correlation_id == marker), None),
        f"a dead letter for {marker}",
    )
    return found


def neighbour(raw: Raw) -> str:
    """A good request; its id."""
    request = place_of(OCCURRENCE)
    raw.send(encode(request), correlation_id=request.request_id, message_id=request.request_id)
    return request.request_id


def text(document: Document, old: str = "", new: str = "") -> bytes:
    """The document as JSON, with something in it that no JSON library would write."""
    plain = json.dumps(document)
    assert old in plain
    return plain.replace(old, new).encode()


class Bad(NamedTuple):
    """One bad message, whose ids can be read: the field that is named in the refusal."""

    field: str
    body: Callable[[], bytes]
    properties: Mapping[str, Any] = MappingProxyType({})


REFUSED = {
    "a text where a number belongs": Bad("items", lambda: text(good(items={"adult": "2"}))),
    "a fraction": Bad("items", lambda: text(good(items={"adult": 1.5}))),
    "a negative quantity": Bad("items", lambda: text(good(items={"adult": -1}))),
    "zero seats": Bad("items", lambda: text(good(items={"adult": 0}))),
    "an empty basket": Bad("items", lambda: text(good(items={}))),
    "a huge number": Bad("items", lambda: text(good(items={"adult": 10**300}))),
    "a number beyond floats": Bad(
        "items", lambda: text(good(items={"adult": 777}), '"adult": 777', '"adult": 1e999')
    ),
    "a list where a map belongs": Bad("items", lambda: text(good(items=["adult"]))),
    "an unknown field": Bad("price", lambda: text(good(price=0))),
    "a field twice": Bad("items", lambda: text(good(x=1), '"x": 1', '"items": {"adult": 9}')),
    "a NUL in a name": Bad("session_id", lambda: text(good(session_id="a\0b"))),
    "a name that is too long": Bad("session_id", lambda: text(good(session_id="s" * 129))),
    "broken UTF-8": Bad("", lambda: text(good(session_id="777")).replace(b'"777"', b'"\xc3\x28"')),
    "an unknown type of message": Bad("type", lambda: text(good(type="hold.steal.v9"))),
    "no type": Bad("type", lambda: text({k: v for k, v in good().items() if k != "type"})),
}
REFUSED_FOR_THEIR_PROPERTIES = {
    "another content type": Bad("content_type", lambda: text(good()), {"content_type": "text/plain"}),
    "a content encoding": Bad("content_encoding", lambda: text(good()), {"content_encoding": "gzip"}),
    "another type in the envelope": Bad("type", lambda: text(good()), {"type": "hold.release.v1"}),
    "another message id": Bad("message_id", lambda: text(good()), {"message_id": new_request_id()}),
    "an expiration": Bad("expiration", lambda: text(good()), {"expiration": "60000"}),
    "a copy for another partition": Bad("CC", lambda: text(good()), {"headers": {"CC": [slot_key(1)]}}),
    "too many headers": Bad("headers", lambda: text(good()), {"headers": {f"x-{n}": n for n in range(40)}}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_message_with_readable_ids_is_refused_under_its_own_name(
    site: TestSite, raw: Raw, name: str
) -> None:
    """The refusal names the field, it is recorded, and no seat is touched; what comes before and after is answered."""
    bad = REFUSED[name]
    body = bad.body()
    request_id = json.loads(body.decode(errors="replace"))["request_id"]
    held = site.held(OCCURRENCE)
    before = neighbour(raw)
    raw.send(body, correlation_id=request_id, **bad.properties)
    after = neighbour(raw)
    assert raw.answer(before)["outcome"] == "held"
    answer = raw.answer(request_id)
    assert (answer["outcome"], answer["reason"], answer["retryable"]) == ("refused", "invalid", False)
    assert any(error["field"].startswith(bad.field) for error in answer["errors"]), answer["errors"]
    eventually(lambda: site.held(OCCURRENCE) == held + 2, "the good neighbours have their seats")
    assert site.value("SELECT reply->>'reason' FROM journal WHERE request_id = %s", request_id) == "invalid"
    # The neighbour's answer may have been drained while we looked for the other one: ask again under its id.
    assert site.value("SELECT outcome FROM journal WHERE request_id = %s", after) == "held"


@pytest.mark.parametrize("name", REFUSED_FOR_THEIR_PROPERTIES)
def test_a_wrong_property_does_not_use_up_the_request_id(site: TestSite, raw: Raw, name: str) -> None:
    """Its sender is told which one, corrects it, and sends the same bytes again."""
    bad = REFUSED_FOR_THEIR_PROPERTIES[name]
    body = bad.body()
    request_id = json.loads(body)["request_id"]
    for _ in range(2):
        raw.send(body, correlation_id=request_id, **bad.properties)
        answer = raw.answer(request_id)
        assert (answer["outcome"], answer["reason"], answer["retryable"]) == ("refused", "invalid", False)
        assert [(error["code"], error["field"]) for error in answer["errors"]] == [("property", bad.field)]
        assert site.value("SELECT count(*) FROM journal WHERE request_id = %s", request_id) == 0
    raw.send(body, correlation_id=request_id)
    assert raw.answer(request_id)["outcome"] == "held"
    raw.send(body, correlation_id=request_id, **bad.properties)
    assert raw.answer(request_id)["outcome"] == "held", "what was decided is said again, whatever the properties"


def _nested(levels: int) -> bytes:
    document = text(good(deep="x"))
    return document.replace(b'"x"', b"[" * levels + b"]" * levels)


LETTERS: dict[str, Callable[[], bytes]] = {
    "no JSON": lambda: b"\xff\xfe\x00\x01",
    "nothing": lambda: b"",
    "half a document": lambda: text(good())[:-10],
    "a list": lambda: b"[1, 2, 3]",
    "a number": lambda: b"42",
    "17 KiB": lambda: text(good(session_id="s" * 17 * 1024)),
    "nesting that is too deep": lambda: _nested(7000),
    "NaN": lambda: text(good(items={"adult": 777}), "777", "NaN"),
    "half of a surrogate pair": lambda: text(good(session_id="777"), "777", r"\ud800"),
    "no request id": lambda: text({k: v for k, v in good().items() if k != "request_id"}),
    "no occurrence id": lambda: text({k: v for k, v in good().items() if k != "occurrence_id"}),
    "a request id that is none": lambda: text(good(request_id="1; DROP TABLE holds")),
    "a NUL in the occurrence": lambda: text(good(occurrence_id="a\0b")),
    "the request id twice": lambda: text(good(x=1), '"x": 1', f'"request_id": "{new_request_id()}"'),
}


@pytest.mark.parametrize("name", LETTERS)
def test_b42_an_unreadable_message_lies_in_the_dead_letters_with_its_reason(
    site: TestSite, raw: Raw, name: str
) -> None:
    """As it came, to the byte, up to the limit; its sender is told; what comes before and after is answered."""
    body, marker = LETTERS[name](), new_request_id()
    before = neighbour(raw)
    raw.send(body, correlation_id=marker, app_id="junk")
    neighbour(raw)
    assert raw.answer(before)["outcome"] == "held"
    answer = raw.answer(marker)
    assert (answer["outcome"], answer["reason"]) == ("refused", "invalid")
    assert answer["errors"]
    letter = letter_of(site, marker)
    assert letter.body == (body if len(body) <= BODY_BYTES_MAX else body[:BODY_BYTES_KEPT])
    assert letter.reason == "unreadable"
    assert letter.detail
    assert letter.partition == partition_of(slot_of(OCCURRENCE), site.site.partitions)
    assert letter.properties.app_id == "junk"


@pytest.mark.parametrize(
    "address", [DEAD_QUEUE, partition_queue(0), partition_queue(1), "amq.gen-x", "events", ""]
)
def test_a_forged_reply_address_is_never_written_to(site: TestSite, raw: Raw, address: str) -> None:
    """Neither for a request that could be decided nor for one that could not be read."""
    request, marker = good(), new_request_id()
    letters = len(site.dead_letters())
    raw.send(text(request), reply_to=address, correlation_id=request["request_id"])
    raw.send(b"junk", reply_to=address, correlation_id=marker)
    assert raw.answer(neighbour(raw))["outcome"] == "held"
    assert letter_of(site, marker).reason == "unreadable"
    assert len(site.dead_letters()) == letters + 1, "only the letter itself"
    recorded = site.value("SELECT count(*) FROM journal WHERE request_id = %s", request["request_id"])
    assert recorded == 0, "a wrong address does not use up the request id"
    assert raw.silence()
    queues = [partition_queue(partition) for partition in range(site.site.partitions)]
    eventually(lambda: sum(map(raw.depth, queues)) == 0, "nothing waits in the partitions")


def test_a_request_in_the_wrong_partition_is_decided_as_in_the_right_one(site: TestSite, raw: Raw) -> None:
    """Routing makes it fast, not right."""
    request = good()
    wrong = slot_key((slot_of(OCCURRENCE) + 1) % 256)
    raw.send(text(request), key=wrong, correlation_id=request["request_id"])
    assert raw.answer(request["request_id"])["outcome"] == "held"


def test_a_request_multiplied_behind_our_back_counts_once(site: TestSite, raw: Raw) -> None:
    """The broker removes the header BCC, so that nobody can see that there are copies."""
    request, held = good(), site.held(OCCURRENCE)
    copies = {"BCC": [slot_key(slot) for slot in range(4)]}
    raw.send(text(request), correlation_id=request["request_id"], headers=copies)
    answers = [raw.answer(request["request_id"]) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["outcome"] == "held"
    assert site.held(OCCURRENCE) == held + 1


def test_strange_but_harmless_properties_change_nothing(site: TestSite, raw: Raw) -> None:
    for properties in (
        {"delivery_mode": 1},
        {"priority": 255},
        {"timestamp": 2**63 - 1},
        {"headers": {"x": {"deep": [{"er": None}]}, "y": b"\xff"}},
        {"content_type": "application/json", "cluster_id": "x" * 255, "app_id": "ünï"},
    ):
        request = good()
        raw.send(text(request), correlation_id=request["request_id"], **properties)
        assert raw.answer(request["request_id"])["outcome"] == "held", properties


def test_a_request_that_expires_in_the_queue_lies_in_the_dead_letters(site: TestSite, raw: Raw) -> None:
    """Nobody can make a request vanish: where the broker drops it before we see it, it keeps it."""
    request = good()
    raw.send(text(request), correlation_id=request["request_id"], expiration="0")

    def settled() -> bool:
        return not raw.silence() or any(
            one.properties.correlation_id == request["request_id"] for one in site.dead_letters()
        )

    eventually(settled, "it is refused, or it is kept")


def test_large_messages_do_not_fill_the_memory(gate: tuple[TestSite, WorkerProcess], raw: Raw) -> None:
    """Fifty of 4 MiB, far fewer than the prefetch: bytes over the limit are thrown away as they come."""
    site, worker = gate
    marker, body = new_request_id(), b"x" * LARGE_BYTES
    raw.send(body, correlation_id=new_request_id(), reply_to=None)
    assert raw.answer(neighbour(raw))["outcome"] == "held"
    before = worker.peak_bytes(since_now=True)
    for _ in range(LARGE_MESSAGES):
        raw.send(body, correlation_id=marker, reply_to=None)
    raw.send(body, correlation_id=marker)
    answer = raw.answer(marker, PATIENCE_SECONDS)
    assert (answer["outcome"], answer["reason"]) == ("refused", "invalid")
    assert [error["field"] for error in answer["errors"]] == ["body"]
    assert raw.answer(neighbour(raw))["outcome"] == "held"
    assert worker.peak_bytes() - before < 20_000_000

    def letters() -> list[DeadLetter]:
        found = [one for one in site.dead_letters() if one.properties.correlation_id == marker]
        return found if len(found) > LARGE_MESSAGES else []

    kept = eventually(letters, "each of them is among the dead letters")
    assert {one.body for one in kept} == {body[:BODY_BYTES_KEPT]}
    assert {one.oversized for one in kept} == {Oversized(len(body), sha256(body).hexdigest())}
    assert {one.reason for one in kept} == {"unreadable"}


def test_headers_over_their_limit_are_refused(site: TestSite, raw: Raw) -> None:
    request = good()
    raw.send(text(request), correlation_id=request["request_id"], headers={f"x-{n}": "y" * 500 for n in range(20)})
    answer = raw.answer(request["request_id"])
    assert (answer["outcome"], answer["reason"]) == ("refused", "invalid")
    assert [error["field"] for error in answer["errors"]] == ["headers"]


def test_a_sender_cannot_invent_why_its_message_died(site: TestSite, raw: Raw) -> None:
    marker = new_request_id()
    invented = {"x-holdgate-reason": "poison", "x-holdgate-died-at": "1999", "x-death": "long ago", "x-keep": "me"}
    raw.send(b"junk", correlation_id=marker, headers=invented)
    letter = letter_of(site, marker)
    assert letter.reason == "unreadable"
    assert letter.died_at > "2000"
    assert letter.headers["x-keep"] == "me"
    assert "x-death" not in letter.headers


def test_a_flood_of_junk_does_not_keep_good_requests_waiting(site: TestSite, raw: Raw) -> None:
    """Two hundred bad messages before and behind one good one."""
    marker = new_request_id()
    for number in range(400):
        if number == 200:
            last = neighbour(raw)
        raw.send(b"junk %d" % number, correlation_id=marker, reply_to=None)
    assert raw.answer(last)["outcome"] == "held"
    eventually(lambda: sum(one.properties.correlation_id == marker for one in site.dead_letters()) == 400)


def test_a_hold_is_shown_in_every_state_and_leaves_no_trace(site: TestSite) -> None:
    """Through the real queue and the real rows: also one that has ended and is in the database only."""
    client = site.client()
    held = client.place(OCCURRENCE, {"adult": 1})
    assert isinstance(held, Held)
    ids = (OCCURRENCE, held.hold.session_id, held.hold.hold_id)
    rows = site.value("SELECT count(*) FROM journal")
    shown = client.hold(*ids)
    assert isinstance(shown, HoldShown)
    assert shown.hold == held.hold
    assert site.value("SELECT count(*) FROM journal") == rows
    client.release(*ids)
    shown = client.hold(*ids)
    assert isinstance(shown, HoldShown)
    assert shown.hold.state == "released"
    other = client.hold(OCCURRENCE, "another", held.hold.hold_id)
    assert isinstance(other, Refused)
    assert other.reason is Reason.HOLD_NOT_FOUND
