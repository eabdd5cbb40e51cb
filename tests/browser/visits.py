"""How somebody walks through the pages: with scripts or without, at a desk or on a phone; and what ails a page."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.house import PASSWORD, STAFF, find_chromium

SHOTS = os.environ.get("OUTAGECAST_SHOTS", "")
"""A folder to keep pictures of the pages in, for whoever wants to look."""
SERIOUS = ("serious", "critical")
ALL_IMPACTS = ("minor", "moderate", *SERIOUS)
ALL_RULES: Mapping[str, list[str]] = {"resultTypes": ["violations"]}
CONTRAST: Mapping[str, list[str]] = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
IN_A_BROWSER = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        find_chromium() is None and os.environ.get("REQUIRE_BROWSER") != "1",
        reason="NO BROWSER: THE PAGES ARE NOT TESTED. Install chromium, or name one in $OUTAGECAST_CHROMIUM",
    ),
]
"""The `pytestmark` of every module whose tests ask for the fixture `browser`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How somebody walks: with scripts or without, in how wide a window."""

    scripts: bool
    width: int

    @property
    def name(self) -> str:
        return f"{self.width}-{'js' if self.scripts else 'plain'}"


AT_A_DESK = Manner(scripts=True, width=1280)
ON_A_PHONE = Manner(scripts=False, width=390)
BOTH_MANNERS = pytest.mark.parametrize(
    "manner", [AT_A_DESK, ON_A_PHONE], ids=["at a desk", "on a phone without scripts"]
)


@asynccontextmanager
async def visit(browser: Browser, url: str, manner: Manner, *, expected: str = "", **more: Any) -> AsyncIterator[Page]:
    """An empty page of a browser of one's own. Whatever the pages' scripts or their policy complain of meanwhile fails
    the test, but for what is `expected` of a refused form. `more`: what playwright's new_context() takes besides.
    """
    wanted: dict[str, Any] = {
        "viewport": {"width": manner.width, "height": 800},
        "java_script_enabled": manner.scripts,
    } | more
    context = await browser.new_context(base_url=url, **wanted)
    context.set_default_timeout(15_000)
    broken: list[str] = []
    page = await context.new_page()
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
    try:
        yield page
        found = [said for said in broken if not (expected and expected in said)]
        assert found == [], "the pages' scripts and their policy complain"
    finally:
        await context.close()


@asynccontextmanager
async def desk(browser: Browser, url: str, manner: Manner, *, expected: str = "", **more: Any) -> AsyncIterator[Page]:
    """The same, signed in: the board."""
    async with visit(browser, url, manner, expected=expected, **more) as page:
        await sign_in(page)
        yield page


async def sign_in(page: Page, path: str = "/desk", *, name: str = STAFF, password: str = PASSWORD) -> None:
    await page.goto(path)
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("link", name="Board", exact=True)).to_be_visible()


async def looks_well(
    page: Page,
    manner: Manner,
    name: str = "",
    *,
    impacts: Sequence[str] = SERIOUS,
    dark: Mapping[str, list[str]] = CONTRAST,
) -> None:
    """Nothing sticks out at the side; axe finds nothing of these impacts, in light by all its rules, in dark by these.

    With a `name` a picture of each is kept in SHOTS, where that is set.
    """
    await page.wait_for_load_state()  # else a page may be measured before its styles are there
    size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert size[0] <= size[1], f"{page.url} is {size[0]} px wide in a window of {size[1]}"
    for scheme, rules in (("light", ALL_RULES), ("dark", dark)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if SHOTS and name:
            await page.screenshot(path=f"{SHOTS}/{name}-{manner.name}-{scheme}.png", full_page=True)
        if manner.scripts:  # without scripts axe cannot run either
            found = await Axe().run(page, options=dict(rules))
            bad = [each for each in found.response["violations"] if each["impact"] in impacts]
            assert not bad, f"{page.url} ({scheme}):\n{_said(bad)}"
    await page.emulate_media(color_scheme="light")


def _said(violations: Sequence[Mapping[str, object]]) -> str:
    return "\n".join(f"{each['id']}: {each['help']}: {str(each['nodes'])[:600]}" for each in violations)
