"""A dramatiq actor with a row lock: what most teams would build.

Dramatiq's own queue (classic, durable), its own envelope, its default middleware; the reply goes out on the channel
that dramatiq keeps per thread. `python -m bench.baselines.dramatiq_actor BROKER QUEUE STORE`.
"""

from __future__ import annotations

import signal
import sys
import threading

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from bench.consumer import reply_properties
from bench.processes import say_ready_and_wait

from .basket import Decide, read
from .for_update import decider

ACTOR = "place_hold"
THREADS = 4


def envelope(queue: str, *arguments: str) -> bytes:
    """The message as dramatiq's own `send` would put it into the queue."""
    message: bytes = dramatiq.Message(
        queue_name=queue, actor_name=ACTOR, args=arguments, kwargs={}, options={}
    ).encode()
    return message


def main(url: str, queue: str, store: str) -> None:
    """Declare the queue, wait for the word, work until SIGTERM."""
    broker = RabbitmqBroker(url=url)
    mine = threading.local()

    def decide() -> Decide:
        if not hasattr(mine, "decide"):
            mine.decide = decider(store)
        found: Decide = mine.decide
        return found

    def place_hold(request: str, reply_to: str, correlation_id: str) -> None:
        kind, answer = decide()(read(request.encode()))
        properties: pika.BasicProperties = reply_properties(correlation_id, kind)
        broker.channel.basic_publish("", reply_to, answer, properties)

    dramatiq.set_broker(broker)
    dramatiq.actor(actor_name=ACTOR, queue_name=queue, broker=broker)(place_hold)
    broker.declare_queue(queue, ensure=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    say_ready_and_wait()
    worker = dramatiq.Worker(broker, queues={queue}, worker_threads=THREADS)
    worker.start()
    stopping.wait()
    worker.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
