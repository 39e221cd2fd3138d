"""Which of three clocks is wrong, and on which machine it is put right."""

from __future__ import annotations

import shlex

import pytest

from sessile.cli.clocks import DATABASE, REDIS, named


@pytest.mark.parametrize(
    ("offsets", "told", "cure"),
    [
        ({}, [], []),
        ({DATABASE: 0.4, REDIS: -1.9}, [], []),
        (
            {DATABASE: 90.2, REDIS: 89.9},
            [("error", "This machine's clock is 90.2 s behind those of the database and Redis, which agree.")],
            ["timedatectl set-ntp true"],
        ),
        (
            {DATABASE: -5.0, REDIS: -4.0},
            [("warning", "This machine's clock is 5.0 s ahead of those of the database and Redis, which agree.")],
            ["timedatectl set-ntp true"],
        ),
        (
            {DATABASE: -90.0, REDIS: 0.1},
            [("error", "The clock of the database is 90.0 s behind this machine's; Redis agrees with this machine.")],
            ["timedatectl set-ntp true  # on the machine of the database"],
        ),
        (
            {DATABASE: 0.0, REDIS: 90.0},
            [("warning", "The clock of Redis is 90.0 s ahead of this machine's; the database agrees with this machine.")],
            ["timedatectl set-ntp true  # on the machine of Redis"],
        ),
        (
            {DATABASE: 3.0},
            [("warning", "The clock of the database is 3.0 s ahead of this machine's; which of them is wrong is not to be seen from here.")],
            ["timedatectl set-ntp true  # on this machine and on that of the database"],
        ),
        (
            {DATABASE: 90.0, REDIS: -90.0},
            [
                ("error", "The clock of the database is 90.0 s ahead of this machine's; which of them is wrong is not to be seen from here."),
                ("warning", "The clock of Redis is 90.0 s behind this machine's; which of them is wrong is not to be seen from here."),
            ],
            ["timedatectl set-ntp true  # on this machine and on that of the database", "timedatectl set-ntp true  # on this machine and on that of Redis"],
        ),
    ],
)  # fmt: skip
def test_where_two_agree_the_third_is_wrong(
    offsets: dict[str, float], told: list[tuple[str, str]], cure: list[str]
) -> None:
    found = list(named(offsets))
    assert [(one.severity, one.what) for one in found] == told
    assert [one.cure for one in found] == cure
    assert all(one.why and shlex.split(one.cure, comments=True)[0] == "timedatectl" for one in found)
