"""Every command and code block of the documents runs and prints what is shown, or says why not."""

import collections
import importlib.util
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import documents  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGES = documents.pages_of(REPOSITORY)
SLOW = "NABLABRAGG_SLOW_DOCS" in os.environ
RUN_HERE = {"slow"} if SLOW else set()
if importlib.util.find_spec("torch"):
    RUN_HERE.add("needs torch")
    if importlib.util.find_spec("h5py"):
        RUN_HERE.add("needs h5py")
# Pages whose first commands build the program: the reader has nothing but a clone.
BUILD_FIRST = ("README.md",)

# The blocks that do not run in this test.  One more is a decision: it is counted here.
MARKED = {
    "README.md": {"needs nanoBragg": 1, "slow": 1},
    "CONTRIBUTING.md": {"usage": 1},
    "docs/acceptance.md": {"slow": 1},
    "docs/anomalous.md": {"excerpt": 1},
    "docs/architecture.md": {"excerpt": 1},
    "docs/background.md": {"excerpt": 1},
    "docs/beamline.md": {"excerpt": 1},
    "docs/closed-form.md": {"excerpt": 1},
    "docs/crystals.md": {"excerpt": 2},
    "docs/detector-response.md": {"excerpt": 1, "slow": 1},
    "docs/diffuse.md": {"excerpt": 1},
    "docs/ensembles.md": {"needs h5py": 2, "usage": 3},
    "docs/geometry.md": {"excerpt": 1},
    "docs/gpu.md": {"slow": 1},
    "docs/gradients.md": {"excerpt": 1, "slow": 1},
    "docs/install.md": {"changes the machine": 2, "slow": 1},
    "docs/instruments.md": {"excerpt": 1, "usage": 5},
    "docs/measured-image.md": {"excerpt": 1, "needs the measured image": 1},
    "docs/performance-method.md": {"needs nanoBragg": 1, "needs perf": 1, "slow": 3},
    "docs/performance.md": {"needs nanoBragg": 2, "needs the port": 1, "slow": 1},
    "docs/physics.md": {"excerpt": 8},
    "docs/python.md": {"changes the machine": 2, "needs torch": 1},
    "docs/refinement.md": {"slow": 4, "usage": 2},
    "docs/series.md": {"slow": 2},
    "docs/start.md": {"slow": 1},
    "docs/vectorization.md": {"excerpt": 1, "slow": 2},
    "docs/view.md": {"needs a browser": 2, "slow": 2},
}


@pytest.fixture
def clone(tmp_path):
    """A folder with what a clone holds; the program of this build is at build/release, as README builds it."""
    ignored = shutil.ignore_patterns("build", ".git", ".cache", "__pycache__", ".pytest_cache")
    return pathlib.Path(shutil.copytree(REPOSITORY, tmp_path / "nablabragg", ignore=ignored, symlinks=True))


@pytest.fixture
def environment(clone):
    """Nothing in PATH but the system, unless the page is for those who have followed README."""
    system = f"{pathlib.Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    keep = {name: os.environ[name] for name in ("HOME", "LANG", "PYTHONPATH", "CCACHE_DIR") if name in os.environ}
    return {"PATH": system, "PYTHONDONTWRITEBYTECODE": "1"} | keep


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_is_written(page, clone, environment):
    build = pathlib.Path(os.environ.get("NABLABRAGG_BUILD_DIR") or REPOSITORY / "build" / "release")
    if not (SLOW and page in BUILD_FIRST):
        (clone / "build").mkdir()
        (clone / "build" / "release").symlink_to(build.resolve())
    if page not in BUILD_FIRST:
        environment["PATH"] = f"{clone}/build/release:{environment['PATH']}"
    blocks = documents.blocks_of(page, PAGES[page])
    ran = documents.run_page(blocks, clone, environment, markers=RUN_HERE)
    print(f"{page}: {ran} blocks ran")


def test_what_does_not_run_is_marked_and_counted():
    found = {}
    for page, text in PAGES.items():
        count = collections.Counter(block.marker for block in documents.blocks_of(page, text) if block.marker)
        if count:
            found[page] = dict(sorted(count.items()))
    for page, count in found.items():
        print(page, *(f"{marker}: {number}" for marker, number in count.items()), sep="; ")
    assert found == MARKED


