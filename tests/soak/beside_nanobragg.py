#!/usr/bin/env python3
"""Random command lines, run by nanoBragg and by nablabragg; their files are compared.

    tests/soak/beside_nanobragg.py BUILD_FOLDER [--nanobragg nanoBragg] [--count 300] [--seed 1] [--keep FOLDER]

nanoBragg is the program at NB_C_BIN, where --nanobragg does not name it: bl831's of 2026, compiled with -O3 alone.  The
reference engine's numbers must be nanoBragg's but for their last bit, the cpu engine's within 1e-5 of the largest one of
the image; integer, noise and PGM files of the reference engine must be the same where all its numbers are.  Exits with 1
where they are not; the command line is printed, and the files are kept in FOLDER (build/soak).  With -corrected, where
nanoBragg's image is another one, the cpu engine's must be within the same bound of the reference engine's.  The same seed
makes the same command lines.
"""

import argparse
import os
import pathlib
import random
import shlex
import shutil
import subprocess
import sys
import tempfile

import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FILES = ("float", "int", "noise", "pgm")


def uniform(low, high, digits=4):
    return lambda rng: [f"{rng.uniform(low, high):.{digits}g}"]


def whole(low, high):
    return lambda rng: [str(rng.randint(low, high))]


def one_of(*choices):
    return lambda rng: [rng.choice(choices)]


def several(count, make):
    return lambda rng: [word for _ in range(count) for word in make(rng)]


def nothing(_):
    return []


def axis(rng):
    """No axis of nearly no length."""
    return [f"{rng.choice((-1, 1)) * rng.uniform(0.2, 1):.3g}" for _ in range(3)]


# What is asked for, how often, and with what.  Lengths are small, so that a run takes a fraction of a second.
FLAGS = [
    ("-misset", 0.4, several(3, uniform(-180, 180))),
    ("-mosaic", 0.3, uniform(0, 3)),
    ("-mosaic_domains", 0.3, whole(1, 6)),
    ("-mosaic_seed", 0.1, whole(1, 999)),
    ("-fudge", 0.1, uniform(0.5, 2)),
    ("-lambda", 0.5, uniform(0.6, 3)),
    ("-energy", 0.2, uniform(5000, 18000, 6)),
    ("-distance", 0.5, uniform(40, 300)),
    ("-close_distance", 0.1, uniform(40, 300)),
    ("-pixel", 0.5, uniform(0.1, 3)),
    ("-Xbeam", 0.2, uniform(0, 60)),
    ("-Ybeam", 0.2, uniform(0, 60)),
    ("-Xclose", 0.1, uniform(0, 60)),
    ("-Yclose", 0.1, uniform(0, 60)),
    ("-ORGX", 0.1, uniform(0, 60)),
    ("-ORGY", 0.1, uniform(0, 60)),
    ("-pivot", 0.1, one_of("beam", "sample")),
    ("-detector_rotx", 0.2, uniform(-40, 40)),
    ("-detector_roty", 0.2, uniform(-40, 40)),
    ("-detector_rotz", 0.2, uniform(-180, 180)),
    ("-twotheta", 0.2, uniform(-40, 40)),
    ("-spindle_axis", 0.1, axis),
    ("-twotheta_axis", 0.05, axis),
    ("-curved_det", 0.1, nothing),
    ("-point_pixel", 0.1, nothing),
    ("-detector_abs", 0.2, uniform(20, 2000)),
    ("-detector_thick", 0.2, uniform(10, 1000)),
    ("-detector_thicksteps", 0.2, whole(1, 4)),
    ("-oversample_polar", 0.1, nothing),
    ("-oversample_omega", 0.1, nothing),
    ("-fluence", 0.3, lambda rng: [f"{10 ** rng.uniform(15, 30):.4g}"]),
    ("-flux", 0.1, lambda rng: [f"{10 ** rng.uniform(8, 14):.4g}"]),
    ("-exposure", 0.1, uniform(0.01, 10)),
    ("-beamsize", 0.1, uniform(0.005, 0.5)),
    ("-dispersion", 0.2, uniform(0, 4)),
    ("-dispsteps", 0.2, whole(1, 4)),
    ("-divergence", 0.1, uniform(0, 20)),
    ("-hdivrange", 0.1, uniform(0, 20)),
    ("-vdivrange", 0.1, uniform(0, 20)),
    ("-hdivsteps", 0.1, whole(1, 4)),
    ("-vdivsteps", 0.1, whole(1, 4)),
    ("-hdivstep", 0.05, uniform(3, 9)),
    ("-vdivstep", 0.05, uniform(3, 9)),
    ("-polar", 0.2, uniform(-1, 1)),
    ("-nopolar", 0.1, nothing),
    ("-osc", 0.2, uniform(0, 3)),
    ("-phistep", 0.1, uniform(0.3, 1)),
    ("-phisteps", 0.2, whole(1, 4)),
    ("-dmin", 0.1, uniform(1, 8)),
    ("-water", 0.2, uniform(0, 100)),
    ("-default_F", 0.3, uniform(0, 300)),
    ("-interpolate", 0.15, nothing),
    ("-nointerpolate", 0.3, nothing),
    ("-scale", 0.1, uniform(0.1, 10)),
    ("-pgmscale", 0.1, uniform(0.1, 10)),
    ("-adc", 0.1, uniform(0, 100)),
]
CONVENTIONS = ["", "-mosflm", "-adxv", "-denzo", "-xds", "-dials"]
SHAPES = ["", "-square_xtal", "-round_xtal", "-gauss_xtal", "-tophat_spots"]


