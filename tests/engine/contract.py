"""What every engine promises, in real processes, as tests to inherit: give a `cluster` fixture."""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest

from receiver.models import Event, Status
from tests.engine.cluster import Cluster, kill
from tests.store.contract import an_event
from tests.watch import eventually

MANY = 30
LEASE = 2.0


def named(name: str, *, job: str | None = None, **does: object) -> Event:
    """Progress of a job, by default of one of its own, that the handler notes by this name."""
    return an_event(job or name, Status.RUNNING, key=name, data={"name": name, **does})


class EngineContract:
    """Inherit it in a class whose name begins with `Test`, with these two."""

    @pytest.fixture
    def cluster(self, make_cluster: Callable[..., Cluster]) -> Cluster:
        """Where everything runs but what runs the handlers."""
        raise NotImplementedError

    def start_workers(self, cluster: Cluster) -> subprocess.Popen[bytes]:
        """Start a process in which handlers run."""
        raise NotImplementedError

    def test_an_event_runs_each_handler_once(self, cluster):
        for _ in range(2):
            self.start_workers(cluster)
        names = [f"event_{number}" for number in range(MANY)]

        cluster.receive(*map(named, names))
        cluster.wait_for(MANY)

        assert Counter(note.name for note in cluster.notes()) == dict.fromkeys(names, 1)

    def test_a_retry_waits_as_long_as_we_say(self, cluster):
        self.start_workers(cluster)

        cluster.receive(named("event", fails=1))
        cluster.wait_for(1)

        first, second = cluster.notes()
        assert (first.attempt, second.attempt) == ("1", "2")
        assert second.at - first.at >= 1

    def test_events_of_one_job_run_in_their_order(self, cluster):
        for _ in range(2):
            self.start_workers(cluster)
        names = [f"event_{number}" for number in range(8)]

        cluster.receive(*[named(name, job="job_1") for name in names])
        cluster.wait_for(len(names))

        begins, ends = cluster.notes(), cluster.notes(ends=True)
        assert [note.name for note in begins] == names
        assert all(end.at <= begin.at for end, begin in zip(ends, begins[1:], strict=False))

    def test_what_a_killed_worker_ran_is_run_again(self, cluster):
        worker = self.start_workers(cluster)
        cluster.receive(named("event", waits=True))
        eventually(cluster.notes, within=30)

        kill(worker)
        self.start_workers(cluster)
        cluster.go()
        cluster.wait_for(1)

        assert [note.attempt for note in cluster.notes()] == ["1", "2"]
        [row] = cluster.rows()
        assert [attempt["outcome"] for attempt in cluster.store.list_attempts(row["id"])] == ["lost", "done"]

    def test_a_long_run_keeps_its_lease(self, cluster):
        for _ in range(2):
            self.start_workers(cluster)
        cluster.receive(named("event", waits=True))
        [note] = eventually(cluster.notes, within=30)

        eventually(lambda: time.time() > note.at + 2 * LEASE)
        cluster.go()
        cluster.wait_for(1)

        assert [note.attempt for note in cluster.notes()] == ["1"]

    def test_what_takes_too_long_has_failed(self, cluster):
        self.start_workers(cluster)

        cluster.receive(named("event", waits=True))
        eventually(lambda: cluster.rows() and cluster.rows()[0]["error"], within=30)

        [row] = cluster.rows()
        assert (row["state"], row["error"]) == ("pending", "took longer than 6 s")

    def test_a_worker_that_is_told_to_stop_ends_what_it_runs(self, cluster):
        worker = self.start_workers(cluster)
        cluster.receive(named("event", waits=True))
        eventually(cluster.notes, within=30)

        worker.send_signal(signal.SIGTERM)
        cluster.go()

        assert worker.wait(30) == 0
        assert cluster.states() == ["done"]
