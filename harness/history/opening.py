"""Open the history where its extra is installed, and say which one where it is not."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness import extras
from harness.errors import StackMissing

if TYPE_CHECKING:
    from harness.history.store import Store

DEFAULT = Path(".results/history.db")
_NEEDS = ("sqlalchemy", "alembic", "psycopg")


def open_store(address: str = "", *, migrate: bool = False) -> "Store":
    """Open the history of an address, such as `postgresql://...`; `.results/history.db` if ''.

    Raises:
        StackMissing: the extra `history` is not installed.
        ConfigError: it cannot be reached, or its schema is another.
    """
    try:
        from harness.history.store import Store

        if not address:
            DEFAULT.parent.mkdir(exist_ok=True)
        return Store.open(address or str(DEFAULT), migrate=migrate)
    except ModuleNotFoundError as error:
        if error.name not in _NEEDS:
            raise
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('history')} adds it"
        ) from None