def structure_factors(rng, folder):
    """A table with gaps, of P1."""
    # Within -2 to 2 interpolation is surrounded at 0 0 0 alone, so that the last bit of an index decides
    most = rng.choice((1, 3, 4, 5, 6, 7, 8))
    rows = [
        f"{h} {k} {l} {rng.uniform(0, 500):.3f}"
        for h in range(-most, most + 1) for k in range(-most, most + 1) for l in range(-most, most + 1)
        if rng.random() < 0.8
    ]
    (folder / "random.hkl").write_text("\n".join(rows or ["0 0 0 1"]) + "\n")


def sources(rng, folder):
    """Some metres upstream, each of its own wavelength [m]."""
    rows = [
        f"{-rng.uniform(5, 20):.6g} {rng.uniform(-0.05, 0.05):.4g} {rng.uniform(-0.05, 0.05):.4g} "
        f"{rng.uniform(0.5, 2):.4g} {rng.uniform(0.8, 1.2):.5g}e-10"
        for _ in range(rng.randint(1, 4))
    ]
    (folder / "random.sources").write_text("\n".join(rows) + "\n")


def matrix(rng, folder):
    """Reciprocal vectors as columns, close to a cube's: times the wavelength of 1 Angstrom."""
    edge = rng.uniform(20, 100)
    rows = [" ".join(f"{(i == j) / edge + rng.uniform(-0.1, 0.1) / edge:.8f}" for j in range(3)) for i in range(3)]
    (folder / "random.mat").write_text("\n".join(rows) + "\n")


def command_line(rng, folder):
    """What follows the name of the program, without its files."""
    if rng.random() < 0.1:
        matrix(rng, folder)
        words = ["-mat", "random.mat"]
    else:
        words = ["-cell", *(f"{rng.uniform(15, 120):.4g}" for _ in range(3))]
        words += rng.choice((["90", "90", "90"], ["90", "90", "120"], [f"{rng.uniform(75, 105):.4g}" for _ in range(3)]))
    if rng.random() < 0.1:
        sources(rng, folder)
        words += ["-sourcefile", "random.sources"]
    if rng.random() < 0.7:
        words += ["-N", str(rng.randint(1, 12))]
    else:
        for name in ("-Na", "-Nb", "-Nc"):
            words += [name, str(rng.randint(1, 20))]
    if rng.random() < 0.5:
        structure_factors(rng, folder)
        words += ["-hkl", "random.hkl"]
    else:
        words += ["-default_F", f"{rng.uniform(1, 300):.4g}"]
    edge = rng.randint(8, 48)
    words += ["-detpixels", str(edge), "-oversample", str(rng.choice((1, 1, 1, 2, 3)))]
    words += [word for word in (rng.choice(CONVENTIONS), rng.choice(SHAPES)) if word]
    for name, often, make in rng.sample(FLAGS, len(FLAGS)):
        if rng.random() < often * 0.6:
            words += [*name.split(), *make(rng)]
    if rng.random() < 0.1:
        words += ["-roi", *(str(end) for _ in range(2) for end in sorted(rng.sample(range(edge), 2)))]
    # Not what docs/differences.md puts right in both modes: Q-12 (numbers behind -misset_seed), Q-15 (phi of 0), Q-38 (an own
    # capture in no thickness); and round crystals exactly at a lattice point, as the direct beam in a pixel's middle is.
    if "-detector_thick" in words and "-detector_abs" in words and rng.random() < 0.3:
        words.append("-oversample_thick")
    words += ["-phi", f"{rng.choice((-1, 1)) * rng.uniform(1, 180):.4g}"]
    if {"-hdivsteps", "-vdivsteps", "-hdivstep", "-vdivstep"} & set(words):
        words.append("-square_div")  # an ellipse may hold no point of the grid: nanoBragg's image is NaN then
    if "-round_xtal" in words:
        for name in ("-Xbeam", "-Ybeam", "-Xclose", "-Yclose", "-ORGX", "-ORGY"):
            words += [name, f"{rng.uniform(0, 9):.5g}"]
    words += ["-seed", str(rng.randint(1, 9999))]
    if "-misset" not in words and rng.random() < 0.2:
        words += ["-misset", "random", "-misset_seed", str(rng.randint(1, 999))]
    return words


