"""The ledger's schema from version to version (Alembic), made current when a ledger is opened.

A change of schema.py needs a new file in versions/ and its number in HEAD. A migration says what the tables were when
it was written, so it takes nothing from schema.py.
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from hemaloop.errors import ConfigError

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

log = logging.getLogger(__name__)

HEAD = "0004"

_OPERATIONS = threading.Lock()  # Alembic's `op` is one for the whole process


def is_current(connection: Connection) -> bool:
    """Whether the database has today's schema: one read, and without Alembic."""
    try:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    except (OperationalError, ProgrammingError):  # no such table, as SQLite and PostgreSQL say it
        connection.rollback()
        return False


def upgrade(connection: Connection, name: str) -> None:
    """Bring the schema up to date, in the caller's transaction; one made before there were migrations, too.

    Args:
        connection: in a transaction that no other writer overlaps.
        name: of the ledger, for messages.

    Raises:
        ConfigError: a newer hemaloop made the schema.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    context = MigrationContext.configure(connection)
    script = scripts()
    current = context.get_current_revision()
    if current == HEAD:
        return  # another process was quicker
    if current is not None and current not in {known.revision for known in script.walk_revisions()}:
        raise ConfigError(
            f"ledger {name}: its schema is {current}, and this hemaloop knows none newer than {HEAD}: a newer "
            "hemaloop has opened it: install that version here too, or set HEMALOOP_LEDGER to another ledger"
        )
    with _OPERATIONS, Operations.context(context):
        for step in reversed(list(script.iterate_revisions(HEAD, current))):
            step.module.upgrade()
    context.stamp(script, HEAD)
    log.info("ledger %s: schema %s -> %s", name, current or "none", HEAD)


def scripts() -> "ScriptDirectory":
    """Every migration, in order."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(__file__).parent))
