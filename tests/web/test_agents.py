"""Browsers by the names people know them by."""

import pytest

from outagecast.web.desk.agents import browser_name

LIKE_SAFARI = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36{}"


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        (LIKE_SAFARI.format("Windows NT 10.0; Win64; x64", ""), "Chrome on Windows"),
        (LIKE_SAFARI.format("Windows NT 10.0; Win64; x64", " Edg/130.0"), "Edge on Windows"),
        (LIKE_SAFARI.format("Linux; Android 14; Pixel 8", ""), "Chrome on Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 200, "x" * 40),
        ("", "unknown"),
    ],
)
def test_browsers(agent: str, says: str) -> None:
    assert browser_name(agent) == says
