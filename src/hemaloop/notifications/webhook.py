"""The store's notifications over HTTP, as MinIO's webhook target and S3's look-alikes send them."""

import hmac
import logging

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hemaloop.errors import DataError
from hemaloop.notifications.gathering import Gathering
from hemaloop.notifications.parsing import arrived_keys

log = logging.getLogger(__name__)

PATH = "/notifications"
LARGEST_BODY = 2**20  # bytes; a store sends one to a few kilobytes


class _TooLargeError(Exception):
    pass


def application(gathering: Gathering, bucket: str, token: str | None) -> Starlette:
    """POST /notifications, where there is a token to ask for, and GET /health."""
    hook = _Hook(gathering, bucket, token) if token else None
    routes = [Route("/health", lambda request: _health(gathering), methods=["GET"])]
    if hook is not None:
        routes.append(Route(PATH, hook.notify, methods=["POST"]))
    return Starlette(routes=routes)


class _Hook:
    def __init__(self, gathering: Gathering, bucket: str, token: str) -> None:
        self._gathering = gathering
        self._bucket = bucket
        self._wanted = f"Bearer {token}".encode()

    async def notify(self, request: Request) -> Response:
        """200: on its way. 400, 401, 413: refused. 503: say it again later."""
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), self._wanted):
            log.warning("a notification with a wrong token from %s", request.client.host if request.client else "?")
            return PlainTextResponse("wrong token\n", 401, {"WWW-Authenticate": "Bearer"})
        try:
            keys = arrived_keys(await _bounded_body(request), self._bucket)
        except _TooLargeError:
            return PlainTextResponse(f"at most {LARGEST_BODY} bytes\n", 413)
        except ClientDisconnect:
            return PlainTextResponse("the body was cut short\n", 400)
        except DataError as error:
            log.warning("%s", error)
            return PlainTextResponse(f"{error}\n", 400)
        if self._gathering.add(keys):
            return PlainTextResponse("", 200)
        return PlainTextResponse("nobody to wake: notify again\n", 503, {"Retry-After": "30"})


async def _bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _TooLargeError
    return bytes(body)


def _health(gathering: Gathering) -> Response:
    """Always 200: we are up, and a restart would lose what we hold. The body says how Prefect is."""
    return JSONResponse({"prefect": "away" if gathering.away else "reachable", "hints_held": gathering.held})
