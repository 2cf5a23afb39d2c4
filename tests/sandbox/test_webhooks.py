"""How the stand-in posts webhooks, and what it does to them."""

import time
from datetime import timedelta

import pytest

from receiver.errors import Refused
from receiver.models import Status, Trust
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import Outcome
from tests.running import SECRET
from tests.sandbox.conftest import serving
from tests.sandbox.support import NOW, At, Inbox
from tests.watch import eventually

ADAPTER = CreativeAI(secrets=[SECRET])


@pytest.fixture
def ended(quick):
    """The adapter where jobs end at once."""
    return At(quick, CreativeAI)


@pytest.fixture(scope="module")
def fast():
    """A stand-in that goes a hundred times faster than real time."""
    with serving(speed=100) as sandbox:
        yield sandbox


def create(sandbox, inbox, *, kind="video", **more):
    """The id of a new job whose webhook goes to the inbox."""
    body = {"prompts": ["one", "two"]} if kind == "batch" else {"prompt": "a scene"}
    return At(sandbox, CreativeAI).create(kind, callback=inbox.url, **body, **more).job_id


def first(inbox):
    """The first webhook that comes, as events."""
    eventually(lambda: inbox.deliveries)
    return ADAPTER.parse(inbox.deliveries[0])


def posted(sandbox, job_id):
    return [webhook for webhook in sandbox.webhooks if webhook.job_id == job_id]


def jobs(deliveries):
    return [ADAPTER.parse(delivery)[-1].job_id for delivery in deliveries]


def genuine(delivery):
    try:
        return ADAPTER.verify(delivery, NOW) is Trust.SIGNED
    except Refused:
        return False


class TestPlainOnes:
    def test_are_posted_when_the_job_ends(self, quick, inbox):
        job_id = create(quick, inbox)

        [event] = first(inbox)

        assert (event.job_id, event.status) == (job_id, Status.SUCCEEDED)

    def test_are_signed(self, quick, inbox):
        create(quick, inbox)

        first(inbox)

        assert genuine(inbox.deliveries[0])

    @pytest.mark.parametrize("kind", ["video", "batch", "image"])
    def test_tell_the_same_as_the_answer_to_a_poll(self, ended, inbox, kind):
        body = {"prompts": ["one", "two"]} if kind == "batch" else {"prompt": "a scene"}
        created = ended.create(kind, callback=inbox.url, **body)

        told = {event.key for event in first(inbox)}

        assert told == {event.key for event in ended.ask(created).events}

    def test_tell_of_a_failure(self, quick, inbox):
        create(quick, inbox, fate="failed")

        [event] = first(inbox)

        assert event.type == "video.generation.failed"

    def test_tell_of_the_clips_of_a_batch_that_failed(self, quick, inbox):
        create(quick, inbox, kind="batch", fate="failed")

        *clips, batch = first(inbox)

        assert {clip.status for clip in clips} == {Status.FAILED}
        assert batch.type == "video.batch.completed"

    def test_are_not_posted_before_the_end(self, slow, inbox):
        job_id = create(slow, inbox)

        assert (inbox.deliveries, posted(slow, job_id)) == ([], [])

    def test_are_not_posted_to_nowhere(self, quick, ended):
        created = ended.create("video", prompt="a scene")

        assert posted(quick, created.job_id) == []

    def test_are_remembered(self, quick, inbox):
        job_id = create(quick, inbox)

        [webhook] = eventually(lambda: posted(quick, job_id))

        assert (webhook.url, webhook.attempt, webhook.status) == (inbox.url, 1, 202)
        assert str(webhook) == f"webhook {job_id} 202 delivered"


