"""The page of nablabragg view in a browser: headless Chromium, driven through Debian's chromium-driver.

    NABLA_PROGRAM=build/release/nablabragg /usr/bin/python3 -m pytest tests/page

./dev check page runs it.
"""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import time
import urllib.parse

import numpy as np
import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (Debian: python3-selenium)")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PROGRAM = os.environ["NABLA_PROGRAM"]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PIXELS = 256
MODEL = (
    "-corrected -cell 40 50 60 90 90 90 -default_F 200 -N 30 -gauss_xtal -mosaic 0.3 -mosaic_model gaussian -lambda 1 "
    f"-distance 100 -pixel 0.2 -detpixels {PIXELS} -fluence 1e27 -water 0.05 -misset 10.08 19.95 30.06 "
)
SAMPLED = MODEL.replace("-mosaic_model gaussian", "-mosaic_domains 10 -oversample 1")
WHITE = 400


@contextlib.contextmanager
def served(driver, folder, arguments):
    """The address of a page and its process, which ends after the browser has left the page."""
    with subprocess.Popen(
        [PROGRAM, "view", "--no-browser", *shlex.split(arguments)], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            driver.get("about:blank")
            process.send_signal(signal.SIGINT)
            process.wait(20)


@contextlib.contextmanager
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1400,900", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def driver():
    with browser() as made:
        yield made


@pytest.fixture(autouse=True)
def quiet_console(driver):
    driver.get_log("browser")
    yield
    # What Chromium says of the tests' own reading of the canvas is not the page's.
    wrong = [entry for entry in driver.get_log("browser")
             if entry["level"] in ("SEVERE", "WARNING") and "getImageData" not in entry["message"]]
    assert wrong == []


def wait_for(driver, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    problem = driver.execute_script("return document.getElementById('problem').textContent")
    raise AssertionError(f"not within {seconds} s; the page says: {problem!r}")


def rests(driver):
    return int(driver.execute_script("return document.body.dataset.rest ?? 0"))


@contextlib.contextmanager
def rest_after(driver):
    """Waits, after the block, until the image is at rest anew."""
    before = rests(driver)
    yield
    wait_for(driver, lambda: rests(driver) > before)


def load(driver, address, **state):
    driver.get("about:blank")
    driver.get(address + ("#" + urllib.parse.quote(json.dumps(state)) if state else ""))
    wait_for(driver, lambda: rests(driver) > 0)


def element(driver, name):
    return driver.find_element(By.ID, name)


def grey(driver, canvas="image", width=PIXELS, height=PIXELS):
    """The red of the canvas' points, from its corner on."""
    script = """const c = document.getElementById(arguments[0]);
        const data = c.getContext('2d').getImageData(0, 0, arguments[1], arguments[2]).data;
        return Array.from({length: data.length / 4}, (_, i) => data[4 * i]);"""
    return np.array(driver.execute_script(script, canvas, width, height)).reshape(height, width)


def load_pixel_by_pixel(driver, address, **state):
    """Grey, linear, a point for each pixel, from the canvas' corner on."""
    load(driver, address, **state)
    width, height = driver.execute_script("const c = document.getElementById('image'); return [c.width, c.height]")
    assert width >= PIXELS and height >= PIXELS
    load(driver, address, colors="grey", scale="linear", white=WHITE,
         seen={"zoom": 1, "x": width / 2, "y": height / 2}, **state)


def image_of(folder, command_line):
    words = shlex.split(command_line)
    assert words[0] == "nablabragg" and words[-2:] == ["-floatfile", "image.bin"]
    subprocess.run([PROGRAM, *words[1:], "-quiet"], cwd=folder, check=True)
    return np.fromfile(pathlib.Path(folder) / "image.bin", dtype=np.float32).reshape(PIXELS, PIXELS)


def expect_canvas_shows(driver, photons, canvas="image"):
    """But for the cross of the beam, drawn over it, and one step of 255, the table's."""
    shown, wanted = grey(driver, canvas), np.clip(photons / WHITE, 0, 1) * 255
    differs = np.abs(shown - wanted) > 1.6
    places = np.argwhere(differs)
    assert len(places) <= 80, f"{len(places)} points differ"
    if len(places):
        assert np.ptp(places, axis=0).max() <= 18, "points differ beside the cross"
    assert (shown > 20).sum() > 50


def command_line(driver):
    return driver.execute_script("return document.getElementById('command-line').textContent")


def drag(driver, canvas, by, steps=4):
    chain = ActionChains(driver, duration=40).move_to_element_with_offset(canvas, 60, -40).click_and_hold()
    for _ in range(steps):
        chain.move_by_offset(by[0] // steps, by[1] // steps)
    chain.release().perform()


def test_it_loads_and_shows_the_image_of_its_command_line(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        load_pixel_by_pixel(driver, address)
        expect_canvas_shows(driver, image_of(tmp_path, command_line(driver)))
        assert "nb.parse(" in driver.execute_script("return document.getElementById('python').textContent")
        json.loads(driver.execute_script("return document.getElementById('experiment').textContent"))


@pytest.mark.parametrize("model", [MODEL, SAMPLED])
def test_a_drag_changes_the_image_as_the_command_line_does(driver, tmp_path, model):
    with served(driver, tmp_path, model) as (address, _):
        load_pixel_by_pixel(driver, address)
        before, line = grey(driver), command_line(driver)
        with rest_after(driver):
            drag(driver, element(driver, "image"), (24, 12))
        assert (grey(driver) != before).sum() > 100
        assert command_line(driver) != line and "-misset" in command_line(driver)
        expect_canvas_shows(driver, image_of(tmp_path, command_line(driver)))


def test_a_reload_and_another_tab_show_the_same(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        load_pixel_by_pixel(driver, address)
        with rest_after(driver):
            drag(driver, element(driver, "image"), (20, 8))
        kept, line, where = grey(driver), command_line(driver), driver.current_url
        driver.refresh()
        wait_for(driver, lambda: rests(driver) > 0)
        assert command_line(driver) == line
        assert (grey(driver) == kept).all()
        driver.switch_to.new_window("tab")
        try:
            driver.get(where)
            wait_for(driver, lambda: rests(driver) > 0)
            assert command_line(driver) == line
            with rest_after(driver):  # both work
                element(driver, "image").send_keys(Keys.ARROW_RIGHT)
            assert command_line(driver) != line
        finally:
            driver.close()
            driver.switch_to.window(driver.window_handles[0])
        assert command_line(driver) == line
        with rest_after(driver):
            element(driver, "image").send_keys(Keys.ARROW_RIGHT)
        assert command_line(driver) != line


def test_a_slider_and_a_field_change_the_image(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        load_pixel_by_pixel(driver, address)
        field = driver.find_element(By.CSS_SELECTOR, "input[type=number][data-name=mosaic_spread]")
        with rest_after(driver):
            field.clear()
            field.send_keys("0.8", Keys.ENTER)
        assert "0.8" in command_line(driver)
        expect_canvas_shows(driver, image_of(tmp_path, command_line(driver)))
        slider = driver.find_element(By.CSS_SELECTOR, "input[type=range][data-name=distance]")
        line = command_line(driver)
        with rest_after(driver):
            slider.send_keys(Keys.ARROW_RIGHT)
        assert command_line(driver) != line


def test_the_wheel_zooms_where_the_pointer_is_and_keys_show_all(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        load(driver, address)
        canvas = element(driver, "image")
        before = grey(driver)
        origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(canvas)
        ActionChains(driver).scroll_from_origin(origin, 0, -400).perform()
        wait_for(driver, lambda: (grey(driver) != before).any())
        assert json.loads(urllib.parse.unquote(driver.current_url.split("#")[1]))["seen"]["zoom"] > 2
        canvas.send_keys("0")
        wait_for(driver, lambda: (grey(driver) == before).all())


def test_a_click_traces_the_pixel(driver, tmp_path):
    with served(driver, tmp_path, SAMPLED) as (address, _):
        load_pixel_by_pixel(driver, address)
        canvas = element(driver, "image")
        left, top = -(canvas.size["width"] // 2), -(canvas.size["height"] // 2)
        ActionChains(driver).move_to_element_with_offset(canvas, left + 40, top + 30).click().perform()
        wait_for(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#steps table tbody tr"))
        rows = driver.find_elements(By.CSS_SELECTOR, "#steps table tbody tr")
        assert len(rows) == 10  # of ten domains
        fast, slow = (int(element(driver, name).get_attribute("value")) for name in ("fast", "slow"))
        assert abs(fast - 40) <= 2 and abs(slow - 30) <= 2
        photons = float(driver.find_element(By.CSS_SELECTOR, "#steps p").text.split()[0])
        assert photons == pytest.approx(image_of(tmp_path, command_line(driver))[slow, fast], rel=1e-6)
        wait_for(driver, lambda: "hkl" in element(driver, "cursor").text)


def test_the_derivative_is_red_and_blue(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        load(driver, address, beside="slopes", slope="misset[1]")
        script = """const c = document.getElementById('other'), w = c.width, h = c.height;
            const data = c.getContext('2d').getImageData(0, 0, w, h).data;
            let red = 0, blue = 0;
            for (let i = 0; i < data.length; i += 4) {
              red += data[i] > data[i + 2] + 60;
              blue += data[i + 2] > data[i] + 60;
            }
            return [red, blue];"""
        red, blue = driver.execute_script(script)
        assert red > 100 and blue > 100
        assert "misset[1]" in element(driver, "other-caption").text


def test_a_measured_image_has_the_colours_of_the_image(driver, tmp_path):
    subprocess.run([PROGRAM, *shlex.split(MODEL), "-seed", "1", "-noisefile", "seen.img", "-quiet"], cwd=tmp_path, check=True)
    seen = np.fromfile(tmp_path / "seen.img", dtype=np.uint16)[-PIXELS * PIXELS:].reshape(PIXELS, PIXELS) - 40.0
    with served(driver, tmp_path, "seen.img " + MODEL) as (address, _):
        load_pixel_by_pixel(driver, address, beside="measured")
        expect_canvas_shows(driver, seen, "other")


def test_refining_finds_the_measured_image(driver, tmp_path):
    right = MODEL.replace("10.08 19.95 30.06", "10 20 30")
    subprocess.run([PROGRAM, *shlex.split(right), "-seed", "1", "-noisefile", "seen.img", "-quiet"], cwd=tmp_path, check=True)
    with served(driver, tmp_path, "seen.img " + MODEL) as (address, _):
        load(driver, address, beside="difference")
        before = float(element(driver, "squares").text)
        with rest_after(driver):
            element(driver, "refine").click()
        wait_for(driver, lambda: element(driver, "progress").text.startswith("refined"))
        assert float(element(driver, "squares").text) < before / 2
        value = driver.execute_script("return document.querySelector('input[type=number][data-name=\"misset[0]\"]').valueAsNumber")
        assert value == pytest.approx(10, abs=0.01)


def test_a_wrong_token_shows_nothing(driver, tmp_path):
    with served(driver, tmp_path, MODEL) as (address, _):
        base = address[: address.index("/", 8)]
        driver.get(base + "/" + "0" * 32 + "/")
        assert "there is nothing here" in driver.page_source
        assert [entry for entry in driver.get_log("browser") if "404" not in entry["message"]] == []


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_closed_tab_stops_the_computing(driver, tmp_path):
    minutes = SAMPLED.replace("-mosaic_domains 10 -oversample 1", "-mosaic_domains 4000 -oversample 8").replace(
        f"-detpixels {PIXELS}", "-detpixels 1024").replace("-gauss_xtal ", "")
    with served(driver, tmp_path, minutes) as (address, process):
        driver.switch_to.new_window("tab")
        driver.get(address)
        time.sleep(2)
        begin = cpu_seconds(process)
        time.sleep(1)
        assert cpu_seconds(process) - begin > 0.3, "it was not computing"
        driver.close()
        driver.switch_to.window(driver.window_handles[0])
        time.sleep(2)
        begin = cpu_seconds(process)
        time.sleep(1)
        assert cpu_seconds(process) - begin < 0.1
