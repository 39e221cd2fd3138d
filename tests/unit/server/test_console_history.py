"""What the console's charts begin with: a step that is not over is no gap."""

from __future__ import annotations

from sessile.server.console.history import Ring


def test_the_step_of_now_is_left_out_until_it_was_measured() -> None:
    ring = Ring(5, 4)
    for at_s in (102.5, 107.5, 117.5):
        ring.add(at_s, {"online": at_s})
    told = ring.series(121.0)
    assert told["at_s"] == [100, 105, 110, 115]
    assert told["series"]["online"] == [102.5, 107.5, None, 117.5], "what was missed stays a gap"
    ring.add(122.5, {"online": 1.0})
    told = ring.series(124.0)
    assert (told["at_s"][-1], told["series"]["online"][-1]) == (120, 1.0)
    assert ring.series(125.0)["at_s"][-1] == 120
