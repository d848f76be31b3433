"""Why a broker cannot be used, by its reply code and the kind of the exception and not by their words."""

from __future__ import annotations

import socket
import ssl

from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorSocketConnectError, AMQPConnectorStackTimeout

from holdgate_workers.adapters.tls import certificate_fault
from holdgate_workers.app.faults import Fault

URL = "HOLDGATE_AMQP_URL"
CA_FILE = f"{URL} (?ssl_options={{'ca_certs':'FILE'}}, percent-encoded) or SSL_CERT_FILE"
_RIGHTS = "give the login the rights of docs/contract.md, section 15 (rabbitmqctl set_permissions)"

_SILENT = (AMQPConnectorStackTimeout, AMQPConnectorSocketConnectError, TimeoutError)


def fault_of(error: BaseException | None) -> Fault:
    """What an exception of the driver, or one that was raised from it, means to people."""
    for item in [] if error is None else _chain(error):
        found = _fault(item)
        if found is not None:
            return found
    return Fault("unknown", "the connection broke", "look at the broker's log")


def _fault(error: BaseException) -> Fault | None:
    code = getattr(error, "reply_code", None)
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return Fault("wrong_password", "the broker refuses this login or its password", f"correct it in {URL}")
    if isinstance(error, exceptions.ProbableAccessDeniedError) or code == 530:
        return Fault(
            "no_vhost",
            "the broker has no such virtual host, or this login has no rights there",
            f"correct the end of {URL} (%2F is the one called /), or rabbitmqctl add_vhost and set_permissions",
        )
    if code == 403:
        return Fault("no_rights", "the login may not do this on the broker", _RIGHTS)
    if code == 404:
        return Fault("not_set_up", "an exchange or queue is not there", "holdgate migrate")
    if code == 406:
        return Fault("other_arguments", "an exchange or queue is there with other arguments", "holdgate doctor")
    if code == 320:
        return Fault("closed_by_operator", "the broker closed the connection on purpose", "look at its log")
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_fault(error, host_in=URL, ca_in=CA_FILE)
    if isinstance(error, ssl.SSLError):
        return Fault(
            "no_tls", "what listens there does not speak TLS", f"use amqp:// or the TLS port (5671) in {URL}"
        )
    if isinstance(error, socket.gaierror):
        return Fault("unknown_host", "no address is known for the host", f"correct the host in {URL}, or the DNS")
    if isinstance(error, ConnectionRefusedError):
        return Fault(
            "closed_port", "nothing listens on this port of the host", f"start the broker, or correct {URL}"
        )
    if isinstance(error, exceptions.IncompatibleProtocolError):
        return Fault(
            "no_amqp",
            "what listens there does not speak AMQP without TLS",
            f"use amqps:// or the right port in {URL}",
        )
    if isinstance(error, AMQPConnectorStackTimeout | AMQPConnectorSocketConnectError | TimeoutError):
        return Fault("no_answer", "the broker does not answer in time", f"correct host and port in {URL}")
    if isinstance(error, exceptions.ConnectionBlockedTimeout):
        return Fault("alarm", "the broker takes no messages: it has an alarm", "free memory or disk")
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, what it was raised from, and what it carries: pika packs the cause into others."""
    line, seen = [error], []
    while line:
        item = line.pop(0)
        if item in seen:
            continue
        seen.append(item)
        inside = (*item.args, getattr(item, "exception", None), item.__cause__)
        line += [other for other in inside if isinstance(other, BaseException)]
    # The socket's own word says more than the wrapping.
    return sorted(seen, key=lambda item: isinstance(item, AMQPConnectorSocketConnectError))
