"""A source distribution holds what it is compiled from, and says what is missing before it compiles."""

import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", BUILD_SDIST, folder], cwd=REPOSITORY, check=True, capture_output=True)
    (archive,) = folder.glob("nablabragg-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return archive


def pip_wheel(sdist, tmp_path, path):
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "NABLABRAGG_BUILD_DIR", "CXX")}
    return subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps",
         "--wheel-dir", tmp_path / "wheel", sdist],
        capture_output=True, text=True, env=clean | {"PATH": str(path)},
    )  # fmt: skip


def test_its_files_are_enough_to_configure(sdist, tmp_path):
    done = subprocess.run(
        ["cmake", "-S", sdist.parent / sdist.name.removesuffix(".tar.gz"), "-B", tmp_path, "-DNABLA_PYTHON=ON",
         "-DNABLA_TESTS=OFF", "-DNABLA_BENCH=OFF", "-DNABLA_INVENTORY=OFF", f"-DPython_EXECUTABLE={sys.executable}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_without_cmake_or_compiler_it_names_debians_packages(sdist, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    done = pip_wheel(sdist, tmp_path, tools)
    assert done.returncode != 0
    assert "nablabragg is compiled when it is installed, and there is no cmake." in done.stdout + done.stderr
    assert "apt-get install g++ cmake ninja-build" in done.stdout + done.stderr
    (tools / "cmake").symlink_to("/usr/bin/cmake")
    done = pip_wheel(sdist, tmp_path, tools)
    assert done.returncode != 0
    assert "there is no C++ compiler." in done.stdout + done.stderr


def test_a_library_that_is_missing_is_named_by_cmake_and_by_debian(sdist, tmp_path):
    without = tmp_path / "tools"
    without.mkdir()
    # A pkg-config that knows nothing
    for tool, text in {"pkg-config": "#!/bin/sh\nexit 1\n"}.items():
        (without / tool).write_text(text)
        (without / tool).chmod(0o755)
    done = pip_wheel(sdist, tmp_path, f"{without}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "something that it needs was not found" in done.stdout + done.stderr
    assert "libspng-dev" in done.stdout + done.stderr
