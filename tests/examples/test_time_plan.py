import pytest

from examples.docs_qa.time_plan import TimePlan


class Clock:
    """Time that stands still unless somebody moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_parts_share_the_total():
    clock = Clock()
    plan = TimePlan(60, {"read": 1, "think": 2, "write": 3}, clock=clock)
    read = plan.begin("read")
    assert (read.seconds, read.deadline) == (10, 1010)
    clock.now += 10
    assert plan.begin("think").seconds == 20
    clock.now += 20
    write = plan.begin("write")
    assert (write.seconds, write.deadline, write.latest) == (30, 1060, 1060)
    assert not write.is_over()
    clock.now += 30
    assert write.is_over()
    plan.end()
    assert plan.took == {
        "read": {"planned": 10, "took": 10},
        "think": {"planned": 20, "took": 20},
        "write": {"planned": 30, "took": 30},
    }


def test_what_a_part_takes_too_long_all_later_ones_have_less():
    clock = Clock()
    plan = TimePlan(60, {"read": 1, "think": 2, "write": 3}, clock=clock)
    plan.begin("read")
    clock.now += 35
    assert plan.begin("think").seconds == 10
    clock.now += 1
    assert plan.begin("write").seconds == 24


def test_when_all_time_is_gone_parts_have_none():
    clock = Clock()
    plan = TimePlan(60, {"read": 1, "write": 1}, clock=clock)
    read = plan.begin("read")
    clock.now += 61
    assert read.is_over()
    write = plan.begin("write")
    assert write.seconds == 0
    assert write.is_over()


def test_what_cannot_be_divided_may_take_half_of_what_follows():
    plan = TimePlan(60, {"trace": 1, "read": 2, "write": 3}, clock=Clock())
    part = plan.begin("trace")
    assert part.latest == part.deadline + 25


def test_parts_may_be_skipped_but_not_repeated():
    clock = Clock()
    plan = TimePlan(60, {"read": 1, "think": 2, "write": 3}, clock=clock)
    assert plan.begin("write").seconds == 60
    with pytest.raises(ValueError, match=r"one of \[\]. Received: name='read'"):
        plan.begin("read")
    assert list(plan.took) == []


def test_what_is_left_out_is_noted():
    plan = TimePlan(60, {"read": 1})
    assert plan.leave_out("read 3 of 4 books") == "read 3 of 4 books"
    assert plan.left_out == ["read 3 of 4 books"]


@pytest.mark.parametrize(
    ("seconds", "shares", "message"),
    [
        (0, {"read": 1}, "`seconds` must be positive. Received: seconds=0"),
        (float("nan"), {"read": 1}, "`seconds` must be positive"),
        (9, {"read": 1, "write": 0}, "`shares` must be positive numbers"),
        (9, {}, "`shares` must be positive numbers"),
    ],
)
def test_impossible_plans(seconds, shares, message):
    with pytest.raises(ValueError, match=message):
        TimePlan(seconds, shares)
