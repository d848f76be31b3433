"""The client over a real RabbitMQ: what it promises when the broker says no, or goes away."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic
from tests.support.rabbit import channel, eventually, fresh_vhost, rabbitmqctl, vhost_of

from holdgate_producer import (
    AsyncBookingClient,
    Blocked,
    BookingClient,
    ClientConfig,
    ConnectionLost,
    Held,
    Nacked,
    TimedOut,
    Unroutable,
    new_request_id,
)
from holdgate_producer.amqp.link import AmqpLink
from holdgate_producer.testing.house import FakeHouse
from holdgate_schema.answers.holds import answer_type
from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import Command, PlaceHold
from holdgate_schema.topology import REQUESTS_EXCHANGE

pytestmark = pytest.mark.services

QUEUE = "holdgate.requests.00"
LONG = 120.0
SHORT = 0.5


class Gate:
    """A gate as small as can be: it works one queue and remembers answers by request id."""

    def __init__(self, url: str, capacity: int = 1_000_000) -> None:
        self.seen: list[Command] = []
        self.properties: list[pika.BasicProperties] = []
        self.silent = False
        self._url = url
        self._house = FakeHouse({f"occ-{number}": capacity for number in range(10)})
        self._journal: dict[str, bytes] = {}
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        assert self._ready.wait(LONG)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(LONG)

    def _run(self) -> None:
        """Work until told to stop, over as many connections as that takes."""
        while not self._stopping.is_set():
            try:
                self._work()
            except pika.exceptions.AMQPError:
                self._stopping.wait(0.05)

    def _work(self) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=200)
            channel.basic_consume(QUEUE, self._answer)
            self._ready.set()
            while not self._stopping.is_set():
                connection.process_data_events(time_limit=0.05)

    def _answer(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        command, _ = decode_command(body)
        self.seen.append(command)
        self.properties.append(properties)
        if command.request_id not in self._journal:
            answer = self._house.decide(command)
            self._journal[command.request_id] = encode(answer)
        if not self.silent:
            kind = answer_type(Held)
            reply = pika.BasicProperties(correlation_id=properties.correlation_id, type=kind)
            channel.basic_publish("", str(properties.reply_to), self._journal[command.request_id], reply)
        channel.basic_ack(method.delivery_tag)


class Proxy:
    """Stands between the client and the broker, and can stop passing anything on or put in words of its own."""

    def __init__(self, url: str) -> None:
        broker = urlsplit(url)
        self._broker = (broker.hostname, broker.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        login = broker.netloc.rpartition("@")[0]
        self.url = urlunsplit(broker._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}"))
        self._sockets: list[socket.socket] = []
        self._to_client: list[socket.socket] = []
        self._frozen: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def freeze(self) -> None:
        """Pass nothing more on over the connections that exist."""
        self._frozen.update(self._sockets)

    def say(self, method: int, arguments: bytes = b"") -> None:
        """Send the client a method of the class `connection` in the broker's name. Only while all is quiet."""
        payload = struct.pack("!HH", 10, method) + arguments
        frame = struct.pack("!BHI", 1, 0, len(payload)) + payload + b"\xce"
        self._to_client[-1].sendall(frame)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG)
        for one in [self._listener, *self._sockets]:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(self._broker)
                self._sockets += [client, broker]
                self._to_client.append(client)
                for pair in ((client, broker), (broker, client)):
                    thread = threading.Thread(target=self._pass_on, args=pair, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self._frozen:
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(topology: str) -> Iterator[Proxy]:
    between = Proxy(topology)
    yield between
    between.close()


@pytest.fixture(scope="module")
def own_vhost() -> Iterator[str]:
    with fresh_vhost() as url:
        yield url


@pytest.fixture
def vhost(own_vhost: str) -> str:
    """A vhost with nothing of ours in it. (Making one takes seconds, so all tests here share one.)"""
    with channel(own_vhost) as broker:
        broker.queue_delete(QUEUE)
        broker.exchange_delete(REQUESTS_EXCHANGE)
    return own_vhost


@pytest.fixture
def topology(vhost: str) -> str:
    """A vhost with one queue that takes the requests of every occurrence, and no alternate exchange."""
    declare(vhost, {"x-queue-type": "quorum"})
    return vhost


def reply_queues(url: str) -> list[list[str]]:
    """The rows of the reply queues: name, exclusive, auto_delete, durable, type."""
    listed = rabbitmqctl("list_queues", "-p", vhost_of(url), "name", "exclusive", "auto_delete", "durable", "type")
    return [line.split() for line in listed.splitlines() if line.startswith("holdgate.reply.")]


def declare(url: str, arguments: dict[str, object]) -> None:
    with channel(url) as broker:
        broker.exchange_declare(REQUESTS_EXCHANGE, "direct", durable=True)
        broker.queue_declare(QUEUE, durable=True, arguments=arguments)
        for slot in range(256):
            broker.queue_bind(QUEUE, REQUESTS_EXCHANGE, f"slot.{slot:03d}")


def config(url: str, **settings: object) -> ClientConfig:
    fast: dict[str, object] = {"reconnect_min_seconds": 0.01, "reconnect_max_seconds": 0.2}
    return ClientConfig(url=url, app_id="test", **fast | settings)  # type: ignore[arg-type]


def place_command(number: int = 1) -> PlaceHold:
    return PlaceHold(request_id=new_request_id(), occurrence_id=f"occ-{number % 10}", items={"adult": 1})


def kill_connections(url: str) -> None:
    rabbitmqctl("close_all_connections", "--vhost", vhost_of(url), "killed by the test")


def test_a_request_is_answered_and_carries_the_properties_of_the_contract(topology: str) -> None:
    with Gate(topology) as gate, BookingClient(config(topology)) as client:
        answer = client.place("occ-1", {"adult": 2}, session_id="s")
    assert isinstance(answer, Held)
    (sent,) = gate.properties
    assert sent.message_id == sent.correlation_id == answer.request_id
    assert (sent.type, sent.app_id, sent.content_type) == ("hold.place.v1", "test", "application/json")
    assert sent.user_id == (urlsplit(topology).username or "guest")
    assert sent.delivery_mode == 2
    assert str(sent.reply_to).startswith("holdgate.reply.test.")
    assert (sent.expiration, sent.headers, sent.timestamp) == (None, None, None)


def test_the_trace_context_travels_as_a_header(topology: str) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with Gate(topology) as gate, BookingClient(config(topology, traceparent=lambda: trace)) as client:
        client.place("occ-1", {"adult": 1})
    assert gate.properties[0].headers == {"traceparent": trace}


def test_the_reply_queue_is_exclusive_and_goes_with_the_client(topology: str) -> None:
    eventually(lambda: reply_queues(topology) == [])
    with BookingClient(config(topology)) as client:
        client.wait_connected(LONG)
        (reply,) = reply_queues(topology)
        assert reply[0].startswith("holdgate.reply.test.")
        assert reply[1:4] == ["true", "true", "false"]
        assert "classic" in reply[4]
    eventually(lambda: reply_queues(topology) == [])


def test_without_a_queue_the_request_is_unroutable(topology: str) -> None:
    with channel(topology) as broker:
        broker.queue_delete(QUEUE)
    with BookingClient(config(topology)) as client:
        for _ in range(2):
            with pytest.raises(Unroutable, match="312 NO_ROUTE"):
                client.place("occ-1", {"adult": 1})


def test_a_full_queue_nacks(vhost: str) -> None:
    declare(vhost, {"x-queue-type": "classic", "x-max-length": 0, "x-overflow": "reject-publish"})
    with BookingClient(config(vhost)) as client, pytest.raises(Nacked) as caught:
        client.place("occ-1", {"adult": 1})
    assert caught.value.request_id


def test_after_a_timeout_the_same_id_gets_the_one_decision(topology: str) -> None:
    with Gate(topology) as gate, BookingClient(config(topology)) as client:
        client.wait_connected(LONG)
        gate.silent = True
        with pytest.raises(TimedOut) as caught:
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        assert caught.value.accepted
        gate.silent = False
        answer = client.place("occ-1", {"adult": 1}, request_id=caught.value.request_id)
        assert isinstance(answer, Held)
        assert answer.version == 1
        assert len(gate.seen) == 2


def test_every_future_resolves_though_the_connection_is_killed_twice(topology: str) -> None:
    """A thousand requests; each is decided once, whatever was published twice."""
    commands = [place_command(number) for number in range(1000)]
    with Gate(topology) as gate, BookingClient(config(topology, timeout_seconds=LONG)) as client:
        client.wait_connected(LONG)
        gate.silent = True
        futures = client.send_many(commands)
        eventually(lambda: len(gate.seen) > 100)
        kill_connections(topology)
        gate.silent = False
        eventually(lambda: client.stats.answered > 100)
        kill_connections(topology)
        answers = [future.result(LONG) for future in futures]
        assert client.stats.connects >= 2
        assert client.stats.resent > 0
    assert all(isinstance(answer, Held) for answer in answers)
    assert [answer.request_id for answer in answers] == [command.request_id for command in commands]
    versions = Counter((answer.occurrence_id, answer.version) for answer in answers)
    assert set(versions.values()) == {1}


def test_first_attempts_keep_the_order_of_sending_over_a_reconnect(topology: str) -> None:
    """What went out before the kill goes out again before what was sent after it."""
    commands = [place_command(1) for _ in range(600)]
    with BookingClient(config(topology, timeout_seconds=LONG)) as client:
        client.wait_connected(LONG)
        futures = client.send_many(commands[:300])
        kill_connections(topology)
        futures += client.send_many(commands[300:])
        eventually(lambda: client.stats.connects == 2)
        with Gate(topology) as gate:
            for future in futures:
                future.result(LONG)
    first_seen = list(dict.fromkeys(command.request_id for command in gate.seen))
    assert first_seen == [command.request_id for command in commands]


def test_eight_threads_share_one_client(topology: str) -> None:
    def work(thread: int) -> int:
        session = f"thread-{thread}"
        answers = [client.place("occ-1", {"adult": 1}, session_id=session) for _ in range(25)]
        return sum(isinstance(answer, Held) and answer.hold.session_id == session for answer in answers)

    with Gate(topology), BookingClient(config(topology)) as client, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [25] * 8


def test_the_asyncio_face(topology: str) -> None:
    async def main() -> None:
        async with AsyncBookingClient(config(topology)) as client:
            answers = await asyncio.gather(*(client.place("occ-1", {"adult": 1}) for _ in range(100)))
            assert all(isinstance(answer, Held) for answer in answers)

    with Gate(topology):
        asyncio.run(main())


def test_a_wrong_password_is_told_and_tried_again(topology: str) -> None:
    parts = urlsplit(topology)
    wrong = urlunsplit(parts._replace(netloc=f"nobody:hidden@{parts.hostname}:{parts.port or 5672}"))
    with BookingClient(config(wrong)) as client:
        with pytest.raises(ConnectionLost, match=r"(?i)authentication|access_refused") as caught:
            client.place("occ-1", {"adult": 1}, timeout_seconds=2)
        assert "hidden" not in str(caught.value)


def test_the_documented_permissions_are_enough(topology: str) -> None:
    """docs/integrating.md, "What the broker must allow"."""
    user, parts = f"holdgate-test-{secrets.token_hex(4)}", urlsplit(topology)
    own = urlunsplit(parts._replace(netloc=f"{user}:secret@{parts.hostname}:{parts.port or 5672}"))
    rabbitmqctl("add_user", user, "secret")
    try:
        reply, requests = r"^holdgate\.reply\.", r"^holdgate\.requests$"
        rabbitmqctl("set_permissions", "-p", vhost_of(topology), user, reply, requests, reply)
        with Gate(topology), BookingClient(config(own)) as client:
            assert isinstance(client.place("occ-1", {"adult": 1}), Held)
    finally:
        rabbitmqctl("delete_user", user)


def test_nobody_listening_is_told() -> None:
    nobody = config("amqp://guest:guest@127.0.0.1:1/")
    with BookingClient(nobody) as client, pytest.raises(ConnectionLost, match=r"(?i)refused"):
        client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)


