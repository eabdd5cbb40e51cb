"""That the desk's figures measure what they say: on a small provider, everything found and counted. No speed."""

from tests.bench import desk_speed

FEW = 4_000


def test_the_search_and_the_previews_are_measured() -> None:
    found = {figure.name: figure for figure in desk_speed.figures(FEW)}
    names = list(found)
    assert names[0] == f"desk: search among {FEW:,} circuits, p95"
    assert any(f"preview of a service, {FEW // 10:,} customers" in name for name in names)
    assert all(figure.value > 0 for figure in found.values())
    limits = [figure.at_most for figure in found.values()]
    assert limits[:3] == [50.0, 1.0, 3.0]
