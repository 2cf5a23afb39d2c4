"""The local engine, in processes of its own."""

import pytest

from tests.engine.contract import EngineContract


class TestLocalEngine(EngineContract):
    @pytest.fixture
    def cluster(self, make_cluster):
        return make_cluster()

    def start_workers(self, cluster):
        return cluster.start("receiver", "work")
