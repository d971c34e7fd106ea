"""hemaloop watch: hear the store's notifications, and wake ingest."""

import argparse

PORT = 8480


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("watch", help="hear the store's notifications, and wake ingest")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--queue", metavar="URL", help="an SQS queue to follow")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import os
    import signal

    from hemaloop.config import bucket_url, read_settings

    token, settings = os.environ.get("HEMALOOP_WATCH_TOKEN"), read_settings()
    bucket_url(settings)
    check_token(token, args.queue)
    from flows.serve import notified_bucket
    from flows.wake import wake
    from hemaloop.errors import ConfigError
    from hemaloop.notifications.gathering import Gathering
    from hemaloop.notifications.listening import listen
    from hemaloop.notifications.sqs import Queue
    from hemaloop.notifications.webhook import PATH

    bucket = notified_bucket(settings)
    if bucket is None:
        raise ConfigError(f"{settings.bucket} is a folder, which sends no notifications: `hemaloop ingest` polls it")
    queue = Queue(args.queue) if args.queue else None
    check_prefect()
    # The server would end us at once; the last wake-up is to go out first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for heard in (f"http://{args.host}:{args.port}{PATH}" if token else None, args.queue):
        if heard:
            print(f"listening to {heard} for uploads to {bucket}", flush=True)
    listen(Gathering(lambda keys: wake(bucket, keys)), bucket, args.host, args.port, token, queue)
    return 0


def check_prefect() -> None:
    """Raises: ConfigError: ingest was not deployed. A server that is away may come back, and is only said to be."""
    import sys

    from flows.wake import waiting
    from hemaloop.errors import TransientError

    try:
        waiting()
    except TransientError as error:
        print(f"hemaloop: {error}: hints are kept until it is back", file=sys.stderr)


def check_token(token: str | None, queue: str | None) -> None:
    """Raises: ConfigError: anybody could wake us, or nobody could."""
    from hemaloop.errors import ConfigError

    if not token and not queue:
        raise ConfigError(
            "no token is set: set HEMALOOP_WATCH_TOKEN to a secret that the store sends with its notifications "
            "(python -c 'import secrets; print(secrets.token_hex(32))'), or follow a --queue"
        )
    if token is not None and token.split() != [token]:
        raise ConfigError("HEMALOOP_WATCH_TOKEN: wanted one word without spaces, not empty")
