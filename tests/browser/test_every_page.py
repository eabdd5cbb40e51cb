"""Every page of the desk, found by following its links: axe finds nothing, nothing sticks out, no script complains.

A page that no link leads to has to be named here, with where it is walked instead: a new one cannot be forgotten.
Screenshots are kept in $OUTAGECAST_SHOTS where that is set, one a page, width and colour scheme.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Change, Declaration, Ending, Role, ScopeEntry, Severity
from outagecast.web.access import BySession
from outagecast.web.desk import outage
from outagecast.web.routes import ROUTES, Route
from tests.browser.house import REPOSITORY, STAFF, SampleHouse, sample_house
from tests.browser.visits import ALL_RULES, CONTRAST, IN_A_BROWSER, SHOTS, sign_in

pytestmark = IN_A_BROWSER
ANNA = Actor(kind=ActorKind.STAFF, name=STAFF, role=Role.ADMIN)
ELSEWHERE: Mapping[str, str] = {
    "/desk/look": "a piece that pages fetch for themselves; tests/web/test_desk_board.py",
    "/desk/restored": "after a backup was put back only; tests/browser/test_restored.py",
}
"""Pages that no link leads to here, and who walks them."""
OFTEN = {"/desk/outages/{id}": 5}
"""Pages that look quite different from one state to the next: how many are looked at; of all others one."""
NO_PAGES = re.compile(r"\.csv$|\.json$|\.svg$|/print$")
"""What is downloaded or printed: no page with a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A window and a scheme; all of axe's rules, or those of colour alone where the rest was looked at already."""

    width: int
    scheme: str
    rules: Mapping[str, list[str]]


VIEWS = (
    View(width=1280, scheme="light", rules=ALL_RULES),
    View(width=1280, scheme="dark", rules=CONTRAST),
    View(width=390, scheme="dark", rules=ALL_RULES),
    View(width=390, scheme="light", rules=CONTRAST),
)


@dataclass
class Walk:
    """Where one has been, by route, and what was wrong there."""

    seen: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=lambda: ["/desk"])
    wrong: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    async with sample_house(tmp_path_factory.mktemp("every-page"), customers=120) as found:
        await _live(found)
        yield found


async def test_every_page_of_the_desk(house: SampleHouse, browser: Browser, tmp_path: Path) -> None:
    context = await browser.new_context(base_url=house.url)
    context.set_default_timeout(20_000)
    page = await context.new_page()
    walk = Walk()
    page.on("pageerror", lambda error: walk.wrong.append(f"{page.url}: {error}"))
    page.on("console", lambda said: walk.wrong.append(f"{page.url}: {said.text}") if said.type == "error" else None)
    await page.goto("/desk/sign-in")
    await _look_at(page, walk, "/desk/sign-in")
    await sign_in(page)
    walk.waiting += await _made(page, tmp_path)
    while walk.waiting:
        await _visit(page, walk, walk.waiting.pop(0))
    await context.close()
    assert walk.wrong == [], "\n" + "\n".join(walk.wrong)
    pages = {route.path for route in ROUTES if _is_page(route)}
    missed = pages - walk.seen.keys() - ELSEWHERE.keys()
    assert not missed, f"no link leads to {sorted(missed)}: link it, or say in ELSEWHERE who walks it"
    assert ELSEWHERE.keys() <= pages, "ELSEWHERE names what is no page any more"
    for where in ELSEWHERE.values():
        assert (REPOSITORY / where.rpartition("; ")[2]).exists(), where


async def _visit(page: Page, walk: Walk, address: str) -> None:
    route, address = _route_of(address), address.partition("#")[0]
    if route is None or not _is_page(route):
        return
    been = walk.seen.setdefault(route.path, [])
    if len(been) >= OFTEN.get(route.path, 1) or urlsplit(address).path in been:
        return
    been.append(urlsplit(address).path)
    answer = await page.goto(address)
    if answer is None or answer.status != 200:
        walk.wrong.append(f"{address}: {answer.status if answer else 'no answer'}")
        return
    for link in await page.eval_on_selector_all("a[href^='/desk']", "all => all.map((a) => a.getAttribute('href'))"):
        walk.waiting.append(link)
    await _look_at(page, walk, address)


