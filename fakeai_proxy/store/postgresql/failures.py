"""What goes wrong with PostgreSQL, in words that tell what to do."""

from __future__ import annotations

import asyncpg

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError

#: What keeps a database from being used.
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What a connection says that was told of the server's end while it was idle.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
#: Others were quicker; the same again may go well.
COLLISIONS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

_REASONS: dict[str, str] = {
    "53100": "there is no space left on the disk of PostgreSQL",
    "53200": "PostgreSQL has no memory left",
    "53300": "PostgreSQL has no connection left",
    "57014": "PostgreSQL took too long",
    "57P01": "PostgreSQL is being restarted",
    "57P02": "PostgreSQL is being restarted",
    "57P03": "PostgreSQL is being started or stopped",
    "25006": "the database cannot be written (is it a standby?)",
    "28000": "PostgreSQL does not let this user in",
    "28P01": "PostgreSQL refuses the password",
    "3D000": "there is no such database",
    "42501": "the user may not do that in this database",
    "55P03": "another process has it locked",
    "58030": "the disk of PostgreSQL fails",
    "XX001": "the database is damaged",
}
#: The server, or the connection to it, is no more.
_LOST = {"57P01", "57P02", "57P03"}
_CUT = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def is_lost(error: BaseException) -> bool:
    """Whether the connection went away, so that another one may do better."""
    if isinstance(error, ValueError):
        return False  # an argument that asyncpg does not take
    if isinstance(error, _CUT):
        return True
    return getattr(error, "sqlstate", None) in _LOST or isinstance(error, ConnectionError)


def reason(error: BaseException) -> str:
    code = str(getattr(error, "sqlstate", ""))
    if code in _REASONS:
        return _REASONS[code]
    if isinstance(error, _CUT):
        return "the connection to PostgreSQL was lost"
    if isinstance(error, asyncpg.PostgresError):
        return f"PostgreSQL says {str(error).splitlines()[0]} ({code})"
    if isinstance(error, TimeoutError):
        return "PostgreSQL does not answer"
    return "nothing listens where PostgreSQL should be"


def unavailable(error: BaseException) -> ApiError:
    """503."""
    return errors.store_unavailable(reason(error))
