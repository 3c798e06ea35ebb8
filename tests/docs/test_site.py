"""The site and its pictures: links, the order of the pages, drawings that are the program's own numbers."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(REPOSITORY / "docs/site")]
import build  # noqa: E402
import cpp  # noqa: E402
import documents  # noqa: E402

DOCS = REPOSITORY / "docs"
DRAWN_PAGES = ("start.md", "concepts.md", "beamline.md", "recipes.md")
MADE = {"python-reference", "cpp-reference", "contributing", "changelog"}


def listed():
    index = (DOCS / "site/index.md").read_text()
    return [
        name
        for toctree in re.findall(r"```\{toctree\}\n(.*?)```", index, flags=re.S)
        for name in toctree.splitlines()
        if name and not name.startswith(":")
    ]


def test_the_site_lists_pages_that_exist_once_each():
    names = listed()
    assert len(names) > 30 and len(set(names)) == len(names)
    assert [name for name in names if name not in MADE and not (DOCS / f"{name}.md").exists()] == []


@pytest.mark.parametrize(
    "here, there",
    [
        ("[a](physics.md#blocks)", "[a](physics.md#blocks)"),
        ("[physics.md](physics.md)", "[The formula of a pixel](physics.md)"),
        ("[home](../README.md)", "[home](index.md)"),
        ("[rules](../CONTRIBUTING.md)", "[rules](contributing.md)"),
        ("[code](../include/nablabragg)", "`include/nablabragg`"),
        ("[run](../examples/python/one_pixel.py)", "[run](files/examples/python/one_pixel.py)"),
        ("![p](pictures/still.png)", "![p](pictures/still.png)"),
        ("[web](https://example.org)", "[web](https://example.org)"),
        ("[here](#blocks)", "[here](#blocks)"),
        ("```text\n[a](../README.md)\n```", "```text\n[a](../README.md)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(here, there, tmp_path):
    assert build.site_text(here, DOCS, tmp_path) == there


def test_a_file_that_the_site_links_to_is_carried_along(tmp_path):
    build.site_text("[run](../examples/python/one_pixel.py)", DOCS, tmp_path)
    carried = tmp_path / "files/examples/python/one_pixel.py"
    assert carried.read_bytes() == (REPOSITORY / "examples/python/one_pixel.py").read_bytes()


def test_what_a_reference_does_not_name_stands_at_its_end(tmp_path):
    page = build.python_page("- `simulate`\n\n- `rest`\n", {"Crystal": "class", "simulate": "function"})
    assert page.index("autofunction:: nablabragg.simulate") < page.index("autoclass:: nablabragg.Crystal")
    with pytest.raises(SystemExit, match="names nothing_like_it"):
        build.python_page("- `nothing_like_it`\n", {"simulate": "function"})


def test_pages_that_load_from_the_network_are_found(tmp_path):
    (tmp_path / "good.html").write_text('<a href="https://example.org">x</a><script src="_static/a.js"></script>')
    (tmp_path / "bad.html").write_text('<script src="https://example.org/a.js"></script>')
    (tmp_path / "bad.css").write_text("@font-face { src: url(https://example.org/f.woff) }")
    assert build.external_addresses(tmp_path) == ["bad.css", "bad.html"]


def test_pages_that_load_from_the_root_of_a_web_server_are_found(tmp_path):
    (tmp_path / "bad.css").write_text("@import url(/javascript/normalize.css/normalize.css);")
    assert build.external_addresses(tmp_path) == ["bad.css"]


def test_the_script_of_the_theme_is_one_file(tmp_path):
    for name in ("scripts", "styles"):
        (tmp_path / name).mkdir()
    (tmp_path / "scripts/gumshoe-patched.js").write_text("Gumshoe = 1;\n")
    (tmp_path / "scripts/furo.js").write_text(build.IMPORT + "new Gumshoe();\n")
    (tmp_path / "styles/furo.css").write_text("body {}\n")
    for _ in range(2):
        build.mend_theme(tmp_path)
        assert (tmp_path / "scripts/furo.js").read_text() == "Gumshoe = 1;\nnew Gumshoe();\n"


def test_long_names_in_tables_may_be_broken():
    row, line = "| ConventionsForceTheirPivotInCompatMode |", "ConventionsForceTheirPivotInCompatMode"
    assert build.site_text(row, DOCS, DOCS).count("<wbr>") == 6
    assert build.site_text(line, DOCS, DOCS) == line


def test_words_of_a_header_keep_their_code():
    import xml.etree.ElementTree as xml

    member = xml.fromstring(
        "<memberdef><briefdescription><para>Of <computeroutput>a*b</computeroutput> and c*d_.</para></briefdescription></memberdef>"
    )
    assert cpp.description(member) == r"Of ``a*b`` and c\*d\_."


@pytest.mark.parametrize("page", DRAWN_PAGES)
def test_pictures_are_drawn_by_commands_of_their_page(page):
    text = (DOCS / page).read_text()
    commands = "".join(block.text for block in documents.blocks_of(page, text) if not block.marker)
    pictures = documents.pictures_of(text)
    assert pictures
    for picture, name in pictures.items():
        assert (DOCS / picture).exists(), f"scripts/draw-pictures docs/{page}"
        assert name in commands or name == "refined.png", name


def test_pictures_of_the_pages_are_small():
    size = sum((DOCS / picture).stat().st_size for page in DRAWN_PAGES
               for picture in documents.pictures_of((DOCS / page).read_text()))  # fmt: skip
    assert size < 2.5e6


def test_drawings_of_the_conventions_are_what_the_program_says(tmp_path):
    folder = pathlib.Path(os.environ.get("NABLABRAGG_BUILD_DIR") or REPOSITORY / "build/release")
    subprocess.run([sys.executable, REPOSITORY / "scripts/draw-conventions", folder / "nablabragg", tmp_path], check=True)
    made = sorted(tmp_path.glob("*.svg"))
    assert [file.name for file in made] == sorted(file.name for file in (DOCS / "geometry").glob("*.svg"))
    for file in made:
        assert file.read_text() == (DOCS / "geometry" / file.name).read_text(), f"scripts/draw-conventions: {file.name}"