def test_a_missing_exchange_is_told(vhost: str) -> None:
    """The broker closes the channel; the client says so and comes back when the exchange is there."""
    with BookingClient(config(vhost)) as client:
        with pytest.raises(TimedOut, match="safe to send again"):
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        declare(vhost, {"x-queue-type": "quorum"})
        with Gate(vhost):
            assert isinstance(client.place("occ-1", {"adult": 1}), Held)


def test_a_deleted_reply_queue_is_replaced(topology: str) -> None:
    eventually(lambda: reply_queues(topology) == [])
    with Gate(topology), BookingClient(config(topology)) as client:
        client.wait_connected(LONG)
        ((reply, *_),) = reply_queues(topology)
        rabbitmqctl("delete_queue", "-p", vhost_of(topology), reply)
        eventually(lambda: client.stats.connects == 2)
        assert isinstance(client.place("occ-1", {"adult": 1}), Held)


def test_a_client_can_be_closed_at_any_moment(topology: str) -> None:
    """Before, while and after connecting; nothing hangs and no thread stays."""
    before = threading.active_count()
    for pause in (0.0, 0.0, 0.001, 0.003, 0.01, 0.03, 0.1):
        client = BookingClient(config(topology))
        threading.Event().wait(pause)
        client.close()
    assert threading.active_count() == before


