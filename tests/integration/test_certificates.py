"""What is wrong with a server's certificate is said, each in its own sentence, whatever the server is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from holdgate_workers.adapters.mail.server import mail_server
from holdgate_workers.adapters.mail.smtp import SmtpSender
from holdgate_workers.adapters.postgres import diagnosis as database
from holdgate_workers.adapters.rabbit import diagnosis as broker
from holdgate_workers.adapters.rabbit.topology import connected
from holdgate_workers.adapters.redis import diagnosis as cache
from holdgate_workers.app.faults import Fault
from holdgate_workers.app.notifications.people import Sender
from holdgate_workers.app.ports import TransportError

CA = trustme.CA()
ANOTHER_CA = trustme.CA()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CERTIFICATES = {
    "certificate_unknown_issuer": ANOTHER_CA.issue_cert("localhost"),
    "certificate_other_name": CA.issue_cert("db.example"),
    "certificate_expired": CA.issue_cert("localhost", not_after=LONG_AGO),
}
SSL_REQUEST_BYTES = 8


@contextmanager
def server(certificate: trustme.LeafCert, *, as_postgres: bool = False) -> Iterator[int]:
    """Speaks TLS with that certificate, and nothing else; its port. PostgreSQL asks before it begins."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    link, _ = listening.accept()
                except OSError:
                    return
                with link:
                    try:
                        link.settimeout(5)
                        if as_postgres:
                            link.recv(SSL_REQUEST_BYTES, socket.MSG_WAITALL)
                            link.sendall(b"S")
                        context.wrap_socket(link, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def of_database(port: int, ca: Path) -> Fault | None:
    return database.diagnose(f"postgresql://u@localhost:{port}/x?sslmode=verify-full&sslrootcert={ca}")


def of_broker(port: int, ca: Path) -> Fault | None:
    options = quote(f"{{'ca_certs':'{ca}'}}")
    try:
        with connected(f"amqps://u:p@localhost:{port}/?ssl_options={options}", "test"):
            return None
    except TransportError as exc:
        return broker.fault_of(exc)


def of_redis(port: int, ca: Path) -> Fault | None:
    return cache.try_writing(f"rediss://localhost:{port}/0?ssl_ca_certs={ca}", "holdgate:test")


def of_mail(port: int, ca: Path) -> Fault | None:
    sender = Sender(name="House", email="house@example.org")
    return SmtpSender(mail_server(f"smtps://localhost:{port}", ca_file=ca), sender).fault()


@pytest.mark.parametrize("ask", [of_database, of_broker, of_redis, of_mail])
@pytest.mark.parametrize("kind", CERTIFICATES)
def test_each_fault_of_a_certificate(ask: Callable[[int, Path], Fault | None], kind: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(ca))
    with server(CERTIFICATES[kind], as_postgres=ask is of_database) as port:
        fault = ask(port, ca)
    assert fault is not None
    assert fault.kind == kind, fault