def run(program, words, folder, limit_s):
    """The files' contents by kind, or why there are none."""
    outputs = [word for kind in FILES for word in (f"-{kind}file", f"out.{kind}")]
    for kind in FILES:
        (folder / f"out.{kind}").unlink(missing_ok=True)
    try:
        ended = subprocess.run([program, *outputs, "-noprogress", *words], cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return None, f"did not end within {limit_s} s"
    if ended.returncode != 0 or not (folder / "out.float").exists():
        last = ended.stdout.decode(errors="replace").strip().splitlines()[-1:]
        return None, f"exit code {ended.returncode}: {' '.join(last)}"
    return {kind: (folder / f"out.{kind}").read_bytes() for kind in FILES if (folder / f"out.{kind}").exists()}, ""


def numbers(files):
    return np.frombuffer(files["float"], np.float32).astype(np.float64)


def difference(theirs, ours, engine, round_crystal):
    """What is wrong, or nothing."""
    a, b = numbers(theirs), numbers(ours)
    if a.size != b.size:
        return f"{b.size} pixels and not {a.size}"
    if not np.isfinite(a).all():
        return "" if np.array_equal(np.isfinite(a), np.isfinite(b)) or engine != "reference" else "other numbers are finite"
    largest = max(np.abs(a).max(), float(np.finfo(np.float32).tiny))
    if engine != "reference":
        off = np.abs(a - b).max() / largest
        return "" if off <= (1e-3 if round_crystal else 1e-5) else f"off by {off:.1e} of the largest number"
    last_bit = np.spacing(np.abs(a).astype(np.float32)).astype(np.float64)
    # Near lattice points of a round crystal nanoBragg's sinc3 is a difference of numbers that are nearly equal.
    allowed = 1e-3 * largest if round_crystal else 0
    wrong = np.abs(a - b) > np.maximum(1.01 * last_bit, allowed)
    if wrong.any():
        return f"{wrong.sum()} of {a.size} pixels differ, by up to {np.abs(a - b).max() / largest:.1e} of the largest"
    if theirs["float"] != ours["float"]:
        return ""
    other = [kind for kind in FILES[1:] if theirs.get(kind) != ours.get(kind)]
    return f"the {' and '.join(other)} file differs, and no number does" if other else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--nanobragg", default=os.environ.get("NB_C_BIN"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, default=REPOSITORY / "build/soak")
    options = parser.parse_args()
    if not options.nanobragg:
        sys.exit("beside_nanobragg: NB_C_BIN names no nanoBragg to compare with")
    theirs_program, ours_program = (str(pathlib.Path(p).resolve()) for p in (options.nanobragg, options.build / "nablabragg"))
    rng = random.Random(options.seed)
    compared = pixels = last_bits = left_out = refused = faults = 0
    for number in range(options.count):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            words = command_line(rng, folder)
            theirs, why_not = run(theirs_program, words, folder, 60)
            if theirs is None:
                left_out += 1
                continue
            found = []
            for engine in ("reference", "cpu"):
                ours, why = run(ours_program, ["-engine", engine, "-threads", "1", *words], folder, 60)
                wrong = why or difference(theirs, ours, engine, "-round_xtal" in words)
                if wrong:
                    found.append(f"{engine}: {wrong}")
                elif engine == "reference":
                    pixels += numbers(theirs).size
                    last_bits += int((numbers(theirs) != numbers(ours)).sum())
            reference, cpu = (run(ours_program, ["-corrected", "-engine", engine, "-threads", "1", *words], folder, 60)
                              for engine in ("reference", "cpu"))
            wrong = "" if reference[0] is None else cpu[1] or difference(reference[0], cpu[0], "cpu", "-round_xtal" in words)
            refused += reference[0] is None
            if wrong:
                found.append(f"-corrected, cpu: {wrong}")
            compared += 1
            if found:
                faults += 1
                kept = options.keep / f"beside-{options.seed}-{number}"
                shutil.copytree(folder, kept, dirs_exist_ok=True)
                print(f"{kept}: {'; '.join(found)}\n  {shlex.join(words)}", flush=True)
    print(f"{compared} command lines compared, {left_out} left out that nanoBragg did not run, {faults} differ; of {pixels} "
          f"pixels of the reference engine {last_bits} differ in their last bit; -corrected refused {refused}")
    sys.exit(1 if faults or not compared else 0)


if __name__ == "__main__":
    main()
