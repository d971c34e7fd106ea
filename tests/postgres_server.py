"""A real PostgreSQL out of a wheel, and databases on it that are made in no time."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import create_engine, make_url, text

from drill.site import postgresql
from hemaloop.ingest.ledger import Ledger

_TEMPLATE = "ledger_template"


@dataclass(frozen=True)
class Postgres:
    """A server; its addresses are SQLAlchemy's."""

    url: str  # of the database that is there from the beginning

    def new_database(self, template: str | None = None) -> str:
        """The address of a database of its own: empty, or a copy of `template`."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.address(name)

    def new_ledger(self) -> str:
        """The address of an empty ledger with today's schema."""
        return self.new_database(_TEMPLATE)

    def address(self, database: str) -> str:
        return make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def run(self, *statements: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server on a unix socket, for as long as the block runs."""
    with postgresql() as url:
        made = Postgres(url)
        made.run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", f"CREATE DATABASE {_TEMPLATE}")
        Ledger(made.address(_TEMPLATE))
        yield made
