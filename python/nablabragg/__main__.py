"""python -m nablabragg: the program, where it was installed with the module."""

import os
import pathlib
import sys


def main():
    module = pathlib.Path(__file__).resolve().parent
    places = [
        module / "bin" / "nablabragg",  # of a wheel
        module.parents[1] / "nablabragg",  # of a build folder
        module.parents[3] / "bin" / "nablabragg",  # of Debian's packages
    ]
    # The command that a wheel installs is this function.
    this = pathlib.Path(sys.argv[0]).resolve()
    for program in places:
        if program.is_file() and program != this:
            os.execv(program, [program, *sys.argv[1:]])
    sys.exit(
        "nablabragg: error: the program was not installed with the Python module; Debian's package nablabragg "
        "or a wheel of ./dev package has it"
    )


if __name__ == "__main__":
    main()
