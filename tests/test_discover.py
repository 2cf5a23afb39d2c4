"""Finding jobs that nobody tracked: a real store, and a provider that lists what each test tells it to."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from receiver import inbox
from receiver.discover import discover
from receiver.models import Budget, Listed, Listing, Reading, Request, Schedule, Status
from receiver.outbound import ProviderClient
from receiver.providers.base import Provider, moment
from receiver.reconcile import Finding, Reconciler
from tests.running import API_KEY
from tests.scripted import Answer, Scripted, always

NOTHING, HOUR, DAY = timedelta(0), timedelta(hours=1), timedelta(days=1)
LATER = Schedule(first=HOUR, every={NOTHING: HOUR}, deadline=HOUR)


class WithList(Provider):
    """Lists jobs, and says of each that it goes on."""

    name = "listing"
    statuses = {}
    kinds = {"video": LATER, "image": LATER}
    budget = Budget(5, per=HOUR)
    lists_jobs = True

    def listing(self, cursor=None):
        return Request(path=f"/jobs?after={cursor}" if cursor else "/jobs")

    def read_listing(self, response, cursor=None):
        data = self.answered(response)
        return Listing(
            jobs=tuple(
                Listed(job_id=row["id"], kind=row.get("kind", "video"), created_at=moment(row.get("at")))
                for row in data["jobs"]
            ),
            cursor=data.get("next"),
        )

    def poll(self, job):
        return Request(path=f"/jobs/{job.job_id}")

    def read(self, job, response):
        return Reading(status=Status(self.answered(response)["status"]))


@pytest.fixture
def provider():
    with Scripted() as server:
        yield server


@pytest.fixture
def client():
    with ProviderClient(timeout=timedelta(seconds=5)) as opened:
        yield opened


@pytest.fixture
def source(provider):
    return inbox.Source("studio", WithList(api_key=API_KEY, base_url=provider.url))


@pytest.fixture
def look(store, client, source):
    return lambda since=DAY: discover(source, since=since, store=store, client=client)


def listed(*job_ids, age=NOTHING, cursor=None):
    at = (datetime.now(UTC) - age).isoformat()
    return Answer({"jobs": [{"id": job_id, "at": at} for job_id in job_ids], "next": cursor})


def pages(*answers):
    """The first page, and the ones that its cursors 1, 2, … name."""

    def answer(path):
        [number] = parse_qs(urlsplit(path).query).get("after", ["0"])
        return answers[int(number)]

    return answer


def test_tracks_what_nobody_tracked(store, provider, look):
    provider.answer = always(listed("job_1", "job_2"))

    found = look()

    assert (found.listed, found.tracked, found.error) == (2, 2, None)
    assert [job.job_id for job in store.due_jobs("studio", limit=10)] == ["job_1", "job_2"]


def test_the_next_pass_asks_about_it(store, client, provider, source, look):
    provider.answer = always(listed("job_1"))
    look()
    provider.answer = always(Answer({"status": "running"}))

    [done] = Reconciler(store, client).run([source])

    assert [checked.finding for checked in done.checked] == [Finding.OPEN]
    assert provider.paths[-1] == "/jobs/job_1"


def test_leaves_alone_what_is_known(store, provider, look):
    store.track("studio", "job_1", kind="image", schedule=LATER, metadata={"order": 17})
    provider.answer = always(listed("job_1"))

    found = look()

    known = store.job("studio", "job_1")
    assert (found.listed, found.tracked) == (1, 0)
    assert (known.kind, known.metadata) == ("image", {"order": 17})
    assert store.due_jobs("studio", limit=10) == []


def test_a_second_look_finds_nothing_new(provider, look):
    provider.answer = always(listed("job_1"))

    assert [look().tracked, look().tracked] == [1, 0]


def test_reads_page_after_page(provider, look):
    provider.answer = pages(listed("job_1", cursor="1"), listed("job_2", cursor="2"), listed("job_3"))

    assert look().tracked == 3
    assert provider.paths == ["/jobs", "/jobs?after=1", "/jobs?after=2"]


def test_stops_where_jobs_are_too_old(provider, look):
    provider.answer = pages(listed("job_1", cursor="1"), listed("job_2", age=2 * DAY, cursor="2"), listed("job_3"))

    assert look().tracked == 1
    assert len(provider.asked) == 2


def test_takes_a_job_of_unknown_age(provider, look):
    provider.answer = always(Answer({"jobs": [{"id": "job_1"}]}))

    assert look().tracked == 1


def test_a_cursor_that_leads_nowhere_ends_it(provider, look):
    provider.answer = pages(listed("job_1", cursor="1"), listed("job_2", cursor="1"))

    assert look().tracked == 2


def test_pages_that_repeat_themselves_end_it(provider, look):
    provider.answer = lambda path: listed("job_1", "job_2", cursor=str(len(provider.asked)))

    found = look()

    assert (found.listed, len(provider.asked), found.error) == (2, 2, None)


def test_looks_through_every_list(provider, source, look):
    source.provider.lists = ("videos", "images")
    provider.answer = lambda path: listed("job_1") if "videos" in path else listed("job_2")

    assert look().tracked == 2


def test_a_list_that_fails_keeps_no_other_from_being_read(provider, source, look):
    source.provider.lists = ("videos", "images")
    provider.answer = lambda path: Answer({}, status=500) if "videos" in path else listed("job_2")

    found = look()

    assert (found.tracked, found.error) == (1, "studio: HTTP 500")


def test_spends_the_request_budget_and_no_more(provider, look):
    provider.answer = lambda path: listed(f"job_{len(provider.asked)}", cursor=str(len(provider.asked)))

    found = look()

    assert len(provider.asked) == 5
    assert found.tracked == 5
    assert "the request budget is spent" in found.error


def test_keeps_what_was_found_before_a_page_failed(store, provider, look):
    provider.answer = pages(listed("job_1", cursor="1"), Answer({"error": {"message": "oh"}}, status=500))

    found = look()

    assert (found.tracked, found.error) == (1, "studio: HTTP 500: oh")
    assert store.job("studio", "job_1") is not None


def test_a_refusal_for_too_many_requests_pauses_polling_too(store, client, provider, source, look):
    provider.answer = always(Answer({}, status=429, headers={"Retry-After": "60"}))
    store.track("studio", "job_1", kind="video", schedule=Schedule(first=NOTHING, every={NOTHING: HOUR}, deadline=HOUR))

    found = look()

    [done] = Reconciler(store, client).run([source])
    assert found.error.endswith("try again in 60 s")
    assert (len(provider.asked), done.waiting) == (1, 1)


def test_needs_the_api_key(provider, source, look):
    source.provider.api_key = None

    assert "sources.studio.api_key is not set" in look().error
    assert provider.asked == []


def test_says_that_a_provider_has_no_list(source, look):
    source.provider.lists_jobs = False

    assert look().error == "listing cannot be asked for its jobs"
