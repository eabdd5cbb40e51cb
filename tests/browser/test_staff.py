"""The first admin's first quarter of an hour, in a real browser: set up, second factor, token, a session revoked."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, expect

from outagecast.app import Core, Daemon, open_core
from outagecast.config import parse_config
from outagecast.domain.totp import code_at, step_of
from outagecast.web.server import make_app, serve
from tests.browser.house import ForwardClock, chromium, find_chromium
from tests.support.daemon import free_port

CHROMIUM = find_chromium()
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERIOUS = ("serious", "critical")
PICTURES = os.environ.get("STAFF_PICTURES", "")
"""A folder to keep what the pages look like in, for people."""
NAME, PASSWORD = "anna", "seven purple bicycles downhill"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED,
        reason="NO BROWSER: THE PAGES ARE NOT TESTED. Install chromium, or name one in $OUTAGECAST_CHROMIUM",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How somebody walks: with scripts or without, in how wide a window."""

    scripts: bool
    width: int


AT_A_DESK = Manner(scripts=True, width=1280)
ON_A_PHONE = Manner(scripts=False, width=390)


@dataclass(kw_only=True)
class NewHouse:
    """A daemon on an empty database: nobody can sign in."""

    core: Core
    clock: ForwardClock
    url: str


@asynccontextmanager
async def new_house(folder: Path) -> AsyncIterator[NewHouse]:
    port, clock = free_port(), ForwardClock()
    text = (
        f'[provider]\nname = "Bluegrass Fiber"\npublic_url = "http://127.0.0.1:{port}"\n'
        'timezone = "America/New_York"\n[staff]\nrequire_totp = ["approver"]\n'
        '[email]\nhost = "127.0.0.1"\nport = 9\nfrom = "Bluegrass Fiber <status@example.net>"\n'
    )
    async with AsyncExitStack() as stack:
        config = parse_config(text, name="config.toml", folder=folder, environ={})
        core = await stack.enter_async_context(open_core(config, clock=clock))
        daemon = Daemon(core)
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        await stack.enter_async_context(serve(make_app(daemon.services()), host="127.0.0.1", port=port))
        yield NewHouse(core=core, clock=clock, url=f"http://127.0.0.1:{port}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    async with chromium(CHROMIUM) as found:
        yield found


@pytest.mark.parametrize("manner", [AT_A_DESK, ON_A_PHONE], ids=["at a desk", "on a phone without scripts"])
async def test_the_first_admin(tmp_path: Path, browser: Browser, manner: Manner) -> None:
    async with new_house(tmp_path) as house:
        broken: list[str] = []
        context = await _window(browser, house, manner)
        try:
            page = await _page(context, broken)
            await _walk(house, browser, page, manner)
            assert broken == [], "the pages' scripts and their policy complain"
        finally:
            await context.close()


async def _walk(house: NewHouse, browser: Browser, page: Page, manner: Manner) -> None:
    # nobody there: the desk leads to the set-up, the printed link opens it
    await page.goto("/desk")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Nobody can sign in yet.")
    await _looks_well(page, manner, "nobody-yet")
    key = await house.core.people.roster.new_setup()
    await page.goto(f"/desk/setup/{key}")
    await page.get_by_label("Your name").fill(NAME)
    await _two_passwords(page, "password-of-anna", "password-of-anna")
    await page.get_by_role("button", name="Make me the first admin").click()
    await expect(page.get_by_role("alert")).to_contain_text("hardly more than a common password or the name")
    await _looks_well(page, manner, "set-up")
    await _two_passwords(page, PASSWORD, PASSWORD)
    await page.get_by_role("button", name="Make me the first admin").click()

    # the second factor
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set up an authenticator app.")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    await _looks_well(page, manner, "second-factor")
    secret = (await page.locator("code.key").inner_text()).replace(" ", "")
    await page.get_by_label("The six digits").fill(_code(house, secret))
    await page.get_by_role("button", name="Turn it on").click()
    codes = await page.locator("ul.recovery code").all_inner_texts()
    assert len(set(codes)) == 10
    await _looks_well(page, manner, "recovery-codes")
    await page.get_by_role("link", name="I have kept them").click()
    await expect(page).to_have_url(re.compile(r"/desk$"))
    await page.get_by_role("button", name="Sign out").click()

    # in again, with both
    house.clock.put_forward(seconds=60)
    await _sign_in(page, house, secret, manner)
    await expect(page).to_have_url(re.compile(r"/desk$"))

    # a token: shown once, then revoked
    await page.get_by_role("link", name="Tokens", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("No program may use the API.")
    await page.get_by_label("Name of the program").fill("billing")
    await page.get_by_label("What it may do").select_option("inventory")
    await page.get_by_role("button", name="Make the token").click()
    token = await page.locator("#token").inner_text()
    assert token.startswith("oc_")
    await _looks_well(page, manner, "token")
    await page.get_by_role("link", name="I have it").click()
    assert token not in await page.content()
    await _looks_well(page, manner, "tokens")
    await page.get_by_role("button", name="Revoke billing").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("No program may use the API.")
    assert await house.core.people.token_actor(token) is None

    # a colleague comes by the link, from another browser
    await page.get_by_role("link", name="Staff", exact=True).click()
    await page.get_by_label("Name, as the timeline").fill("bob")
    await page.locator("#role").select_option("operator")
    await page.get_by_role("button", name="Make an invitation link").click()
    link = await page.locator("#link").inner_text()
    await _looks_well(page, manner, "invitation-link")
    await page.get_by_role("link", name="I have it").click()
    elsewhere = await _window(browser, house, manner)
    try:
        theirs = await _page(elsewhere, [])
        await theirs.goto(link)
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("bob, choose your password.")
        await _looks_well(theirs, manner, "join")
        await _two_passwords(theirs, "three green ladders singing", "three green ladders singing")
        await theirs.get_by_role("button", name="Set it and sign in").click()
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("Nothing is open.")
        await page.goto("/desk/staff")
        await _looks_well(page, manner, "staff")
        await page.get_by_role("link", name="bob", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("bob is an operator, signed in now.")
        await _looks_well(page, manner, "one-of-staff")
        await page.get_by_role("button", name="Disable bob: ends 1 session now").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("disabled")
        await theirs.goto("/desk")
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("Sign in to the desk")
    finally:
        await elsewhere.close()

    # one's own second session, revoked
    house.clock.put_forward(seconds=60)
    phone = await _window(browser, house, manner)
    try:
        second = await _page(phone, [])
        await _sign_in(second, house, secret, manner)
        await expect(second).to_have_url(re.compile(r"/desk$"))
        await page.get_by_role("link", name=f"{NAME}, admin").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are anna, admin, with a second factor.")
        await _looks_well(page, manner, "account")
        await page.get_by_role("button", name="Revoke").click()
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
        await second.goto("/desk")
        await expect(second.get_by_role("heading", level=1)).to_have_text("Sign in to the desk")
    finally:
        await phone.close()


async def _window(browser: Browser, house: NewHouse, manner: Manner) -> BrowserContext:
    context = await browser.new_context(
        java_script_enabled=manner.scripts, viewport={"width": manner.width, "height": 800}, base_url=house.url
    )
    context.set_default_timeout(10_000)
    return context


async def _page(context: BrowserContext, broken: list[str]) -> Page:
    page = await context.new_page()
    page.on("pageerror", lambda error: broken.append(str(error)))
    # A form that was refused answers 4xx, which a browser tells its console.
    page.on("console", lambda said: _note(broken, said.text) if said.type == "error" else None)
    return page


def _note(broken: list[str], said: str) -> None:
    if "the server responded with a status of 4" not in said:
        broken.append(said)


async def _two_passwords(page: Page, password: str, again: str) -> None:
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_label("The same once more").fill(again)


async def _sign_in(page: Page, house: NewHouse, secret: str, manner: Manner) -> None:
    await page.goto("/desk")
    await page.get_by_label("Name").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await _looks_well(page, manner, "sign-in")
    await page.get_by_role("button", name="Sign in").click()
    await _looks_well(page, manner, "sign-in-code")
    await page.get_by_label("Six digits").fill(_code(house, secret))
    await page.get_by_role("button", name="Sign in").click()


def _code(house: NewHouse, secret: str) -> str:
    return code_at(secret, step_of(house.clock()))


async def _looks_well(page: Page, manner: Manner, name: str) -> None:
    """Nothing sticks out at the side; axe finds nothing serious, in light and in dark."""
    if PICTURES:
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            path = Path(PICTURES) / f"{name}-{manner.width}-{scheme}.png"
            await page.screenshot(path=path, full_page=True)
    size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert size[0] <= size[1], f"{page.url} is {size[0]} px wide in a window of {size[1]}"
    if not manner.scripts:
        return  # without scripts axe cannot run either
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        options: dict[str, list[str]] = {"resultTypes": ["violations"]}
        if scheme == "dark":
            options["runOnly"] = ["color-contrast"]
        found = await Axe().run(page, options=options)
        bad = [
            f"{each['id']}: {each['help']}: {str(each['nodes'])[:400]}"
            for each in found.response["violations"]
            if each["impact"] in SERIOUS
        ]
        assert bad == [], f"{page.url} ({scheme})"
    await page.emulate_media(color_scheme="light")
