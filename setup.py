"""Builds the compiled part with CMake; everything else is in pyproject.toml.

NABLABRAGG_BUILD_DIR in the environment names a CMake build folder that is configured already (with
NABLA_PYTHON=ON) and is used as it is.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r"project\(nablabragg VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
# The list of Debian's packages that ./dev installs
PACKAGES = re.search(r"^base_packages=\((.*?)\)", (ROOT / "dev").read_text(), re.S | re.M)[1].split() + [
    "libceres-dev",
    "pybind11-dev",
    "python3-dev",
]
OPTIONS = [
    "-DCMAKE_BUILD_TYPE=Release", "-DNABLA_PYTHON=ON",
    "-DNABLA_TESTS=OFF", "-DNABLA_BENCH=OFF", "-DNABLA_INVENTORY=OFF",
    f"-DPython_EXECUTABLE={sys.executable}",
]  # fmt: skip


def refuse(problem):
    sys.exit(
        f"nablabragg is compiled when it is installed, and {problem}.\n"
        f"On Debian 12: apt-get install {' '.join(PACKAGES)}\n"
        "(docs/install.md: wheels and packages that need no compiler)"
    )


def check_tools():
    """Says what is missing before anything is compiled."""
    if not shutil.which("cmake"):
        refuse("there is no cmake")
    compiler = os.environ.get("CXX", "").split() or ["g++" if shutil.which("g++") else "c++"]
    if not shutil.which(compiler[0]):
        refuse("there is no C++ compiler")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "concepts.cpp")
        source.write_text("#include <concepts>\n#include <span>\nstd::integral auto n = 1; int main() {}\n")
        works = subprocess.run(
            [*compiler, "-std=c++20", "-fsyntax-only", str(source)], capture_output=True, text=True
        )
    if works.returncode:
        refuse(f"{' '.join(compiler)} takes no C++20 (g++ 12 or newer, or clang 14)")


def configure(build):
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(build), *generator, *OPTIONS], capture_output=True, text=True
    )
    if done.returncode:
        said = re.search(r"CMake Error at.*?(?:\n\n\n|\Z)", done.stderr, re.S)
        print(said[0].strip() if said else done.stderr, file=sys.stderr)
        refuse("something that it needs was not found (CMake's words are above)")


class CMakeBuild(build_ext):
    def build_extension(self, extension):
        build = os.environ.get("NABLABRAGG_BUILD_DIR", "")
        if not build:
            check_tools()
            build = pathlib.Path(self.build_temp).resolve()
            build.mkdir(parents=True, exist_ok=True)
            configure(build)
        jobs = str(self.parallel or os.cpu_count())
        subprocess.check_call(
            ["cmake", "--build", str(build), "--target", "nablabragg_python", "nablabragg", "--parallel", jobs]
        )
        target = pathlib.Path(self.get_ext_fullpath(extension.name))
        program = target.parent / "bin" / "nablabragg"
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(pathlib.Path(build, "python", "nablabragg", target.name), target)
        shutil.copy2(pathlib.Path(build, "nablabragg"), program)


setup(
    version=VERSION,
    ext_modules=[Extension("nablabragg._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
