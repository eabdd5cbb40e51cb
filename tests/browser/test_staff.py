"""The first admin's first quarter of an hour, in a real browser: set up, second factor, token, a session revoked."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from outagecast.app import Core, Daemon, open_core
from outagecast.config import parse_config
from outagecast.domain.totp import code_at, step_of
from outagecast.web.server import make_app, serve
from tests.browser.house import ForwardClock
from tests.browser.visits import BOTH_MANNERS, IN_A_BROWSER, Manner, looks_well, visit
from tests.support.daemon import free_port

NAME, PASSWORD = "anna", "seven purple bicycles downhill"
REFUSED = "the server responded with a status of 4"
"""What a browser tells its console of a form that was refused."""
pytestmark = IN_A_BROWSER


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


@BOTH_MANNERS
async def test_the_first_admin(tmp_path: Path, browser: Browser, manner: Manner) -> None:
    async with new_house(tmp_path) as house, visit(browser, house.url, manner, expected=REFUSED) as page:
        await _walk(house, browser, page, manner)


async def _walk(house: NewHouse, browser: Browser, page: Page, manner: Manner) -> None:
    # nobody there: the desk leads to the set-up, the printed link opens it
    await page.goto("/desk")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Nobody can sign in yet.")
    await looks_well(page, manner, "nobody-yet")
    key = await house.core.people.roster.new_setup()
    await page.goto(f"/desk/setup/{key}")
    await page.get_by_label("Your name").fill(NAME)
    await _two_passwords(page, "password-of-anna", "password-of-anna")
    await page.get_by_role("button", name="Make me the first admin").click()
    await expect(page.get_by_role("alert")).to_contain_text("hardly more than a common password or the name")
    await looks_well(page, manner, "set-up")
    await _two_passwords(page, PASSWORD, PASSWORD)
    await page.get_by_role("button", name="Make me the first admin").click()

    # the second factor
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set up an authenticator app.")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    await looks_well(page, manner, "second-factor")
    secret = (await page.locator("code.key").inner_text()).replace(" ", "")
    await page.get_by_label("The six digits").fill(_code(house, secret))
    await page.get_by_role("button", name="Turn it on").click()
    codes = await page.locator("ul.recovery code").all_inner_texts()
    assert len(set(codes)) == 10
    await looks_well(page, manner, "recovery-codes")
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
    await looks_well(page, manner, "token")
    await page.get_by_role("link", name="I have it").click()
    assert token not in await page.content()
    await looks_well(page, manner, "tokens")
    await page.get_by_role("button", name="Revoke billing").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("No program may use the API.")
    assert await house.core.people.token_actor(token) is None

    # a colleague comes by the link, from another browser
    await page.get_by_role("link", name="Staff", exact=True).click()
    await page.get_by_label("Name, as the timeline").fill("bob")
    await page.locator("#role").select_option("operator")
    await page.get_by_role("button", name="Make an invitation link").click()
    link = await page.locator("#link").inner_text()
    await looks_well(page, manner, "invitation-link")
    await page.get_by_role("link", name="I have it").click()
    async with visit(browser, house.url, manner, expected=REFUSED) as theirs:
        await theirs.goto(link)
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("bob, choose your password.")
        await looks_well(theirs, manner, "join")
        await _two_passwords(theirs, "three green ladders singing", "three green ladders singing")
        await theirs.get_by_role("button", name="Set it and sign in").click()
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("Nothing is open.")
        await page.goto("/desk/staff")
        await looks_well(page, manner, "staff")
        await page.get_by_role("link", name="bob", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("bob is an operator, signed in now.")
        await looks_well(page, manner, "one-of-staff")
        await page.get_by_role("button", name="Disable bob: ends 1 session now").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("disabled")
        await theirs.goto("/desk")
        await expect(theirs.get_by_role("heading", level=1)).to_have_text("Sign in to the desk")

    # one's own second session, revoked
    house.clock.put_forward(seconds=60)
    async with visit(browser, house.url, manner, expected=REFUSED) as second:
        await _sign_in(second, house, secret, manner)
        await expect(second).to_have_url(re.compile(r"/desk$"))
        await page.get_by_role("link", name=f"{NAME}, admin").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are anna, admin, with a second factor.")
        await looks_well(page, manner, "account")
        await page.get_by_role("button", name="Revoke").click()
        await expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
        await second.goto("/desk")
        await expect(second.get_by_role("heading", level=1)).to_have_text("Sign in to the desk")


async def _two_passwords(page: Page, password: str, again: str) -> None:
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_label("The same once more").fill(again)


async def _sign_in(page: Page, house: NewHouse, secret: str, manner: Manner) -> None:
    await page.goto("/desk")
    await page.get_by_label("Name").fill(NAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await looks_well(page, manner, "sign-in")
    await page.get_by_role("button", name="Sign in").click()
    await looks_well(page, manner, "sign-in-code")
    await page.get_by_label("Six digits").fill(_code(house, secret))
    await page.get_by_role("button", name="Sign in").click()


def _code(house: NewHouse, secret: str) -> str:
    return code_at(secret, step_of(house.clock()))
