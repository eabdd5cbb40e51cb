"""A server far away, at a tiny size: everything counted, the ratio of each round. No speed."""

from tests.bench.far import figures_of
from tests.bench.far_server import Far, far_server


def test_every_mail_to_a_far_server_is_counted() -> None:
    [found] = far_server(30, 1, connections=5)

    assert found.limit > 0
    assert found.product > 0
    assert found.cpu_us > 0


def test_the_limit_is_that_of_the_ratio_of_the_rounds() -> None:
    found = [Far(limit=limit, product=7_000.0, cpu_us=100.0, lag_p99_ms=5.0) for limit in (7_000.0, 8_000.0, 10_000.0)]

    [ratio] = [figure for figure in figures_of(found) if figure.at_least is not None]
    assert ratio.value == 0.875
    assert ratio.holds
    assert ratio.note == "0.7 to 1 over 3 rounds"
