"""Proves with the real protocol that a login works, with nothing but the standard library.

An open port says little: another program may hold it, or the password may be wrong. Each function here goes as
far as a client would before its first statement. URLs that ask for TLS are only checked for an open port.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from typing import BinaryIO
from urllib.parse import SplitResult, unquote, urlsplit

CONNECT_TIMEOUT_SECONDS = 3.0

_FRAME_END = b"\xce"
_POSTGRES_NOT_YET = "57P03"  # starting up or shutting down


class UnreachableError(Exception):
    """Nothing that speaks the protocol answers at this address."""


class RefusedError(Exception):
    """The server answers, but this login, vhost or database is not good enough for the tests."""


def check(url: str) -> None:
    """Log in to `url` and hang up again.

    Raises UnreachableError when nobody answers and RefusedError when the server says no.
    """
    parts = urlsplit(url)
    probe, port = _PROBES.get(parts.scheme.split("+")[0], (None, 0))
    if probe is None:
        raise RefusedError(f"unknown kind of service: {parts.scheme!r}")
    try:
        address = (parts.hostname or "127.0.0.1", parts.port or port)
        with socket.create_connection(address, CONNECT_TIMEOUT_SECONDS) as sock, sock.makefile("rb") as answers:
            if not _wants_tls(parts):
                probe(parts, sock, answers)
    except (OSError, struct.error, ValueError) as exc:
        raise UnreachableError(f"{exc or type(exc).__name__}") from exc


def _wants_tls(parts: SplitResult) -> bool:
    return (
        parts.scheme in {"amqps", "rediss"} or "sslmode=require" in parts.query or "sslmode=verify" in parts.query
    )


def _login(parts: SplitResult, user: str, password: str) -> tuple[str, str]:
    return unquote(parts.username or user), unquote(parts.password or password)


def _exactly(answers: BinaryIO, size: int) -> bytes:
    data = answers.read(size)
    if len(data) != size:
        raise ConnectionError("the server hung up")
    return data


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _postgres(parts: SplitResult, sock: socket.socket, answers: BinaryIO) -> None:
    user, password = _login(parts, "postgres", "")
    database = unquote(parts.path.lstrip("/")) or user
    fields = "".join(f"{item}\0" for item in ("user", user, "database", database)) + "\0"
    sock.sendall(struct.pack("!II", len(fields.encode()) + 8, 196608) + fields.encode())
    _postgres_authenticate(sock, answers, user, password)
    statement = "SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user\0"
    _postgres_send(sock, b"Q", statement.encode())
    while (message := _postgres_receive(answers))[0] != b"D":
        if message[0] == b"C":
            raise RefusedError(f"role {user!r} is not in pg_roles")
    if not message[1].endswith(b"t"):
        raise RefusedError(f"role {user!r} may not create databases, which the tests do")
    _postgres_send(sock, b"X", b"")


def _postgres_send(sock: socket.socket, kind: bytes, body: bytes) -> None:
    sock.sendall(kind + struct.pack("!I", len(body) + 4) + body)


def _postgres_receive(answers: BinaryIO) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!cI", _exactly(answers, 5))
    if kind not in b"RSKZTDCENvI":
        raise ValueError("this is not PostgreSQL")
    body = _exactly(answers, size - 4)
    if kind == b"E":
        fields = {item[:1]: item[1:].decode(errors="replace") for item in body.split(b"\0") if item}
        if fields.get(b"C") == _POSTGRES_NOT_YET:
            raise ConnectionError(fields.get(b"M"))
        raise RefusedError(fields.get(b"M", "login refused"))
    return kind, body


def _postgres_authenticate(sock: socket.socket, answers: BinaryIO, user: str, password: str) -> None:
    while True:
        kind, body = _postgres_receive(answers)
        if kind == b"Z":
            return
        if kind != b"R":
            continue
        (request,) = struct.unpack("!I", body[:4])
        if request == 3:
            _postgres_send(sock, b"p", password.encode() + b"\0")
        elif request == 5:
            inner = hashlib.md5(password.encode() + user.encode()).hexdigest()
            digest = hashlib.md5(inner.encode() + body[4:8]).hexdigest()
            _postgres_send(sock, b"p", b"md5" + digest.encode() + b"\0")
        elif request == 10:
            _postgres_scram(sock, answers, password)
        elif request not in {0, 12}:
            raise RefusedError(f"the server asks for authentication method {request}")


def _postgres_scram(sock: socket.socket, answers: BinaryIO, password: str) -> None:
    """SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""
    client_first = f"n=,r={secrets.token_urlsafe(18)}"
    opening = f"n,,{client_first}".encode()
    _postgres_send(sock, b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(opening)) + opening)
    server_first = _postgres_receive(answers)[1][4:].decode()
    values = dict(item.split("=", 1) for item in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    last = f"c=biws,r={values['r']}"
    signed = f"{client_first},{server_first},{last}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
    _postgres_send(sock, b"p", f"{last},p={base64.b64encode(proof).decode()}".encode())


# --- RabbitMQ ---------------------------------------------------------------------------------------------------


def _amqp(parts: SplitResult, sock: socket.socket, answers: BinaryIO) -> None:
    user, password = _login(parts, "guest", "guest")
    vhost = unquote(parts.path[1:]) or "/"
    sock.sendall(b"AMQP\x00\x00\x09\x01")
    _amqp_expect(answers, 10)
    response = f"\0{user}\0{password}".encode()
    start_ok = struct.pack("!I", 0) + b"\x05PLAIN" + struct.pack("!I", len(response)) + response + b"\x05en_US"
    _amqp_send(sock, 11, start_ok)
    try:
        tune = _amqp_expect(answers, 30)
    except ConnectionError as exc:
        raise RefusedError(f"user {user!r} may not log in") from exc
    channels, frame, _heartbeat = struct.unpack("!HIH", tune[:8])
    _amqp_send(sock, 31, struct.pack("!HIH", channels, frame, 0))
    name = vhost.encode()
    _amqp_send(sock, 40, bytes([len(name)]) + name + b"\0\0")
    _amqp_expect(answers, 41)
    _amqp_send(sock, 50, struct.pack("!HBHH", 200, 0, 0, 0))
    _amqp_expect(answers, 51)


def _amqp_send(sock: socket.socket, method: int, arguments: bytes) -> None:
    payload = struct.pack("!HH", 10, method) + arguments
    sock.sendall(struct.pack("!BHI", 1, 0, len(payload)) + payload + _FRAME_END)


def _amqp_expect(answers: BinaryIO, method: int) -> bytes:
    head = _exactly(answers, 7)
    if head.startswith(b"AMQP"):
        raise ValueError("the broker does not speak AMQP 0-9-1")
    kind, _channel, size = struct.unpack("!BHI", head)
    if kind != 1 or size > 1 << 20:
        raise ValueError("this is not an AMQP broker")
    payload = _exactly(answers, size + 1)
    found = struct.unpack("!HH", payload[:4])
    if found == (10, 50):
        length = payload[6]
        raise RefusedError(payload[7 : 7 + length].decode(errors="replace"))
    if found != (10, method):
        raise ValueError(f"unexpected AMQP method {found}")
    return payload[4:-1]


# --- Redis ------------------------------------------------------------------------------------------------------


def _redis(parts: SplitResult, sock: socket.socket, answers: BinaryIO) -> None:
    user, password = _login(parts, "", "")
    if password:
        _redis_call(sock, answers, "AUTH", *([user] if user else []), password)
    database = parts.path.strip("/")
    if database:
        _redis_call(sock, answers, "SELECT", database)
    _redis_call(sock, answers, "PING")


def _redis_call(sock: socket.socket, answers: BinaryIO, *words: str) -> None:
    sock.sendall(f"*{len(words)}\r\n".encode() + b"".join(_bulk(word.encode()) for word in words))
    line = answers.readline(1024)
    if line.startswith(b"-LOADING"):
        raise ConnectionError("Redis is still reading its data")
    if line.startswith(b"-"):
        raise RefusedError(line[1:].decode(errors="replace").strip())
    if not line.startswith(b"+"):
        raise ValueError("this is not Redis")


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)


_PROBES = {
    "postgresql": (_postgres, 5432),
    "postgres": (_postgres, 5432),
    "amqp": (_amqp, 5672),
    "amqps": (_amqp, 5671),
    "redis": (_redis, 6379),
    "rediss": (_redis, 6379),
}
