"""The Prefect and MLflow servers of a demo, on loopback ports that stay the same."""

import json
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hemaloop.embedded import free_port, wait_until
from hemaloop.files import write_atomically

log = logging.getLogger(__name__)

START_SECONDS = 120


def ports(home: Path) -> dict[str, int]:
    """A port for each server, chosen once."""
    path = home / "ports.json"
    if not path.exists():
        chosen: dict[str, int] = {}
        while len(set(chosen.values())) < 3:
            chosen = {name: free_port() for name in ("prefect", "mlflow", "docs")}
        write_atomically(path, json.dumps(chosen).encode())
    found: dict[str, int] = json.loads(path.read_text())
    return found


def prefect_environment(home: Path) -> dict[str, str]:
    """What Prefect must find in the environment before it is imported."""
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{ports(home)['prefect']}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # on the terminal; what ends a flow reaches us as its exception
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLI_PROMPT": "false",
    }


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """A real Prefect server; its page's address. The environment must be `prefect_environment`'s."""
    port = ports(home)["prefect"]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _server("prefect", command, f"http://127.0.0.1:{port}/api/health", home):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            _send_last_logs()


@contextmanager
def mlflow_server(home: Path, tracking_uri: str) -> Iterator[str]:
    """MLflow's page over what the loop has recorded."""
    port = ports(home)["mlflow"]
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri,
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    # Its jobs judge language models: a handful of processes that nothing here would ever give work.
    health = f"http://127.0.0.1:{port}/health"
    with _server("mlflow", command, health, home, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def docs_server(home: Path, folder: Path) -> Iterator[str]:
    """The Data Docs over HTTP."""
    port = ports(home)["docs"]
    command = [
        sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)
    ]  # fmt: skip
    with _server("docs", command, f"http://127.0.0.1:{port}/", home):
        yield f"http://127.0.0.1:{port}"


def _send_last_logs() -> None:
    """Prefect's client sends its logs in the background: before the server goes, not after."""
    if "prefect" in sys.modules:
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()


@contextmanager
def _server(name: str, command: list[str], health: str, home: Path, **variables: str) -> Iterator[None]:
    with (home / f"{name}.log").open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=home, start_new_session=True,
            env=os.environ | variables,
        )  # fmt: skip
    try:
        wait_until(f"the {name} server", process, lambda: _answers(health), START_SECONDS, f"{name}.log")
        yield
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and the workers that it started: they are a group of their own."""
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
