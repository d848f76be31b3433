"""How others take holds without overselling, each written the way a competent team would write it.

Every one does what the hot path is measured for: it reads the request from RabbitMQ, decides on two counters (all
seats, and a cap that two ticket types share), stores a hold with its answer, gives a repeated request that answer
again, replies, and acknowledges. None of them keeps refusals, a journal, events, or limits per session, which is in
their favour. What each one leaves out or cannot promise is said in its module.
"""


class Absent(Exception):
    """The server that this baseline needs is not there. Nothing is guessed."""
