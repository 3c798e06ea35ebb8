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

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r"project\(nablabragg VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


class CMakeBuild(build_ext):
    def build_extension(self, extension):
        build = os.environ.get("NABLABRAGG_BUILD_DIR", "")
        if not build:
            build = pathlib.Path(self.build_temp).resolve()
            build.mkdir(parents=True, exist_ok=True)
            generator = ["-G", "Ninja"] if shutil.which("ninja") else []
            subprocess.check_call(
                [
                    "cmake", "-S", str(ROOT), "-B", str(build), *generator,
                    "-DCMAKE_BUILD_TYPE=Release", "-DNABLA_PYTHON=ON",
                    "-DNABLA_TESTS=OFF", "-DNABLA_BENCH=OFF", "-DNABLA_INVENTORY=OFF",
                    f"-DPython_EXECUTABLE={sys.executable}",
                ]
            )  # fmt: skip
        jobs = str(self.parallel or os.cpu_count())
        subprocess.check_call(
            ["cmake", "--build", str(build), "--target", "nablabragg_python", "--parallel", jobs]
        )
        built = pathlib.Path(build, "python", *extension.name.split(".")[:-1])
        target = pathlib.Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(built / target.name, target)


setup(
    version=VERSION,
    ext_modules=[Extension("nablabragg._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
