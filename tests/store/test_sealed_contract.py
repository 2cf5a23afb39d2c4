"""A sealed store promises what every store promises."""

import contextlib

import pytest

from receiver.store.sealing import Seal
from tests import aging
from tests.opened import opened
from tests.store.access import AccessContract
from tests.store.contract import StoreContract

KEY = "c2VhbGVkIHN0b3JlcyBwcm9taXNlIGFsbCB0aGUgc2E="


class SealedContract(AccessContract, StoreContract):
    @pytest.fixture
    def open_store(self, place):
        with contextlib.ExitStack() as stack:
            yield lambda **settings: stack.enter_context(
                contextlib.closing(opened(place, seal=Seal([KEY]), **settings))
            )


@pytest.mark.drill
class TestSealedSQLiteStore(SealedContract):
    @pytest.fixture
    def place(self, database):
        return database

    @pytest.fixture
    def let_pass(self, database):
        return lambda time: aging.let_pass(database, time.total_seconds())


@pytest.mark.drill
class TestSealedPostgresStore(SealedContract):
    @pytest.fixture
    def place(self, postgres_url):
        return postgres_url

    @pytest.fixture
    def let_pass(self, postgres_url):
        return lambda time: aging.let_pass_in_postgres(postgres_url, time.total_seconds())
