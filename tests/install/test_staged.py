"""What `cmake --install` puts into a folder works from there: the program, its pages, its plugins."""

import gzip
import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("NABLABRAGG_BUILD_DIR", "no-build"))
IMAGE = "-corrected -cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 16 -pixel 1 -pngfile image.png".split()


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", folder, "--component", "program"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def run(prefix, folder, *words):
    return subprocess.run(
        [prefix / "bin" / "nablabragg", *words], cwd=folder, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_the_program_makes_a_picture(prefix, tmp_path):
    done = run(prefix, tmp_path, *IMAGE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "image.png").read_bytes().startswith(b"\x89PNG")


def test_man_pages_completion_documents_and_examples_are_there(prefix):
    share = prefix / "share"
    page = gzip.decompress((share / "man/man1/nablabragg.1.gz").read_bytes()).decode()
    assert page.startswith(".TH NABLABRAGG 1 ")
    for name in (
        "man/man1/nablabragg-show.1.gz",
        "bash-completion/completions/nablabragg",
        "zsh/vendor-completions/_nablabragg",
        "fish/vendor_completions.d/nablabragg.fish",
        "doc/nablabragg/README.md",
        "doc/nablabragg/docs/flags.md",
    ):
        assert (share / name).is_file(), name
    assert os.access(share / "doc/nablabragg/examples/ubiquitin/run.sh", os.X_OK)


def test_a_plugin_is_looked_for_beside_the_program_or_missed_in_a_sentence(prefix, tmp_path):
    place = prefix / "lib" / "nablabragg" / "libnablabragg_cuda.so"
    without = run(prefix, tmp_path, *IMAGE, "-device", "cuda")
    assert without.returncode == 2
    assert "installed without libnablabragg_cuda.so" in without.stderr
    place.parent.mkdir(parents=True)
    place.write_text("no library")
    broken = run(prefix, tmp_path, *IMAGE, "-device", "cuda")
    assert broken.returncode == 2
    assert f"the plugin for GPUs could not be opened: {place}" in broken.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs_the_program_of_its_build(tmp_path):
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "nablabragg", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nablabragg ")