class TestFates:
    def test_doubled_ones_come_twice_with_the_same_body(self, quick, inbox):
        create(quick, inbox, fate="doubled")

        eventually(lambda: len(inbox.deliveries) == 2)

        assert inbox.deliveries[0].body == inbox.deliveries[1].body

    def test_lost_ones_never_come(self, quick, inbox):
        job_id = create(quick, inbox, fate="lost")

        [webhook] = eventually(lambda: posted(quick, job_id))

        assert (webhook.outcome, inbox.deliveries) == (Outcome.LOST, [])
        assert str(webhook) == f"webhook {job_id} lost"

    def test_delayed_ones_come_late(self, fast, inbox):
        create(fast, inbox, fate="delayed")
        created_at = fast.requests[-1].at

        first(inbox)

        assert inbox.taken[0].at - created_at >= 0.2

    def test_reordered_ones_come_after_a_later_one(self, quick, inbox):
        held = create(quick, inbox, fate="reordered")
        later = create(quick, inbox)

        eventually(lambda: len(inbox.deliveries) == 2)

        assert jobs(inbox.deliveries) == [later, held]

    def test_reordered_ones_come_without_a_later_one_too(self, fast, inbox):
        create(fast, inbox, fate="reordered")
        created_at = fast.requests[-1].at

        first(inbox)

        assert inbox.taken[0].at - created_at >= 0.02

    def test_reordered_and_doubled_ones_come_twice(self, fast, inbox):
        create(fast, inbox, fate="reordered,doubled")

        assert eventually(lambda: len(inbox.deliveries) == 2)

    @pytest.mark.parametrize(("fate", "claimed"), [("", "failed"), ("failed", "completed")])
    def test_forged_ones_claim_the_opposite_without_the_secret(self, quick, inbox, fate, claimed):
        create(quick, inbox, fate=f"forged,lost,{fate}")

        [event] = first(inbox)

        assert event.raw_status == claimed
        assert not genuine(inbox.deliveries[0])

    def test_forged_ones_claim_the_opposite_of_every_clip(self, quick, inbox):
        create(quick, inbox, kind="batch", fate="forged,lost")

        *clips, _ = first(inbox)

        assert {clip.status for clip in clips} == {Status.FAILED}

    def test_forged_ones_come_beside_the_genuine(self, quick, inbox):
        create(quick, inbox, fate="forged")

        eventually(lambda: len(inbox.deliveries) == 2)

        assert sorted(map(genuine, inbox.deliveries)) == [False, True]

    def test_forged_ones_are_remembered_as_such(self, quick, inbox):
        job_id = create(quick, inbox, fate="forged,lost")

        webhooks = eventually(lambda: len(found := posted(quick, job_id)) == 2 and found)

        assert {webhook.outcome for webhook in webhooks} == {Outcome.FORGERY, Outcome.LOST}

    def test_are_drawn_where_the_request_asks_for_none(self, inbox):
        with serving(lost=1) as sandbox:
            job_id = create(sandbox, inbox)

            [webhook] = eventually(lambda: posted(sandbox, job_id))

        assert webhook.outcome is Outcome.LOST

    def test_are_not_drawn_where_it_says_which(self, inbox):
        with serving(lost=1) as sandbox:
            create(sandbox, inbox, fate="")

            assert first(inbox)

    def test_are_the_same_with_the_same_seed(self, inbox):
        assert outcomes(inbox, seed=7) == outcomes(inbox, seed=7)


def outcomes(inbox, **conditions):
    """What becomes of twenty webhooks, in the order of the jobs."""
    with serving(lost=0.5, **conditions) as sandbox:
        created = [create(sandbox, inbox) for _ in range(20)]
        eventually(lambda: len(sandbox.webhooks) == 20)
        return [posted(sandbox, job_id)[0].outcome for job_id in created]


class TestAttempts:
    @pytest.fixture
    def tried(self, fast):
        """What was made of a webhook that is never taken, and what came of it."""
        with Inbox([503] * 5) as inbox:
            job_id = create(fast, inbox)
            webhooks = eventually(lambda: len(found := posted(fast, job_id)) == 3 and found)
            return webhooks, inbox.taken

    def test_are_made_after_0_and_5_and_30_seconds(self, tried):
        webhooks, _ = tried

        _, second, third = [100 * (webhook.at - webhooks[0].at) for webhook in webhooks]

        assert 5 <= second < 20
        assert 30 <= third < 60

    def test_are_the_same_each_time(self, tried):
        _, taken = tried

        assert len({each.delivery.body for each in taken}) == 1

    def test_end_with_the_third(self, tried):
        webhooks, _ = tried

        assert [webhook.outcome for webhook in webhooks] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.GIVEN_UP]
        assert [webhook.attempt for webhook in webhooks] == [1, 2, 3]

    @pytest.mark.parametrize("status", [302, 401, 500])
    def test_go_on_until_the_webhook_is_taken(self, fast, status):
        with Inbox([status]) as inbox:
            job_id = create(fast, inbox)

            webhooks = eventually(lambda: len(found := posted(fast, job_id)) == 2 and found)

        assert [webhook.status for webhook in webhooks] == [status, 202]
        assert webhooks[-1].outcome is Outcome.DELIVERED

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "nonsense", "http://["])
    def test_go_on_where_nobody_answers(self, fast, url):
        created = At(fast, CreativeAI).create("video", callback=url, prompt="a scene")

        webhooks = eventually(lambda: len(found := posted(fast, created.job_id)) == 3 and found)

        assert {webhook.status for webhook in webhooks} == {None}

    def test_do_not_keep_the_stand_in_from_stopping(self):
        with Inbox([503]) as inbox, serving() as sandbox:
            create(sandbox, inbox)
            eventually(lambda: sandbox.webhooks)
            asked_to_stop = time.monotonic()

        assert time.monotonic() - asked_to_stop < 2

    def test_wait_for_the_end_of_an_outage(self, inbox):
        began = time.monotonic()
        second = timedelta(seconds=1)
        with serving(duration=second, outage_every=second / 2, outage_for=0.9 * second / 2) as sandbox:
            create(sandbox, inbox)

            first(inbox)

            [webhook] = eventually(lambda: sandbox.webhooks)
        # It is up for 500 ms, then for the last 50 of each 500.
        assert webhook.outcome is Outcome.DELIVERED
        assert webhook.at - began >= 1.45