def test_a_connection_that_says_nothing_any_more_is_replaced(topology: str, proxy: Proxy) -> None:
    """Long before a heartbeat is missed: no confirm at all is enough, and the request still gets its answer."""
    with Gate(topology), BookingClient(config(proxy.url, confirm_timeout_seconds=0.3)) as client:
        client.wait_connected(LONG)
        proxy.freeze()
        assert isinstance(client.place("occ-1", {"adult": 1}, timeout_seconds=LONG), Held)
        assert client.stats.connects == 2


def test_a_connection_whose_reply_queue_the_cluster_has_forgotten_is_replaced(topology: str) -> None:
    """A cluster deletes the exclusive queues of a node that it cannot see for a while; nobody tells their consumers,
    and requests are confirmed as before."""
    with Gate(topology), BookingClient(config(topology, answer_silence_seconds=0.3)) as client:
        client.wait_connected(LONG)
        [(name, *_)] = reply_queues(topology)
        queue = f'rabbit_misc:r(<<"{vhost_of(topology)}">>, queue, <<"{name}">>)'
        rabbitmqctl("eval", f"mnesia:dirty_delete({{rabbit_queue, {queue}}}).")
        assert isinstance(client.place("occ-1", {"adult": 1}, timeout_seconds=LONG), Held)
        assert client.stats.connects == 2


