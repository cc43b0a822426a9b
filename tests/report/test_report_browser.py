"""The report in a real Chromium: it speaks to nobody, its switches switch, it fits and prints."""

from pathlib import Path

import numpy as np
import pytest
from browsing import Browser
from pretended import HOSTILE, IMAGE

from everest.report.page.comparing import comparison_page
from everest.report.page.facts import read_facts
from everest.report.page.rendering import run_page

LAYERS = ("input", "importance", "kept", "rebuilt")


@pytest.fixture(scope="module")
def pages(
    pretrained_folder: Path, finetuned_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("html")
    runs = [read_facts(pretrained_folder), read_facts(finetuned_folder)]
    texts = {
        "pretrain": run_page(runs[0]),
        "finetune": run_page(runs[1]),
        "comparison": comparison_page(runs, folder / "comparison.html"),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def brightness(picture: np.ndarray) -> float:
    return float(np.median(picture.mean(axis=2)))


def played(browser: Browser) -> None:
    """Waits until the pictures of the first sample are drawn."""
    painted = (
        "const canvas = document.querySelector('.panel:not([hidden]) canvas');"
        "return canvas.getContext('2d').getImageData(5, 5, 1, 1).data[3] > 0"
    )
    browser.wait(lambda: browser.run(painted))


def canvas(browser: Browser, layer: str) -> str:
    return browser.run(f"return document.querySelector('[data-layer={layer}] canvas').toDataURL()")


@pytest.mark.parametrize("name", ["pretrain", "finetune", "comparison"])
def test_a_page_complains_of_nothing_and_asks_nobody(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    for element in browser.all("#axis input, #theme input, #layers input"):
        browser.run("arguments[0].click()", element)
    charts = browser.all("[data-chart] .plot svg")
    assert len(charts) >= 5
    for chart in charts:
        browser.run("arguments[0].dispatchEvent(new PointerEvent('pointermove'))", chart)
    assert browser.complaints() == []
    asked = browser.requests()
    assert asked[0] == pages[name].as_uri()
    assert all(address.startswith("data:image/") for address in asked[1:])


@pytest.mark.parametrize("name", ["pretrain", "finetune", "comparison"])
def test_names_from_strangers_are_shown_and_do_nothing(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    assert browser.run("return document.scripts.length") == 2
    assert not browser.all("img, i i, h1 i, td b b, [onmouseover], [onerror]")
    if name != "comparison":
        text = browser.run("return document.body.textContent")
        assert all(hostile in text for hostile in HOSTILE)


def test_an_inline_handler_would_be_refused_even_if_a_name_got_through(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["pretrain"])
    browser.run(
        "const made = document.createElement('p'); made.innerHTML = "
        "'<a id=trap onclick=\"window.trapped = 1\">x</a>'; document.body.append(made);"
        "document.getElementById('trap').click()"
    )
    assert browser.run("return window.trapped === undefined")
    assert any("Content Security Policy" in told for told in browser.complaints())


def test_the_page_follows_the_systems_colours_and_a_switch_overrules_it(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["pretrain"], theme="light")
    assert brightness(browser.screenshot()) > 230
    browser.open(pages["pretrain"], theme="dark")
    assert brightness(browser.screenshot()) < 50
    browser.press("#theme input[value=light]")
    assert brightness(browser.screenshot()) > 230
    browser.press("#theme input[value=dark]")
    browser.media("light")
    assert brightness(browser.screenshot()) < 50
    browser.driver.refresh()
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    browser.press("#theme input[value=auto]")
    assert brightness(browser.screenshot()) > 230


def test_the_slider_moves_the_pictures_and_stops_the_loop(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["pretrain"])
    browser.run("document.querySelector('.sample').scrollIntoView({behavior: 'instant'})")
    played(browser)
    slide = (
        "const slider = document.querySelector('.sample input[type=range]');"
        "slider.value = arguments[0]; slider.dispatchEvent(new Event('input'))"
    )
    browser.run(slide, 0)
    first = {layer: canvas(browser, layer) for layer in LAYERS}
    assert browser.one(".sample output").text == "frame 1, step 1 of 4"
    browser.run(slide, 5)
    assert browser.one(".sample output").text == "frame 6, step 3 of 4"
    assert all(canvas(browser, layer) != first[layer] for layer in LAYERS)
    assert browser.run("return document.querySelector('.thumb.now').textContent") == "3"
    assert browser.one(".sample .play").get_attribute("aria-label") == "Play"


def test_a_sample_in_view_plays_until_it_is_paused(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["pretrain"])
    browser.run("document.querySelector('.sample').scrollIntoView({behavior: 'instant'})")
    time = "return document.querySelector('.sample input[type=range]').value"
    before = browser.run(time)
    browser.wait(lambda: browser.run(time) != before)
    browser.press(".sample .play")
    stopped = browser.run(time)
    still = "return new Promise((done) => setTimeout(() => done(true), 300))"
    assert browser.run(still) and browser.run(time) == stopped


def test_layers_can_be_switched_off_and_on(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["pretrain"])
    played(browser)
    for layer in LAYERS:
        panel = browser.one(f".sample [data-layer={layer}]")
        assert panel.is_displayed()
        browser.press(f"#layers input[value={layer}]")
        assert not panel.is_displayed()
        browser.press(f"#layers input[value={layer}]")
        assert panel.is_displayed()
    browser.run("document.querySelectorAll('.play').forEach((button) => button.click())")
    with_outlines = canvas(browser, "kept")
    browser.press("#layers input[value=outlines]")
    assert canvas(browser, "kept") != with_outlines


def test_values_are_told_under_the_pointer_and_by_the_arrow_keys(
    browser: Browser, pages: dict[str, Path]
) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open(pages["pretrain"])
    chart = browser.one("[data-chart=held_out] svg[tabindex]")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chart)
    ActionChains(browser.driver).move_to_element(chart).perform()
    note = browser.one("[data-chart=held_out] .tip")
    assert note.is_displayed() and "held-out clips" in note.text
    browser.run("arguments[0].focus()", chart)
    ActionChains(browser.driver).send_keys(*[Keys.ARROW_RIGHT] * 9).perform()
    assert "0.4" in note.text.split()  # at the last epoch, 1 - 0.1 * 6


def test_the_axis_and_the_legend_switch(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["pretrain"])
    name = "[data-chart=held_out] .axis-name"
    assert browser.one(name).text == "epoch"
    browser.press("#axis label:nth-of-type(3)")
    assert browser.one(name).text == "hours of training"
    assert len(browser.all("[data-chart=held_out] path.curve")) == 3
    browser.press("[data-chart=held_out] .legend button")
    assert len(browser.all("[data-chart=held_out] path.curve")) == 2


def test_a_cell_of_the_confusions_lists_its_clips(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["finetune"])
    before = [line.text for line in browser.all(".clip-list li")]
    assert len(before) == 3 and IMAGE in before[0]
    browser.press(".confusion tbody tr:nth-child(2) td.right button")
    links = browser.all(".clip-list a")
    assert [link.get_attribute("title") for link in links] == [f"/videos/{n}" for n in HOSTILE]
    assert (
        links[0].get_attribute("href")
        == "file:///videos/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.mp4"
    )
    browser.press(".clips .plain-button")
    assert [line.text for line in browser.all(".clip-list li")] == before


@pytest.mark.parametrize("name", ["pretrain", "finetune", "comparison"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name], width=360, height=740)
    wide = "return [document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert browser.run(wide) == [360, 360]


def test_it_prints_in_light_colours_without_its_controls(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["finetune"], theme="dark")
    paper = browser.pdf()
    assert paper.startswith(b"%PDF") and paper.count(b"/Type /Page\n") > 1
    browser.media("dark", medium="print")
    assert brightness(browser.screenshot()) > 250
    controls = browser.all(".bar, #axis, #layers, .player, .copy")
    assert controls and not any(control.is_displayed() for control in controls)
    folded = "return document.querySelectorAll('details:not([open])').length"
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(folded) == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(folded) > 0


def test_curves_of_several_runs_have_colours_of_their_own(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["comparison"])
    colours = browser.run(
        "return [...document.querySelectorAll('[data-chart=speed] path.curve')]"
        ".map((curve) => getComputedStyle(curve).stroke)"
    )
    assert len(colours) == 2 and len(set(colours)) == 2
