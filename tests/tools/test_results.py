"""Medians, ratios and the table, to the last digit."""

import pytest
from benchmarking.results import (
    Line,
    Sample,
    Summary,
    busy,
    deal,
    number,
    ratio,
    summarise,
    table,
)


@pytest.mark.parametrize(
    ("repeats", "rounds", "expected"), [(5, 2, [3, 2]), (1, 2, [1]), (4, 2, [2, 2]), (2, 3, [1, 1])]
)
def test_repeats_are_dealt_to_rounds(repeats, rounds, expected):
    assert deal(repeats, rounds) == expected


def test_the_median_is_of_all_rounds_and_the_peak_of_the_largest():
    rounds = [
        [Sample(16, (1.0, 9.0, 2.0), 500, (2.0, 9.0, 4.0))],
        [Sample(16, (4.0, 8.0), 700, (8.0, 16.0))],
    ]
    assert summarise(rounds) == Summary(4.0, seconds=4.0, peak_memory_mb=700, calls=5, cpu_seconds=8.0)


def test_an_even_number_of_calls_has_the_mean_of_the_middle_two():
    assert summarise([[Sample(6, (1.0, 2.0, 4.0, 99.0), 1, (1.0,))]]).seconds == 3.0


def test_processes_side_by_side_add_up():
    rounds = [
        [Sample(16, (2.0, 2.0), 500, (1.0, 1.0)), Sample(16, (4.0, 4.0), 600, (3.0, 3.0))],
        [Sample(16, (2.0,), 550, (1.0,)), Sample(16, (4.0,), 540, (3.0,))],
    ]
    assert summarise(rounds) == Summary(12.0, seconds=4.0, peak_memory_mb=1100, calls=3, cpu_seconds=4.0)


def test_a_ratio_above_one_is_a_faster_first():
    fast, slow = Summary(30.0, 0.5, 1, 5, 1.0), Summary(20.0, 0.75, 1, 5, 1.0)
    assert ratio(fast, slow) == 1.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.01234, "0.0123"),
        (0.5, "0.500"),
        (1.0, "1.00"),
        (12.34, "12.3"),
        (99.96, "100"),
        (12345.6, "12346"),
    ],
)
def test_numbers_have_three_digits(value, expected):
    assert number(value) == expected


def test_a_busy_machine_is_named_and_a_quiet_one_is_not():
    assert busy(0.4, 2) is None
    assert busy(6.84, 2).startswith("note: load 6.8 on 2 cores before the start")


def test_the_table_is_aligned_and_says_what_has_no_peer():
    lines = [
        Line("step", "images/s", Summary(12.0, 1.25, 1500, 5, 2.5), Summary(16.0, 1.0, 900, 5, 2.0)),
        Line("sampler", "s", Summary(2000.0, 1.25, 225, 5, 1.0), None),
    ]
    assert [" ".join(line.split()) for line in table(lines).splitlines()] == [
        "unit ours torch ours/torch ours CPU s torch CPU s torch/ours ours MB torch MB",
        "step images/s 12.0 16.0 0.75 2.50 2.00 0.80 1500 900",
        "sampler s 1.25 - - 1.00 - - 225 -",
    ]
    assert len({len(line) for line in table(lines).splitlines()[:2]}) == 1
    assert table(lines).splitlines()[1:] == [
        "step     images/s  12.0   16.0        0.75        2.50         2.00        0.80     1500       900",
        "sampler  s         1.25      -           -        1.00            -           -      225         -",
    ]
