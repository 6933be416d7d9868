"""report.html in Chromium: no errors, hover, sorting, light and dark, print."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_page import SECTIONS, folder

__all__ = ["folder"]  # fixtures
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: playwright's own, or the system's."""
    with api.sync_playwright() as tools:
        own = Path(tools.chromium.executable_path)
        found = str(own) if own.is_file() else shutil.which("chromium")
        if found is None:
            pytest.skip("no Chromium: `playwright install chromium`, or the system's package")
        started = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the page complains about."""
    return []


@pytest.fixture(scope="module")
def shown(browser: Any, folder: Path, errors: list[str]) -> Any:
    """The page, its charts drawn, in a light browser."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: errors.append(request.url) if "file:" not in request.url else None,
    )
    page.goto(f"file://{folder / 'report.html'}")
    page.wait_for_selector("html[data-drawn]", timeout=120_000)
    return page


def test_sections_and_charts(shown: Any, errors: list[str]) -> None:
    for name in SECTIONS:
        assert shown.locator(f"section#{name}").is_visible(), name
    places = shown.locator(".chart")
    assert places.count() == 12
    for place in places.all():
        box = place.locator("svg").first.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 40
    assert errors == []


def test_hover(shown: Any) -> None:
    shown.locator("#chart-timeline .mark-rect path").first.hover()
    tip = shown.locator("#vg-tooltip-element.visible")
    tip.wait_for(timeout=10_000)
    assert "stem" in tip.inner_text()
    assert "adds cycles" in tip.inner_text()


def test_sorting(shown: Any) -> None:
    header = shown.locator("#steps th", has_text="adds")
    cells = "[...document.querySelectorAll('#steps tbody td:nth-child(7)')].map(c => c.innerText)"

    def numbers() -> list[int]:
        return [int(text.replace(",", "")) for text in shown.evaluate(cells)]

    header.click()
    rising = numbers()
    assert rising == sorted(rising)
    header.click()
    assert numbers() == rising[::-1]
    shown.locator("#steps th").first.click()
    names = shown.evaluate(
        "[...document.querySelectorAll('#steps tbody td:first-child')].map(c => c.innerText)"
    )
    assert names == sorted(names, key=str.lower)


def ground(page: Any) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def bar(page: Any) -> str:
    find = "document.querySelector('#chart-timeline .mark-rect path')"
    return page.evaluate(f"getComputedStyle({find}).fill")


def test_light_and_dark(shown: Any) -> None:
    light = ground(shown), bar(shown)
    assert light[0] == "rgb(246, 247, 249)"
    shown.emulate_media(color_scheme="dark")
    dark = ground(shown), bar(shown)
    assert dark[0] == "rgb(17, 22, 29)"
    assert dark[1] != light[1]
    shown.locator("#theme").click()  # back to light, whatever the system says
    assert (ground(shown), bar(shown)) == light
    shown.locator("#theme").click()
    assert (ground(shown), bar(shown)) == dark
    shown.emulate_media(media="print")
    assert ground(shown) == "rgb(255, 255, 255)"
    assert bar(shown) == light[1]
    shown.emulate_media(media="screen", color_scheme="light")


def test_print(shown: Any) -> None:
    pages = shown.pdf(format="A4", print_background=True)
    assert pages.startswith(b"%PDF")
    assert 2 <= pages.count(b"/Type /Page\n") + pages.count(b"/Type /Page ") <= 14
