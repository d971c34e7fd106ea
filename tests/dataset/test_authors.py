"""The author of a candidate is a person whose choice made it, never the bot."""

import subprocess
from pathlib import Path

import pytest

from hemaloop.dataset.authors import read_author
from hemaloop.dataset.commands import BOT
from hemaloop.errors import DataError


def commit(folder: Path, file: str, name: str, address: str) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.read_text() + "more\n" if path.exists() else "first\n")
    person = ("-c", f"user.name={name}", "-c", f"user.email={address}")
    for line in (["add", file], [*person, "commit", "-q", "-m", file]):
        subprocess.run(["git", "-C", str(folder), *line], check=True)


def test_the_author_last_changed_how_models_are_made(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit(tmp_path, "params.yaml", *BOT)
    assert read_author(tmp_path) == ""
    commit(tmp_path, "params.yaml", "Anna Smith", "anna@lab.example")
    commit(tmp_path, "README.md", "Bob", "bob@lab.example")
    commit(tmp_path, "dvc.lock", *BOT)
    commit(tmp_path, "dvc.yaml", *BOT)
    assert read_author(tmp_path) == "Anna Smith <anna@lab.example>"
    commit(tmp_path, "papers/presets/mine.yaml", "Chloe", "chloe@lab.example")
    assert read_author(tmp_path) == "Chloe <chloe@lab.example>"


def test_where_git_cannot_tell_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="git does not tell who wrote"):
        read_author(tmp_path)
