"""A real PostgreSQL for the tests of this folder, with an empty database for each of them."""

import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from boxfleet.store import where
from boxfleet.testing import postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    if not postgres.installed():
        pytest.skip("this machine lacks PostgreSQL; ./run test installs it")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-store-pg-", dir="/tmp"))
    try:
        with postgres.cluster(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(cluster: postgres.Cluster) -> Iterator[str]:
    """The name of an empty database."""
    name = f"test{next(_numbers)}"
    cluster.make_database(name)
    yield name
    cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def url(cluster: postgres.Cluster, database: str) -> where.Postgres:
    """Where the database of the test is."""
    return where.Postgres(cluster.url(database))
