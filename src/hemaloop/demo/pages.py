"""The servers of an earlier demo, started again to look around."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from hemaloop.config import read_settings
from hemaloop.demo import servers
from hemaloop.demo.play import demo_environment
from hemaloop.embedded import bucket_environment, remembered
from hemaloop.errors import ConfigError


def environment(home: Path) -> dict[str, str]:
    """What a shell needs to work on an earlier demo. Raises: ConfigError: there was none."""
    if not (home / "summary.json").exists():
        raise ConfigError(f"{home} holds no demo: `make demo` first")
    return demo_environment(home) | remembered(home).environment() | {"HEMALOOP_BUCKET": "embedded"}


def serve(home: Path, console: Console) -> int:
    """Serve until Ctrl-C or SIGTERM. Raises: ConfigError: there was no demo."""
    os.environ.update(environment(home))
    settings = read_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as running, console.status("starting"):
        running.enter_context(bucket_environment(settings))
        pages = {
            "Prefect": running.enter_context(servers.prefect_server(home)),
            "MLflow": running.enter_context(servers.mlflow_server(home, settings.mlflow)),
            "Data Docs": running.enter_context(servers.docs_server(home, home / "docs")),
        }
        for name, url in pages.items():
            console.print(f"{name:<10} {url}")
        console.print("Ctrl-C ends them")
        try:
            signal.pause()
        except KeyboardInterrupt:
            console.print("ended")
    return 0
