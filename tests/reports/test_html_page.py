"""The HTML report: one file, no script, no network; usable in a real browser by everybody."""

from __future__ import annotations

import html.parser
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import fabricated
import pytest

from pytest_memleak.excerpts import excerpts_below
from pytest_memleak.report.charts import charts
from pytest_memleak.report.html import fragment, page

CODE = 'store = []\nstore.append(bytes(100))  # "<b>" & <script>alert(1)</script>\n'
VOID = {"meta", "br", "path", "rect"}


class Elements(html.parser.HTMLParser):
    """The elements, attributes and visible text of a page; asserts that every element is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def no_code(path: str, line: int) -> list[tuple[int, str]]:
    return []


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write a page on records beside their code."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "cache.py").write_text(CODE, encoding="utf-8")

    def write(*entries: dict, **keys: object) -> Path:
        path = tmp_path / "report.html"
        path.write_text(page(fabricated.record(*entries, **keys), excerpts_below(tmp_path)), encoding="utf-8")
        return path

    return write


COMPARED = {
    "name": "main",
    "fail_over_percent": 10,
    "tests": [{"nodeid": "tests/test_app.py::test_a", "status": "grown", "summary": "live grows by 2.0 kB"}],
}
MIXED = (
    fabricated.entry(700_000),
    fabricated.entry(0, "tests/test_app.py::test_healthy", seed=5),
    fabricated.failed_entry(),
)


def test_page_says_the_facts(written):
    found = Elements(written(*MIXED, baseline=COMPARED, not_checked=["x: a DoctestItem"]).read_text(encoding="utf-8"))

    for fact in (
        "3 tests checked: 1 leak, 1 error, 1 passed",
        "tests/test_app.py::test_analyze",
        "grows by 1,008 MB/24h",
        "app/cache.py:2",
        "    2 > store.append(bytes(100))",
        "Forecast for a limit of 2,147 MB",
        "httpx.AsyncClient",
        "POST /analyze",
        "setup failed: no",
        "Compared with the baseline 'main', which may be exceeded by 10 %",
        "x: a DoctestItem",
        "fitted rate",
        "budget",
        "warm-up",
        "file descriptors",
    ):
        assert fact in found.text


def test_page_needs_nothing_but_itself(written):
    found = Elements(written(*MIXED).read_text(encoding="utf-8"))

    assert {tag for tag, _ in found.found} & {"script", "link", "img", "iframe", "object", "image", "use"} == set()
    for _, attributes in found.found:
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "#").startswith("#") for name in ("href", "src", "xlink:href"))
    assert "url(" not in found.text
    assert "http:" not in found.text.replace("http://www.w3.org", "")


def test_page_is_small(written):
    assert written(*[fabricated.entry(700_000, f"test_{i}") for i in range(10)]).stat().st_size < 500_000


def test_every_chart_has_its_numbers_beside_it():
    drawn = charts(fabricated.entry(700_000))

    assert [chart.title for chart in drawn] == ["Memory in MB", "Open resources"]
    assert [line.name for line in drawn[0].lines] == ["RSS", "live bytes", "fitted rate", "budget"]
    assert [line.name for line in drawn[1].lines] == ["file descriptors", "threads", "asyncio tasks"]
    hours, values = drawn[0].rows[-1]
    assert hours == pytest.approx(5)
    assert values == pytest.approx([269.4, 249.4, 269.4, 100 + 347e3 * 240 / 1e6], rel=0.2)
    assert len(drawn[0].lines[0].points) <= 302


def test_fitted_rate_lies_on_the_samples():
    fit = charts(fabricated.entry(700_000))[0].lines[2]
    (start, low), (end, high) = fit.points

    assert (high - low) / (end - start) == pytest.approx(0.7 * 60, rel=0.01)
    assert high == pytest.approx(40 + 0.7 * 299, rel=0.01)  # live bytes decide


def test_too_little_to_draw():
    assert charts(fabricated.failed_entry()) == []
    gaps = fabricated.entry(0)
    gaps["samples"]["rss_bytes"][3] = None  # NaN once
    assert "rss" not in [line.kind for line in charts(gaps)[0].lines]


@pytest.mark.parametrize("name", fabricated.HOSTILE)
def test_hostile_text(written, name):
    hostile = fabricated.HOSTILE[name]
    entry = fabricated.entry(700_000, hostile, text=hostile)
    rows = [{"nodeid": hostile, "status": "new", "summary": hostile}]
    path = written(entry, not_checked=[hostile], baseline={"name": hostile, "fail_over_percent": None, "tests": rows})
    plain = written(fabricated.entry(700_000)).read_text(encoding="utf-8")

    source = page(fabricated.record(entry), no_code)
    found = Elements(source)

    assert {tag for tag, _ in found.found} <= {tag for tag, _ in Elements(plain).found}
    assert {name for _, attributes in found.found for name in attributes} <= {
        name for _, attributes in Elements(plain).found for name in attributes
    }
    assert path.stat().st_size < 500_000
    Elements(fragment(entry))


OUTSIDE = ["/etc/passwd", "../secret.txt", "app", "nothing.py", "null\0.py", ""]


@pytest.mark.parametrize("path", OUTSIDE)
def test_only_python_files_are_shown(tmp_path, path):
    (tmp_path / "app").mkdir()
    (tmp_path.parent / "secret.txt").write_text("secret", encoding="utf-8")

    assert excerpts_below(tmp_path)(path, 1) == []


def test_excerpt_is_around_the_line(tmp_path):
    (tmp_path / "a.py").write_text("".join(f"line_{i}\n" for i in range(1, 21)), encoding="utf-8")
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    (tmp_path / "broken.py").write_bytes(b"# coding: nothing\n\xff\n")
    read = excerpts_below(tmp_path)

    assert read("a.py", 10) == [(i, f"line_{i}") for i in range(7, 14)]
    assert read("a.py", 1) == [(i, f"line_{i}") for i in range(1, 5)]
    assert read("a.py", 99) == []
    assert read("latin.py", 2)[1] == (2, "name = 'é'")
    assert read("broken.py", 1) == []


# --- in a browser ---

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if not (CHROMIUM and DRIVER):
        pytest.skip("Chromium and its driver are not installed: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def shown(browser, path: Path, *, width: int = 1200, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(path.as_uri())


CONTRAST = """
const parse = c => c.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = parse(c).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (parse(c)[3] !== 0) return c; } return 'rgb(255,255,255)'; };
const low = [];
for (const e of document.querySelectorAll('h1,h2,h3,p,a,td,th,dt,dd,li,summary,pre,span.verdict,span.no,svg text')) {
  if (!e.textContent.trim() || !e.checkVisibility()) continue;
  const style = getComputedStyle(e), ink = e.closest('svg') ? style.fill : style.color;
  const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) low.push([e.tagName, ink, ground(e), e.textContent.slice(0, 30)]);
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_browser_shows_the_page(browser, written, width, scheme):
    endless = fabricated.entry(700_000, fabricated.HOSTILE["endless"], seed=7)
    shown(browser, written(*MIXED, endless, baseline=COMPARED), width=width, scheme=scheme)

    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CONTRAST) == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    drawings = browser.execute_script(
        "return [...document.querySelectorAll('details[open] .drawing svg')]"
        ".map(drawing => drawing.getBoundingClientRect().toJSON())"
    )
    assert len(drawings) >= 2
    assert all(200 < drawing["width"] <= width and drawing["height"] > 100 for drawing in drawings)


