"""The page: what is in it, and that it works in a real browser."""

import base64
import io
import json
import re
import time
import warnings
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Browser, find
from PIL import Image

from mini_sora import MiniSora
from mini_sora.__main__ import main
from mini_sora.gallery import Gallery, gallery, picture
from mini_sora.presets import PRESETS

SIZE = 3_000_000


def test_a_picture_holds_all_frames_in_rows():
    frames = np.random.default_rng(0).integers(0, 256, (21, 8, 16, 3), dtype=np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture(frames).split(",")[1]))))
    assert sheet.shape == (2 * 8, 16 * 16, 3)
    assert np.array_equal(sheet[8:16, 4 * 16 : 5 * 16], frames[20])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert main(["gallery", "-o", str(path)]) == 0
    return path


def test_the_page_is_one_small_file_with_everything(page):
    text = page.read_text()
    assert len(text) < SIZE and not re.search(r'(src|href)="(?!#|data:)', text)
    data = json.loads(re.search(r'<script id="data".*?>(.*?)</script>', text, re.DOTALL)[1])
    titles = [section["title"] for section in data["sections"]]
    assert {"Text to video", "Animate a picture", "Extend", "Upscale", "A minute"} <= set(titles)
    clips = [clip for section in data["sections"] for card in section["cards"] for clip in card["clips"]]
    assert all(clip["alt"] for clip in clips) and max(clip["frames"] for clip in clips) == 481
    assert any(card.get("right") for card in data["sections"][0]["cards"]) and data["rows"]


def test_the_bar_moves_within_the_minute(monkeypatch):
    simple, told = MiniSora.from_pretrained("simple"), []
    monkeypatch.setattr(Gallery, "sections", lambda self: [("A", "", list), ("A minute", "", self.minute)])
    monkeypatch.setattr(simple, "generate", partial(simple.generate, steps=1))
    gallery(simple, "simple", progress=lambda *args, name: told.append((*args, name)))
    assert told[:2] == [(0, 2, "A"), (1, 2, "A minute")] and told[-1][0] == pytest.approx(2)
    assert len([done for done, *_ in told if 1 < done < 2]) > 10


def test_a_model_is_shown_at_what_its_families_have():
    def titles(*families):
        config = replace(PRESETS["tiny"].model, families=families)
        return [title for title, _, _ in Gallery(SimpleNamespace(config=config)).sections()]

    assert "A minute" in titles("shapes-simple") and "Worlds" not in titles("shapes-simple")
    assert "Any frame" in titles("shapes-simple")
    assert titles("bounce") == ["Text to video", "From noise to a clip", "Worlds"]
    plain = Gallery(SimpleNamespace(config=PRESETS["quick"].model)).sections()
    assert [title for title, _, _ in plain] == ["Text to video", "From noise to a clip"], "shown nothing else"


def test_wrong_names_are_refused(tmp_path, capsys):
    assert main(["gallery", "-o", str(tmp_path / "page.txt")]) == 2
    assert ".html" in capsys.readouterr().err


@pytest.fixture(scope="module")
def chromium():
    path = find()
    if not path:
        warnings.warn(
            "no page was opened: there is no Chromium, and apt-get could not install one", stacklevel=1
        )
        pytest.skip("there is no Chromium")
    return path


PIXELS = """(i) => { const c = document.querySelectorAll("canvas")[i];
    return Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data).join() }"""
WAIT = "new Promise(done => setTimeout(done, {}))"


def test_the_page_works_in_a_browser(chromium, page):
    with Browser(chromium) as browser:
        browser.open(page.as_uri())
        count = browser.run('document.querySelectorAll("canvas").length')
        assert count == browser.run('document.querySelectorAll("canvas[role=img][aria-label]").length') > 20
        until = time.monotonic() + 20

        def empty():
            before[:] = [browser.run(f"({PIXELS})({i})") for i in range(count)]
            return not all(re.search(r"[1-9]\d*,\d+,\d+,255", pixels) for pixels in before)

        before = []
        while empty():
            assert time.monotonic() < until, "a canvas is empty"
        browser.run(WAIT.format(700))
        after = [browser.run(f"({PIXELS})({i})") for i in range(count)]
        assert sum(a != b for a, b in zip(before, after, strict=True)) > count / 4, "the clips do not move"

        browser.press(" ", "Space")
        assert browser.run('document.getElementById("play").textContent') == "Play"
        browser.run(WAIT.format(300))
        still = [browser.run(f"({PIXELS})({i})") for i in range(count)]
        browser.run(WAIT.format(400))
        assert still == [browser.run(f"({PIXELS})({i})") for i in range(count)], "they move while stopped"

        slider = 'document.querySelector("input[type=range]")'
        moved = f"{slider}.focus(), {slider}.value"
        last = browser.run(moved)
        browser.press("ArrowLeft", "ArrowLeft")
        assert int(browser.run(moved)) == int(last) - 1, "the slider has no keys"
        beside = f'{slider}.closest("article").querySelector("canvas")'
        browser.run(f'{slider}.value = 0; {slider}.dispatchEvent(new Event("input"))')
        index = browser.run(f'[...document.querySelectorAll("canvas")].indexOf({beside})')
        assert browser.run(f"({PIXELS})({index})") != still[index], "the slider changes nothing"
        assert browser.run(f'{slider}.getAttribute("aria-valuetext")').startswith("step 1 of")
        assert browser.requests() == []


def test_the_page_fits_a_telephone(chromium, page):
    with Browser(chromium, 400, 800) as browser:
        browser.ask(
            "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
        )
        browser.open(page.as_uri())
        browser.run(WAIT.format(200))
        assert browser.run("document.documentElement.scrollWidth") <= 360
