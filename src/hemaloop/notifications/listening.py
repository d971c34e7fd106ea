"""Everything that `hemaloop watch` runs, until it is told to end."""

import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from hemaloop.errors import TransientError
from hemaloop.notifications.gathering import Gathering
from hemaloop.notifications.sqs import Queue, follow
from hemaloop.notifications.webhook import application

END_SECONDS = 15  # for the last wake-up


def listen(gathering: Gathering, bucket: str, host: str, port: int, token: str | None, queue: Queue | None) -> None:
    """Serve webhooks, follow the queue, hand over; returns when interrupted.

    Raises:
        ConfigError: the queue is not there, or refuses our key; or nobody can be woken at all.
        TransientError: nothing can listen at that host and port.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            application(gathering, bucket, token),
            host=host, port=port, log_config=None, access_log=False, lifespan="off", ws="none",
            limit_concurrency=1000, timeout_graceful_shutdown=5,
        )
    )  # fmt: skip
    stop, ended = threading.Event(), list[Exception]()

    def start(name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=_watched, args=(work, server, ended), name=name, daemon=True)
        thread.start()
        return thread

    handing = start("hand-over", gathering.run)
    if queue is not None:
        start("sqs", lambda: follow(queue, gathering, bucket, stop))
    try:
        _serve(server, host, port)
    finally:
        stop.set()
        gathering.close()
        handing.join(timeout=END_SECONDS)
    if ended:
        raise ended[0]


def _watched(work: Callable[[], None], server: uvicorn.Server, ended: list[Exception]) -> None:
    """What ends one thread ends the program: a watch that no longer watches would not be noticed."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - raised again by the thread that started this one
        ended.append(error)
        server.should_exit = True


def _serve(server: uvicorn.Server, host: str, port: int) -> None:
    try:
        with suppress(KeyboardInterrupt):
            server.run()
    except SystemExit as error:  # uvicorn's word for a port that is taken
        raise TransientError(f"nothing can listen at {host}:{port}: is another one running? choose a --port") from error