async def _made(page: Page, folder: Path) -> list[str]:
    """A template, a rehearsal and an import looked at but not applied, made by their forms: where they stand."""
    await page.goto("/desk/templates/new")
    await page.get_by_label("Name").fill("Power lost in a POP")
    await page.get_by_label("Title, as customers may read it").fill("Power lost")
    await page.get_by_role("button", name="Add the template").click()
    await page.get_by_role("link", name="Power lost in a POP").first.wait_for()
    await page.goto("/desk/rehearse")
    await page.get_by_label("What would be down").fill("POP-LEX")
    await page.get_by_label("Title, as customers would read it").fill("Power lost in Lexington")
    await page.get_by_role("button", name="Play it").click()
    await page.wait_for_url(re.compile(r"/desk/rehearse/\w"))
    made = [urlsplit(page.url).path]
    await expect(page.get_by_role("heading", level=1)).not_to_contain_text("Playing", timeout=180_000)
    (folder / "sites.csv").write_text("id,name,area\nNEW-SITE,A new site,Fayette\nLEX,,\n")
    await page.goto("/desk/import")
    await page.locator("input[type=file]").set_input_files(folder / "sites.csv")
    await page.get_by_role("button", name="Show what would change").click()
    await page.wait_for_url(re.compile(r"/desk/import/\w"))
    return [*made, urlsplit(page.url).path]


async def _look_at(page: Page, walk: Walk, address: str) -> None:
    if await page.locator("h1").count() != 1:
        walk.wrong.append(f"{address}: it has {await page.locator('h1').count()} first headings")
    for view in VIEWS:
        await page.set_viewport_size({"width": view.width, "height": 844 if view.width < 800 else 800})
        await page.emulate_media(color_scheme=view.scheme)  # type: ignore[arg-type]
        where = f"{address} ({view.width} px, {view.scheme})"
        if SHOTS:
            name = re.sub(r"\W+", "-", address.strip("/")) or "desk"
            await page.screenshot(path=Path(SHOTS) / f"{name}-{view.width}-{view.scheme}.png", full_page=True)
        size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
        if size[0] > size[1]:
            walk.wrong.append(f"{where}: it is {size[0]} px wide")
        found = await Axe().run(page, options=dict(view.rules))
        walk.wrong += [
            f"{where}: {each['id']} ({each['impact']}): {each['help']}: {each['nodes'][0]['html'][:200]}"
            for each in found.response["violations"]
        ]


def _is_page(route: Route) -> bool:
    return (
        route.method == "GET"
        and route.path.startswith("/desk")
        and isinstance(route.access, BySession)
        and route.access.framed
        and not NO_PAGES.search(route.path)
        and (route.handler is not outage.page or route.path == "/desk/outages/{id}")
    )


def _route_of(address: str) -> Route | None:
    path = urlsplit(address).path
    fitting = [route for route in ROUTES if route.method == "GET" and _pattern(route.path).fullmatch(path)]
    # As the router does: plain words before placeholders.
    return min(fitting, key=lambda route: route.path.count("{"), default=None)


def _pattern(path: str) -> re.Pattern[str]:
    plain = re.sub(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})*))?\}", lambda found: f"(?:{found.group(2) or '[^/]+'})", path)
    return re.compile(plain)


async def _live(house: SampleHouse) -> None:
    """Two outages open, one held, one over, one a draft: so that the pages have something to show."""
    verbs = house.core.operations
    over = await verbs.declare(_declaration("Line card failed", "POP-FRA"), actor=ANNA)
    await house.rest()
    house.clock.put_forward(minutes=14)
    await verbs.resolve(over.outage_id, Ending(message="Replaced.", cause="a failed card"), actor=ANNA)
    cut = await verbs.declare(_declaration("Fibre cut near Hazard", "POP-HAZ"), actor=ANNA)
    await house.rest()
    house.clock.put_forward(minutes=5)
    said = Change(message="A crew is on its way.", eta=house.clock() + timedelta(hours=2))
    await verbs.update(cut.outage_id, said, actor=ANNA)
    await verbs.update(cut.outage_id, Change(eta=house.clock() + timedelta(hours=3)), actor=ANNA)
    await house.rest()
    held = await verbs.declare(_declaration("Power lost in London", "POP-LON"), actor=ANNA)
    await verbs.hold(held.outage_id, "the words are looked at", actor=ANNA)
    await verbs.declare(_declaration("Battery low at Berea", "POP-BER", release=False), actor=ANNA)
    await verbs.declare(_declaration("Cut near Pikeville", "POP-PIK"), actor=ANNA, undo_for=timedelta(minutes=30))


def _declaration(title: str, pop: str, *, release: bool = True) -> Declaration:
    scope = (ScopeEntry(kind="element", id=pop, effect=Effect.OUTAGE),)
    return Declaration(title=title, scope=scope, severity=Severity.MAJOR, release=release)
