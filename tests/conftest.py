"""On which databases a test runs: what meets one runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import databases
from tests.support.postgres import NoServer, binaries

ON_BOTH = ("acceptance", "engine", "faults", "importers", "storage", "web")
TOUCHING = ("outagecast.storage", "tests.support")
"""A test module that names nothing from here, and whose tests ask for no fixture of FIXTURES, meets no database."""
FIXTURES = {"db", "house", "lived"}
ONLY = "OUTAGECAST_TEST_DATABASES"
"""Environment: only these kinds, for a quick run."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames and _meets_a_database(metafunc):
        mark = metafunc.definition.get_closest_marker("databases")
        kinds = [kind for kind in _kinds() if mark is None or kind in mark.args]
        metafunc.parametrize("database_kind", kinds, indirect=True, scope="module")


def _meets_a_database(metafunc: pytest.Metafunc) -> bool:
    if metafunc.definition.get_closest_marker("databases") is not None:
        return True
    room = Path(str(metafunc.module.__file__)).relative_to(Path(__file__).parent).parts[0]
    origins = [str(getattr(value, "__module__", "")) for value in vars(metafunc.module).values()]
    named = any(origin.startswith(TOUCHING) for origin in origins)
    return room in ON_BOTH and (named or bool(FIXTURES & set(metafunc.fixturenames)))


def _kinds() -> list[str]:
    wanted = os.environ.get(ONLY, "").split() or list(databases.KINDS)
    if "postgresql" in wanted and not os.environ.get("OUTAGECAST_TEST_PG"):
        try:
            binaries()
        except NoServer as reason:
            if os.environ.get("REQUIRE_PG"):
                pytest.exit(str(reason), returncode=4)
            wanted.remove("postgresql")
    return wanted


def pytest_report_header() -> str:
    return f"databases: {', '.join(_kinds())}"


def pytest_sessionfinish() -> None:
    databases.RUNNING.close()


@pytest.fixture(scope="module", autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind that `databases.url` gives an address of, here and in the processes that the test starts."""
    kind = getattr(request, "param", "sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(databases.CHOSEN, kind)
        yield kind


@pytest.fixture(autouse=True)
def databases_back(database_kind: str) -> Iterator[None]:
    """What a test has taken goes back; what its module took stays until the session's end."""
    if database_kind != "postgresql":
        yield
        return
    before = set(databases.pool().taken)
    yield
    for key in set(databases.pool().taken) - before:
        databases.pool().give_back(key)