def test_a_connection_with_answers_on_it_stays(topology: str) -> None:
    """However short the silence that would end it, and whatever was never answered on it."""
    with Gate(topology) as gate, BookingClient(config(topology, answer_silence_seconds=0.2)) as client:
        gate.silent = True
        with pytest.raises(TimedOut):
            client.place("occ-1", {"adult": 1}, timeout_seconds=0.05)
        gate.silent = False
        started = monotonic()
        while monotonic() - started < 5 * 0.2:
            client.place("occ-1", {"adult": 1}, timeout_seconds=LONG)
        assert client.stats.connects == 1


def test_the_brokers_alarm_stops_sending_until_it_is_over(topology: str, proxy: Proxy) -> None:
    """`connection.blocked` is not mistaken for a dead connection, and says why nothing was sent."""
    with Gate(topology) as gate, BookingClient(config(proxy.url, confirm_timeout_seconds=0.2)) as client:
        client.wait_connected(LONG)
        proxy.say(60, b"\x0dlow on memory")
        eventually(lambda: client.is_blocked)
        with pytest.raises(Blocked, match="low on memory"):
            client.place("occ-1", {"adult": 1}, timeout_seconds=SHORT)
        assert gate.seen == []
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.place, "occ-1", {"adult": 1})
            proxy.say(61)
            assert isinstance(waiting.result(LONG), Held)
        assert client.stats.connects == 1


def test_an_alarm_that_does_not_end_costs_the_connection(topology: str, proxy: Proxy) -> None:
    with BookingClient(config(proxy.url, blocked_timeout_seconds=0.2)) as client:
        client.wait_connected(LONG)
        proxy.say(60, b"\x08low disk")
        eventually(lambda: client.stats.connects == 2)
        assert not client.is_blocked


def test_an_accident_on_the_connection_thread_is_survived(topology: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever raises there, the thread goes on with a new connection."""
    with Gate(topology), BookingClient(config(topology, timeout_seconds=LONG)) as client:
        client.wait_connected(LONG)
        link = client._core._link
        assert isinstance(link, AmqpLink)
        link._loop.add_callback_threadsafe(lambda: 1 / 0)
        eventually(lambda: client.stats.connects == 2)
        assert isinstance(client.place("occ-1", {"adult": 1}), Held)
    assert "ZeroDivisionError" in caplog.text
