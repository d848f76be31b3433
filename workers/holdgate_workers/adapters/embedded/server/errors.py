"""What the embedded server can fail with."""


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot be started, found or stopped.

    `cause` says what is wrong, `way_out` what to do about it; the message is both.
    """

    def __init__(self, cause: str, way_out: str) -> None:
        super().__init__(f"{cause}\n{way_out}")
        self.cause = cause
        self.way_out = way_out
