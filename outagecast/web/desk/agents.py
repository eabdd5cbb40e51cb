"""What a browser calls itself, as people would: `Firefox on Linux`."""

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""In this order: most call themselves Chrome and Safari too."""
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_name(agent: str) -> str:
    """Its own words, shortened, where it is none that we know; never believed, only shown."""
    browser = next((says for mark, says in _BROWSERS if mark in agent), "")
    system = next((says for mark, says in _SYSTEMS if mark in agent), "")
    if not browser:
        return agent[:40] or "unknown"
    return f"{browser} on {system}" if system else browser