def test_lines_of_a_chart_are_told_apart(browser, written):
    shown(browser, written(*MIXED))

    looks = browser.execute_script(
        "return [...document.querySelectorAll('.drawing')].slice(0, 2).map(d => [...d.querySelectorAll("
        "'[class^=line-] path')].map(p => { const s = getComputedStyle(p);"
        " return [s.stroke, s.strokeDasharray, s.strokeWidth, s.fill].join(); }))"
    )
    assert [len(set(chart)) for chart in looks] == [5, 3]


def test_keyboard_reaches_everything(browser, written):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    shown(browser, written(fabricated.entry(0, "tests/test_app.py::test_healthy")))
    assert not browser.find_element("css selector", ".drawing").is_displayed()

    seen = []
    for _ in range(12):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        seen.append(focused.tag_name)
        if focused.text.startswith("Charts, findings"):
            ActionChains(browser).send_keys(Keys.ENTER).perform()
            break

    assert seen[0] == "a"  # the skip link
    assert "summary" in seen
    assert browser.find_element("css selector", ".drawing").is_displayed()


def test_screen_reader_hears_names(browser, written):
    shown(browser, written(*MIXED))
    browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))

    images = roles.get("image", []) + roles.get("img", [])
    assert any("RSS from 60.01 to 269.3" in name for name in images), images
    assert all(roles["region"])
    assert all(roles["link"])
    assert {"main", "heading", "table", "columnheader", "rowheader", "list"} <= set(roles)


def test_no_script_runs(browser, written):
    for hostile in fabricated.HOSTILE.values():
        shown(browser, written(fabricated.entry(700_000, hostile, text=hostile, seed=3)))
        assert browser.execute_script("return document.querySelectorAll('script, img, [onmouseover]').length") == 0
    assert browser.get_log("browser") == []
