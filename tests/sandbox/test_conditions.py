"""What is drawn for a job, and when there is an outage."""

from datetime import timedelta

import pytest

from receiver.sandbox import Conditions, Fate
from receiver.sandbox.conditions import fates_in

SECOND = timedelta(seconds=1)
EVERYTHING = dict.fromkeys(["lost", "doubled", "delayed", "reordered", "forged", "failed"], 1.0)


def lots(count=1000, **conditions):
    chosen = Conditions(**conditions)
    return [chosen.lot(number) for number in range(1, count + 1)]


def test_nothing_goes_wrong_by_default():
    assert {lot.fates for lot in lots(100)} == {frozenset()}


def test_everything_can_go_wrong():
    [lot] = lots(1, **EVERYTHING)

    assert lot.fates == set(Fate) - {Fate.PAUSED, Fate.UNANSWERED}


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_share_is_one_of_all_jobs(name):
    hit = [lot for lot in lots(seed=1, **{name: 0.3}) if lot.fates]

    assert {lot.fates for lot in hit} == {frozenset({Fate(name)})}
    assert 250 < len(hit) < 350


def test_the_same_seed_draws_the_same():
    assert lots(seed=1, lost=0.5, duration_spread=0.5) == lots(seed=1, lost=0.5, duration_spread=0.5)


def test_another_seed_draws_something_else():
    assert lots(seed=1, lost=0.5) != lots(seed=2, lost=0.5)


def test_without_a_seed_something_else_is_drawn_each_time():
    assert lots(duration_spread=0.5) != lots(duration_spread=0.5)


def test_one_share_does_not_change_the_others():
    alone = [Fate.FAILED in lot.fates for lot in lots(seed=1, failed=0.5)]

    assert alone == [Fate.FAILED in lot.fates for lot in lots(seed=1, failed=0.5, lost=0.5, forged=0.5)]


def test_jobs_take_as_long_as_they_are_told_to():
    assert {lot.seconds for lot in lots(100, duration=10 * SECOND)} == {10}


def test_jobs_take_less_or_more_within_the_spread():
    seconds = [lot.seconds for lot in lots(seed=1, duration=10 * SECOND, duration_spread=0.5)]

    assert 5 <= min(seconds) < 6 < 14 < max(seconds) <= 15


def test_speed_makes_everything_shorter():
    conditions = Conditions(duration=10 * SECOND, speed=100)

    assert (conditions.lot(1).seconds, conditions.real(SECOND)) == (0.1, 0.01)


def test_requests_fail_as_often_as_they_are_told_to():
    conditions = Conditions(errors=0.3, seed=1)

    assert 250 < sum(map(conditions.fails, range(1000))) < 350


@pytest.mark.parametrize(
    ("age", "left"),
    [
        pytest.param(0, 0, id="start"),
        pytest.param(9.5, 0, id="before"),
        pytest.param(10, 4, id="begins"),
        pytest.param(13, 1, id="within"),
        pytest.param(14, 0, id="over"),
        pytest.param(21, 3, id="the-next"),
    ],
)
def test_an_outage_comes_every_so_often(age, left):
    conditions = Conditions(outage_every=10 * SECOND, outage_for=4 * SECOND)

    assert conditions.outage(age) == left


def test_an_outage_is_shorter_at_speed():
    conditions = Conditions(outage_every=10 * SECOND, outage_for=4 * SECOND, speed=10)

    assert conditions.outage(1.1) == pytest.approx(0.3)


def test_there_is_no_outage_by_default():
    assert Conditions().outage(1000) == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        pytest.param({"lost": 1.1}, "lost", id="over-one"),
        pytest.param({"errors": -0.1}, "errors", id="negative"),
        pytest.param({"duration_spread": float("nan")}, "duration_spread", id="no-number"),
        pytest.param({"speed": 0}, "speed", id="no-speed"),
        pytest.param({"speed": float("inf")}, "speed", id="infinite-speed"),
        pytest.param({"outage_every": SECOND}, "belong together", id="half-an-outage"),
        pytest.param({"outage_every": SECOND, "outage_for": SECOND}, "shorter", id="only-outage"),
    ],
)
def test_what_cannot_be_is_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        Conditions(**wrong)


@pytest.mark.parametrize(
    ("text", "fates"),
    [
        pytest.param("", set(), id="none"),
        pytest.param("lost", {Fate.LOST}, id="one"),
        pytest.param("lost, failed,", {Fate.LOST, Fate.FAILED}, id="two"),
        pytest.param(",".join(Fate), set(Fate), id="all"),
    ],
)
def test_fates_are_read_from_a_text(text, fates):
    assert fates_in(text) == fates


def test_an_unknown_fate_is_named():
    with pytest.raises(ValueError, match="no los; there are lost, doubled"):
        fates_in("los,failed")
