"""Every hemaloop command in the documents is one that the command line takes, and every link leads somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from hemaloop import cli
from hemaloop.device import cli as device_cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands() -> list[list[str]]:
    blocks = [block for path in DOCUMENTS for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)]
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and Path(line[0]).name in ("hemaloop", "hemaloop-device")]


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_the_command_line_takes_it(line: list[str]) -> None:
    parser = cli.parser() if Path(line[0]).name == "hemaloop" else device_cli._parser()
    assert callable(parser.parse_args(line[1:]).run)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_readme_names_every_area() -> None:
    told = (ROOT / "README.md").read_text()
    for folder in (ROOT / "src/hemaloop").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"`{folder.name}`" in told or f"src/hemaloop/{folder.name}`" in told, folder.name


def test_the_reference_names_every_setting() -> None:
    told = (ROOT / "docs/reference.md").read_text()
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    settings = {name for source in sources for name in re.findall(r'"(HEMALOOP_[A-Z_]+)"', source)}
    assert settings - {"HEMALOOP_TEST_DATA", "HEMALOOP_LOG"} == {name for name in settings if f"`{name}`" in told}