def test_every_example_is_run_by_a_page():
    runnable = "".join(
        block.text
        for page, text in PAGES.items()
        for block in documents.blocks_of(page, text)
        if not block.marker or block.marker in ("needs torch", "needs h5py")
    )
    examples = [path for path in (REPOSITORY / "examples").rglob("*") if path.suffix in (".py", ".sh")]
    missing = [str(path.relative_to(REPOSITORY)) for path in examples if path.name not in runnable]
    assert len(examples) > 3 and missing == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert documents.broken_links(page, PAGES[page], REPOSITORY) == []


def run(tmp_path, text, **options):
    blocks = documents.blocks_of("page.md", text)
    return documents.run_page(blocks, tmp_path, {"PATH": os.environ["PATH"]}, **options)


def block(language, *lines):
    return "\n".join([f"```{language}", *lines, "```", ""])


def test_blocks_of_a_page_share_a_shell_and_a_namespace(tmp_path):
    page = block("sh", "export A=3", "cd ..") + block("python", "x = 2") + block("sh", 'test "$A" = 3')
    page += block("python", ">>> x", "2") + block("python", "print(x + 1)") + block("text", "3")
    assert run(tmp_path, page) == 5


@pytest.mark.parametrize(
    "page, complaint",
    [
        (block("sh", "echo before", "false", "echo behind"), "exit code 1"),
        (block("sh", "no_such_program_here"), "exit code 127"),
        (block("sh", "false | true"), "exit code 1"),
        (block("sh", "sleep 60"), "takes more than 1 s"),
        (block("sh", "echo 1.24") + block("text", "1.3"), "prints\n1.24"),
        (block("sh", "echo 1 2") + block("text", "1"), "prints\n1 2"),
        (block("console", "$ echo 1", "2"), "prints\n1"),
        (block("console", "1"), "begins with"),
        (block("python", ">>> 1 + 1", "3"), "Got"),
        (block("text", "3"), "no block above"),
    ],
)
def test_what_a_page_should_not_show_is_found(tmp_path, page, complaint):
    with pytest.raises(documents.Mistake, match=complaint):
        run(tmp_path, page, seconds=1)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("Run\n\n    nablabragg\n", "indented code"),
        ("<!-- tomorrow -->\n" + block("sh", "true"), "no marker"),
        (block("yaml", "a: b"), "needs a marker"),
        ("```sh\ntrue\n", "does not end"),
    ],
)
def test_code_that_would_not_run_unseen_is_found(text, complaint):
    with pytest.raises(documents.Mistake, match=complaint):
        documents.blocks_of("page.md", text)


def test_slow_blocks_wait_for_the_slow_run(tmp_path):
    page = "<!-- slow -->\n" + block("sh", "touch ran")
    assert run(tmp_path, page) == 0 and not (tmp_path / "ran").exists()
    assert run(tmp_path, page, markers={"slow"}) == 1 and (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "shown, printed, same",
    [
        ("a  b\n", "a b", True),
        ("5.12e+24 m", "5.1234e+24 m", True),
        ("5.12e+24", "5.13e+24", False),
        ("45.65", "45.6509", True),
        ("12 spots", "13 spots", False),
        ("took 3 s", "took 3 ms", False),
        ("[1.0, 2.00]", "[1.04, 2.004]", True),
        ("[1.0, 2.00]", "[1.04, 2.01]", False),
        ("... max = 3 ...", "a b max = 3 c", True),
        ("... max = 3 ...", "a b max = 4 c", False),
        ("a ... c", "a c", True),
        ("a ...", "b c", False),
        ("... c", "a b", False),
    ],
)
def test_numbers_count_to_the_digits_that_are_shown(shown, printed, same):
    assert documents.is_shown(shown, printed) == same


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "there.md").touch()
    text = "[a](there.md#part) [b](https://example.org) [c](nowhere.md)"
    assert documents.broken_links("README.md", text, tmp_path) == ["nowhere.md"]
