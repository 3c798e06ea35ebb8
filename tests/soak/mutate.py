#!/usr/bin/env python3
"""Damages valid files of every format that the programs read, and looks at what the programs make of them.

    tests/soak/mutate.py BUILD_FOLDER [--count 10000] [--seed 1] [--only KIND ...] [--keep FOLDER]

Each file is damaged by flipped bits, missing and repeated pieces and lines, numbers that are NaN, infinite, too large
or no numbers, endless lines.  A program that reads it may refuse it or not, but: it ends within 20 s of processor time
and 4 GB, by itself, with one of its exit codes and a reason; it leaves no file behind when it refuses; and when it does not, its image holds numbers
(with nanoBragg's arithmetic: or a notice says that it does not).  Where HDF5 itself comes to its end at bytes that it
trusts, and gdb is there to tell, that is said and counted apart.  Exits with 1 where one does not; the file and the
command are then kept (in build/soak).  The same seed makes the same files.
"""

import argparse
import array
import collections
import gzip
import io
import json
import math
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SECONDS, MEMORY = 20, 4 << 30
WAIT_S = 6 * SECONDS  # for a program that other ones leave little of the processor
PIXELS = "-detpixels 16 -pixel 4".split()
RUN = "-N 3 -oversample 1 -fluence 1e24 -threads 1 -noprogress -floatfile image.f32".split()
IMAGE = PIXELS + RUN
CELL = "-cell 40 50 60 90 90 90".split()
PROTEIN = "-cell 50.84 42.77 28.95 90 90 90".split()


class Kind:
    """A format: a valid file, and a program that reads it."""

    def __init__(self, name, content, command, codes=(2, 3), inputs=(), binary=False, is_read=True, mended=None):
        self.name, self.content, self.command = name, content, command
        self.codes = codes  # of a refusal
        self.inputs = inputs  # other files, by name
        self.binary = binary
        self.is_read = is_read  # or refused by name
        self.mended = mended  # what every second damaged file goes through


# ---------------------------------------------------------------- damage


def damage(data, binary, rng):
    """The file after one to three accidents."""
    byte_accidents = [flip_bits, truncate, cut, repeat, overwrite, insert]
    text_accidents = [change_number, change_number, change_number, drop_line, repeat_line, swap_lines, join_lines, long_line]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        accidents = byte_accidents + ([change_word] * 4 if binary else text_accidents)
        data = rng.choice(accidents)(data, rng)
    return data


def piece(data, rng):
    begin = rng.randrange(len(data) + 1)
    return begin, min(len(data), begin + int(2 ** rng.uniform(0, 12)))


def flip_bits(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 2, 8)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def truncate(data, rng):
    return data[: rng.choice((0, 1, rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))]


def cut(data, rng):
    begin, end = piece(data, rng)
    return data[:begin] + data[end:]


def repeat(data, rng):
    begin, end = piece(data, rng)
    return data[:end] + data[begin:end] * rng.choice((1, 1, 100)) + data[end:]


def overwrite(data, rng):
    begin, end = piece(data, rng)
    return data[:begin] + rng.choice((b"\0", b"\xff", b" ", b"\n", b"9")) * (end - begin) + data[end:]


def insert(data, rng):
    begin, _ = piece(data, rng)
    return data[:begin] + rng.randbytes(rng.choice((1, 4, 512))) + data[begin:]


STRANGE = [
    "nan", "inf", "-inf", "-nan(0x7)", "1e999", "-1e999", "1e39", "-1e38", "1e30", "1e-320", "0", "-0", "-1", "0.0", "1e5",
    "2147483647", "-2147483648", "4294967296", "99999999999999999999", "9" * 400, "1e", "0x10", "1.5", "******", "",
    "?", ".", '"', "{", "}", "[]", "null", "1,5", "1.0(3", "NaN", "Infinity", "1d3", "true",
]  # fmt: skip
NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def change_number(data, rng):
    found = [match.span() for match in NUMBER.finditer(data[:200000])]
    if not found:
        return data
    begin, end = rng.choice(found)
    if rng.random() < 0.3:  # in the whole file
        return data.replace(data[begin:end], rng.choice(STRANGE).encode())
    return data[:begin] + rng.choice(STRANGE).encode() + data[end:]


def change_word(data, rng):
    """Of four or eight bytes, where a binary file has its numbers."""
    words = [struct.pack("<f", x) for x in (math.nan, math.inf, -math.inf, 1e38, -1.0, 0.0, 1e-40)]
    words += [struct.pack("<d", x) for x in (math.nan, math.inf, 1e300, -1e300, 5e-324)]
    words += [struct.pack("<i", x) for x in (-1, 0, 1, 2**31 - 1, -(2**31), 65536)]
    word = rng.choice(words)
    at = 4 * rng.randrange(max(1, len(data) // 4))
    return data[:at] + word * rng.choice((1, 1, 1, 50)) + data[at + len(word) :]


def lines_of(data):
    return data.splitlines(keepends=True) or [b""]


def drop_line(data, rng):
    lines = lines_of(data)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def repeat_line(data, rng):
    lines = lines_of(data)
    at = rng.randrange(len(lines))
    lines[at] *= rng.choice((2, 2, 2000))
    return b"".join(lines)


def swap_lines(data, rng):
    lines = lines_of(data)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def join_lines(data, rng):
    return data.replace(b"\n", rng.choice((b" ", b"", b"\r")))


def long_line(data, rng):
    begin, _ = piece(data, rng)
    return data[:begin] + rng.choice((b"1", b" ", b"x", b"1 ", b'"')) * rng.choice((5000, 3 << 20)) + data[begin:]


# ---------------------------------------------------------------- valid files

SYMMETRY = "x,y,z -x+1/2,-y,z+1/2 x+1/2,-y+1/2,-z -x,y+1/2,-z+1/2".split()


def amplitude(h, k, l):
    return 20 + (h * 37 + k * 91 + l * 53) % 97


def hkl_text():
    indices = range(-2, 3)
    rows = [f"{h} {k} {l} {amplitude(h, k, l)}.5\n" for h in indices for k in indices for l in indices]
    return ("# a list\n" + "".join(rows)).encode()


def unique():
    return [(h, k, l) for h in range(3) for k in range(3) for l in range(3) if (h, k, l) != (0, 0, 0)]


def sf_mmcif():
    text = "data_r1abcsf\n_cell.length_a 40\n_cell.length_b 50\n_cell.length_c 60\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
    text += "_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n"
    text += "".join(f"_refln.{item}\n" for item in ("index_h", "index_k", "index_l", "status", "F_meas_au", "F_meas_sigma_au"))
    return (text + "".join(f"{h} {k} {l} o {amplitude(h, k, l)}.25 1.5\n" for h, k, l in unique())).encode()


def xds_ascii():
    text = "!FORMAT=XDS_ASCII    MERGE=TRUE    FRIEDEL'S_LAW=TRUE\n!SPACE_GROUP_NUMBER=   19\n"
    text += "!UNIT_CELL_CONSTANTS=    40.000    50.000    60.000  90.000  90.000  90.000\n!NUMBER_OF_ITEMS_IN_EACH_DATA_RECORD=5\n"
    text += "!ITEM_H=1\n!ITEM_K=2\n!ITEM_L=3\n!ITEM_IOBS=4\n!ITEM_SIGMA(IOBS)=5\n!END_OF_HEADER\n"
    rows = [f"{h:6d}{k:6d}{l:6d} {amplitude(h, k, l) ** 2:10.3E} {9.0:10.3E}\n" for h, k, l in unique()]
    return (text + "".join(rows) + "!END_OF_DATA\n").encode()


def shelx():
    rows = [f"{h:4d}{k:4d}{l:4d}{amplitude(h, k, l) ** 2:8.2f}{9.0:8.2f}\n" for h, k, l in unique()]
    return ("".join(rows) + f"{0:4d}{0:4d}{0:4d}{0:8.2f}{0:8.2f}\n").encode()


def pdb():
    lines = (REPOSITORY / "examples/ubiquitin/1ubq.pdb").read_text().splitlines(keepends=True)
    keep = [line for line in lines if line.startswith(("CRYST1", "SCALE", "ORIGX"))]
    return ("".join(keep + [line for line in lines if line.startswith("ATOM")][:40]) + "END\n").encode()


def atoms():
    return [("C", 1.5, 2.5, 3.5), ("N", 4.25, 5.0, 6.125), ("O", 7.0, 8.5, 2.0), ("S", 12.0, 3.0, 5.5), ("ZN", 10.0, 10.0, 10.0)]


def model_mmcif():
    text = "data_MODEL\n_cell.length_a 25\n_cell.length_b 26\n_cell.length_c 27\n_cell.angle_alpha 90\n_cell.angle_beta 90\n"
    text += "_cell.angle_gamma 90\n_symmetry.space_group_name_H-M 'P 21 21 21'\nloop_\n"
    items = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id"
    items += " Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num"
    text += "".join(f"_atom_site.{item}\n" for item in items.split())
    for i, (element, x, y, z) in enumerate(atoms(), 1):
        text += f"ATOM {i} {element} {element}1 . GLY A 1 {i} {x} {y} {z} 1.00 15.5 {i} A 1\n"
    return text.encode()


def core_cif():
    text = "data_small\n_cell_length_a 7.1(2)\n_cell_length_b 8.2\n_cell_length_c 9.3\n_cell_angle_alpha 90\n_cell_angle_beta 101.5\n"
    text += "_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 21/c'\nloop_\n_symmetry_equiv_pos_as_xyz\n"
    text += "x,y,z\n-x,y+1/2,-z+1/2\n-x,-y,-z\nx,-y+1/2,z+1/2\nloop_\n"
    items = "label type_symbol fract_x fract_y fract_z U_iso_or_equiv occupancy"
    text += "".join(f"_atom_site_{item}\n" for item in items.split())
    return (text + "C1 C 0.1234(5) 0.2345(4) 0.3456(3) 0.040(2) 1\nO1 O 0.2234(5) 0.1345(4) 0.4456(3) 0.050(2) 1\n").encode()


def matrix():
    return b" 0.025  0.001  0.000\n 0.000  0.020 -0.001\n 0.000  0.000  0.0166\n       0.000       0.000       0.000\n 40.0 50.0 60.0 90 90 90\n"


def sources():
    rows = [f"{-1} {0.001 * i} {0.0005 * i} {1 + 0.25 * i} {1e-10 + 1e-13 * i}\n" for i in range(6)]
    return ("# X Y Z weight wavelength\n" + "".join(rows)).encode()


def stol():
    return "".join(f"{0.02 * i:.2f} {2.57 + 0.3 * i:.3f}\n" for i in range(40)).encode()


def smv(pixels=16, counts=None, **more):
    keys = dict(
        HEADER_BYTES=512, DIM=2, BYTE_ORDER="little_endian", TYPE="unsigned_short", SIZE1=pixels, SIZE2=pixels,
        PIXEL_SIZE=4, DISTANCE=120, WAVELENGTH=1.1, BEAM_CENTER_X=31, BEAM_CENTER_Y=33, PHI=2, OSC_START=2, OSC_RANGE=1,
        TWOTHETA=3, CLOSE_DISTANCE=119.8,
    )  # fmt: skip
    header = "{\n" + "".join(f"{key}={value};\n" for key, value in (keys | more).items()) + "}\n"
    data = counts or [1 + (i * i) % 50 for i in range(pixels * pixels)]
    return header.encode().ljust(more.get("HEADER_BYTES", 512)) + struct.pack(f"<{len(data)}H", *data)


DTREK = dict(
    DETECTOR_NAMES="A_", A_DETECTOR_DIMENSIONS="16 16", A_DETECTOR_SIZE="64 64", A_DETECTOR_VECTORS="1 0 0 0 1 0",
    A_GONIO_NUM_VALUES=6, A_GONIO_NAMES="RotZ RotX/Swing RotY TransX TransY TransZ/Distance", A_GONIO_UNITS="deg deg deg mm mm mm",
    A_GONIO_VALUES="0 5 0 0 0 -120", A_GONIO_VECTORS="0 0 1 1 0 0 0 1 0 1 0 0 0 1 0 0 0 1",
    A_SPATIAL_DISTORTION_TYPE="Simple_spatial", A_SPATIAL_DISTORTION_INFO="8 8 4 4", A_SPATIAL_DISTORTION_VECTORS="1 0 0 -1",
    SOURCE_WAVELENGTH="1 1.1", SOURCE_VECTORS="0 0 1 0 1 0 0 0 1", SCAN_ROTATION="0 1 1 1 0 0 0 0 0 0", SCAN_ROTATION_VECTOR="0 1 0",
    ROTATION="0 1 1 1 0 0 0 0 0 0", HEADER_BYTES=2048,
)  # fmt: skip


def mask():
    return smv(counts=[i % 7 != 0 for i in range(256)])


def tiff(pixels=16):
    """Grey, 16 bits, one strip, with DECTRIS' comment."""
    comment = b"# Pixel_size 4e-3 m x 4e-3 m\n# Detector_distance 0.12 m\n# Beam_xy (8.0, 8.0) pixels\n# Wavelength 1.1 A\n\0"
    counts = struct.pack(f"<{pixels * pixels}H", *(1 + (i * i) % 50 for i in range(pixels * pixels)))
    tags = [(256, 4, 1, pixels), (257, 4, 1, pixels), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (270, 2, len(comment), None),
            (273, 4, 1, None), (277, 3, 1, 1), (278, 4, 1, pixels), (279, 4, 1, len(counts))]  # fmt: skip
    place = 8 + 2 + 12 * len(tags) + 4
    values = {270: place, 273: place + len(comment)}
    entries = b"".join(struct.pack("<HHII", tag, kind, count, values.get(tag, value)) for tag, kind, count, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + comment + counts


def geom():
    text = "photon_energy = 11270\nadu_per_eV = 0.0001\nres = 250\nclen = 0.12\nmax_adu = 60000\nmask_edge_pixels = 1\n"
    text += "rigid_group_q0 = a0,a1\nrigid_group_q1 = b0\nrigid_group_collection_all = q0,q1\n"
    for i, name in enumerate(("a0", "a1", "b0")):
        text += f"{name}/min_fs = 0\n{name}/max_fs = 15\n{name}/min_ss = {8 * i}\n{name}/max_ss = {8 * i + 7}\n"
        text += f"{name}/fs = +0.999998x +0.002y\n{name}/ss = -0.002x +0.999998y\n"
        text += f"{name}/corner_x = {-8 + 0.5 * i}\n{name}/corner_y = {-14 + 9 * i}\n{name}/coffset = 0.0005\n"
    text += "bad_a/min_x = -3\nbad_a/max_x = 1\nbad_a/min_y = -3\nbad_a/max_y = 2\n"
    return (text + "bad_b/min_fs = 2\nbad_b/max_fs = 4\nbad_b/min_ss = 9\nbad_b/max_ss = 9\nbad_b/panel = a1\n").encode()


# ---------------------------------------------------------------- programs

READ_EXPERIMENT = """
import sys
import numpy as np
import nablabragg as nb
try:
    image = nb.simulate(nb.Experiment.from_json(open("damaged.json", encoding="utf-8", errors="replace").read()))
    image.astype("float32").tofile("image.f32")
except nb.Error as error:
    sys.exit(f"error: {error}")
"""


def kinds(build, scratch):
    """Every format with a valid file; some of them the programs write."""
    program, inventory = str(build / "nablabragg"), str(build / "nablabragg-inventory")
    make = scratch / "valid"
    make.mkdir()

    def written(name, *command):
        done = subprocess.run(list(map(str, command)), cwd=make, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{shlex.join(map(str, command))}\n{done.stderr}")
        return (make / name).read_bytes()

    def image(*flags):
        return [program, "-corrected", "-nocache", *CELL, *flags, *IMAGE]

    def compat(*flags):
        return [program, "-nocache", *CELL, *flags, *IMAGE]

    (make / "list.hkl").write_bytes(hkl_text())
    fdump = written("f.bin", program, *CELL, "-hkl", "list.hkl", "-dump", "f.bin", *IMAGE)
    twelve = (REPOSITORY / "tests/data/twelve.mtz").read_bytes()
    F = ["-default_F", "20"]

    def fcalc(name):
        return [program, "fcalc", name, "-dmin", "6", "-o", "out.hkl"]

    spectra = [program, "-corrected", "-nocache", *CELL, *F, *PIXELS, *RUN[:-1], "image_#.f32", "-spectra", "damaged.npz"]
    all_kinds = [
        Kind("hkl", hkl_text(), image("-hkl", "damaged")),
        Kind("hkl, compat", hkl_text(), compat("-hkl", "damaged")),
        Kind("hkl.gz", gzip.compress(hkl_text(), mtime=0), image("-hkl", "damaged.gz"), binary=True),
        Kind("Fdump", fdump, [program, "-corrected", *CELL, "-dump", "damaged", *IMAGE], binary=True),
        Kind("Fdump, compat", fdump, [program, *CELL, "-dump", "damaged", *IMAGE], binary=True),
        Kind("MTZ", twelve, [program, "-corrected", "-nocache", "-hkl", "damaged", *IMAGE], binary=True),
        Kind("MTZ, column", twelve, [program, "-nocache", "-hkl", "damaged", "-hkl_column", "FC", *PROTEIN, *IMAGE], binary=True),
        Kind("SF-mmCIF", sf_mmcif(), image("-hkl", "damaged.cif")),
        Kind("XDS_ASCII", xds_ascii(), image("-hkl", "damaged.HKL")),
        Kind("SHELX", shelx(), image("-hkl", "damaged.hkl", "-hkl_column", "I")),
        Kind("matrix", matrix(), [program, "-corrected", "-nocache", "-mat", "damaged", *F, *IMAGE]),
        Kind("matrix, compat", matrix(), [program, "-nocache", "-mat", "damaged", *F, *IMAGE]),
        Kind("sources", sources(), image("-sourcefile", "damaged", *F)),
        Kind("sources, compat", sources(), compat("-sourcefile", "damaged", *F)),
        Kind("stol", stol(), compat("-stol", "damaged", *F)),
        Kind("npz", spectra_npz(), spectra, binary=True, mended=with_right_sums),
        Kind("SMV header", smv(), image("-img", "damaged", *F)),
        Kind("SMV header, compat", smv(), compat("-img", "damaged", *F)),
        Kind("mask", mask(), image("-mask", "damaged", *F)),
        Kind("mask, compat", mask(), compat("-mask", "damaged", *F)),
        *geometry_kinds(program, written, make),
        Kind("PDB", pdb(), fcalc("damaged.pdb")),
        Kind("PDB.gz", gzip.compress(pdb(), mtime=0), fcalc("damaged.pdb.gz"), binary=True),
        Kind("model mmCIF", model_mmcif(), fcalc("damaged.cif")),
        Kind("core CIF", core_cif(), fcalc("damaged.cif")),
    ]

    # A small still, to be refined and compared
    still = "-default_F 100 -N 8 -gauss_xtal -mosaic 0.5 -mosaic_domains 4 -detpixels 128 -pixel 0.8 -distance 80 -oversample 1"
    still = ["-corrected", *CELL, *still.split(), "-fluence", "3e27", "-threads", "1", "-noprogress"]
    near = [*still, "-misset", "0.1", "0.1", "-0.1"]
    counts = written("still.img", program, *still, "-noisefile", "still.img", "-seed", "1", "-floatfile", "still.f32")
    photons = (make / "still.f32").read_bytes()

    def refine(name, *options):
        return [program, "refine", "--quiet", "--iterations", "5", "--image", name, "--parameters", "misset,fluence", *options, "--", *near]

    if subprocess.run([program, "refine", "--help"], capture_output=True).returncode == 0:
        all_kinds += [
            Kind("still, refine", counts, refine("damaged.img"), binary=True),
            Kind("still header, refine", counts, refine("damaged.img")),
            Kind("float image, refine", photons, refine("damaged.f32"), binary=True),
            Kind("resume.json", resumable(program, make), refine("still.img", "--resume", "resume.json"),
                 inputs={"still.img": counts}, mended=with_right_check),
        ]  # fmt: skip
    if subprocess.run([program, "compare", "--help"], capture_output=True).returncode == 0:
        reference = "#!/bin/sh\nprintf '(128x128 pixels)\\n'\ncp ../../../damaged.f32 floatimage.bin\n"
        compare = [program, "compare", "--reference", "./reference", "--outdir", "compared", "--", *still]
        all_kinds.append(
            Kind("float image, compare", photons, compare, codes=(2, 3, 4, 5), inputs={"reference": reference.encode()}, binary=True)
        )
    if module := os.environ.get("PYTHONPATH"):
        experiment = "import nablabragg as nb; e = nb.parse('{}'); open('experiment.json', 'w').write(e.to_json())"
        flags = " ".join(["-corrected", *CELL, *F, *IMAGE[:-2]])
        valid = written("experiment.json", sys.executable, "-c", experiment.format(flags))
        read = [sys.executable, "-c", READ_EXPERIMENT]
        all_kinds.append(Kind("experiment.json", valid, read, codes=(1,)))
        print(f"the Python module is in {module}")
    if os.path.exists(inventory):
        all_kinds += inventory_kinds(inventory, scratch)
    return all_kinds


def geometry_kinds(program, written, make):
    """Files that state a detector: images of other programs, experiment lists, geometries.  (Nothing reads a .poni.)"""
    lit = ["-corrected", "-nocache", *CELL, "-default_F", "20", *RUN, "-seed", "1"]
    flat = [*PIXELS, "-distance", "120", "-lambda", "1.1", "-sensor", "Si", "320", "-phi", "2", "-osc", "1", "-phisteps", "1"]
    (make / "valid.geom").write_bytes(geom())
    panels = ["-detector", "valid.geom", "-sensor", "Si", "320", "-lambda", "1.1"]

    def made(name, *flags):
        return written(name, program, *lit, *flags, "-o", name)

    def read(flag, name, *flags):
        return [program, "-corrected", "-nocache", *CELL, "-default_F", "20", *flags, flag, name, *RUN]

    mini, full, several = made("mini_001.cbf", *flat), made("full_001.cbf", *flat, "-twotheta", "10"), made("several_001.cbf", *panels)
    nxs, tilted, stills = made("scan.nxs", *flat), made("tilted.nxs", *flat, "-twotheta", "10"), made("panels.nxs", *panels)
    packed = [*lit, *flat, "-o", "packed.nxs", "-compression", "bitshuffle_lz4"]
    has_filter = subprocess.run([program, *packed], cwd=make, capture_output=True).returncode == 0
    if not has_filter:
        print("HDF5 has no filter bitshuffle here")
    lists = made("scan.expt", *flat), made("panels.expt", *panels)
    # The crystal is the file's.
    of_list = [program, "-corrected", "-nocache", "-default_F", "20", "-expt", "damaged.expt", *RUN]
    return [
        Kind("mini-CBF", mini, read("-img", "damaged.cbf")),
        Kind("mini-CBF, pixels", mini, read("-mask", "damaged.cbf", *flat), binary=True),
        Kind("imgCIF", full, read("-img", "damaged.cbf")),
        Kind("imgCIF, panels", several, read("-img", "damaged.cbf")),
        Kind("imgCIF, pixels", several, read("-mask", "damaged.cbf", *panels), binary=True, inputs={"valid.geom": geom()}),
        Kind("NXmx", nxs, read("-img", "damaged.nxs"), binary=True),
        Kind("NXmx, tilted", tilted, read("-img", "damaged.nxs"), binary=True),
        Kind("NXmx, panels", stills, read("-img", "damaged.nxs"), binary=True),
        Kind("NXmx, pixels", nxs, read("-mask", "damaged.nxs", *flat), binary=True),
        *([Kind("NXmx, bitshuffle", (make / "packed.nxs").read_bytes(), read("-mask", "damaged.nxs", *flat), binary=True)] * has_filter),
        Kind("TIFF header", tiff(), read("-img", "damaged.tif"), binary=True),
        Kind("TIFF, pixels", tiff(), read("-mask", "damaged.tif", *flat), binary=True),
        Kind("SMV, d*TREK", smv(**DTREK), read("-img", "damaged.img")),
        Kind(".expt", lists[0], of_list),
        Kind(".expt, panels", lists[1], of_list),
        Kind(".geom", geom(), read("-detector", "damaged.geom", "-lambda", "1.1")),
    ]


def resumable(program, make):
    """The file that an interrupted refinement leaves."""
    flags = "-corrected -default_F 100 -N 8 -gauss_xtal -mosaic 0.5 -mosaic_domains 4 -detpixels 128 -pixel 0.8 -distance 80"
    model = [*CELL, *flags.split(), *"-oversample 1 -fluence 3e27 -threads 1 -noprogress -misset 0.1 0.1 -0.1".split()]
    for _ in range(50):
        shutil.rmtree(make / "stopped", ignore_errors=True)
        command = [program, "refine", "--image", "still.img", "--parameters", "misset,fluence", "--outdir", "stopped", "--", *model]
        running = subprocess.Popen(command, cwd=make, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in running.stderr:
            if line.startswith("measured spots"):
                running.send_signal(signal.SIGINT)
                break
        running.stderr.read()
        if running.wait() == 130:
            return (make / "stopped" / "resume.json").read_bytes()
    sys.exit("no refinement could be interrupted")


def spectra_npz():
    """Two shots of three channels, as np.savez writes them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, shape, values in (("weights", "(2, 3)", (1, 2, 3, 4, 5, 6)), ("energy_eV", "(3,)", (9000, 9100, 9050))):
            header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
            array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}d", *values)
            archive.writestr(f"{name}.npy", array)
    return packed.getvalue()


def with_right_sums(data):
    """A ZIP archive whose sums are those of what it stores, which is otherwise refused for its sums alone."""
    data = bytearray(data)
    for entry in re.finditer(rb"PK\x01\x02", bytes(data)):
        at = entry.start()
        if at + 46 > len(data):
            continue
        (size,), (local,) = struct.unpack_from("<I", data, at + 20), struct.unpack_from("<I", data, at + 42)
        if local + 30 > len(data):
            continue
        begin = local + 30 + sum(struct.unpack_from("<HH", data, local + 26))
        data[at + 16 : at + 20] = data[local + 14 : local + 18] = struct.pack("<I", zlib.crc32(data[begin : begin + size]))
    return bytes(data)


def with_right_check(data):
    """A resume.json whose check is that of the rest, which is otherwise refused for its check alone."""
    head = re.match(rb'\{\n "check": "\d{20}",', data)
    if not head:
        return data
    value = 14695981039346656037  # FNV-1a
    for byte in b"{" + data[head.end() :].rstrip(b"\n"):
        value = (value ^ byte) * 1099511628211 % 2**64
    return b'{\n "check": "%020d",' % value + data[head.end() :]


def inventory_kinds(inventory, scratch):
    code = scratch / "code"
    (code / "src").mkdir(parents=True)
    source = "int sum(const int* a, int n) {\n  int s = 0;\n  for (int i = 0; i < n; ++i) s += a[i];\n  return s;\n}\n"
    (code / "src/a.cpp").write_text(source)
    command = {"directory": str(code), "file": "src/a.cpp", "command": "g++ -O3 -c src/a.cpp -o a.o"}
    (code / "compile_commands.json").write_text(json.dumps([command], indent=1))
    made = subprocess.run([inventory, "--package", "src", "--build", ".", "--outdir", "out", "--second-opinion", "none"],
                          cwd=code, capture_output=True, text=True)  # fmt: skip
    if made.returncode:
        sys.exit(made.stderr)
    listed = (code / "out/loop_inventory.json").read_bytes()
    loop = json.loads(listed)["loops"][0]["id"]
    trace = {"traceEvents": [{"name": "run", "ph": "X", "ts": 0, "dur": 100, "pid": 1, "tid": 1}]}
    hot = f"module,line,loop_id,percent_inclusive,percent_self,call_count,class,notes\nsrc,3,{loop},90,80,1,todo,\n"
    again = [inventory, "--package", str(code / "src"), "--build", str(code), "--second-opinion", "none", "--outdir", "out"]
    profile = json.dumps(trace).encode()
    correlate = [inventory, "correlate", "--outdir", "out"]
    return [
        Kind("loop_inventory.json", listed, [*correlate, "--inventory", "damaged.json", "--profile", "trace.json"], codes=(1, 2, 3),
             inputs={"trace.json": profile}),
        Kind("trace.json", profile, [*correlate, "--inventory", "list.json", "--profile", "damaged.json"], codes=(1, 2, 3),
             inputs={"list.json": listed}),
        Kind("hot_loops.csv", hot.encode(), [*again, "--hot", "damaged.csv"], codes=(1, 2, 3)),
        Kind("compile_commands.json", (code / "compile_commands.json").read_bytes(),
             [inventory, "--package", str(code / "src"), "--build", ".", "--second-opinion", "none", "--outdir", "out"], codes=(1, 2, 3)),
    ]  # fmt: skip


def name_of_damaged(kind):
    """What the command calls the file."""
    if kind.name == "resume.json" or kind.name == "compile_commands.json":
        return kind.name
    if kind.name == "experiment.json":
        return "damaged.json"
    if kind.name == "float image, compare":
        return "damaged.f32"
    return next(word for word in kind.command if word.startswith("damaged"))


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ends_in_hdf5(kind, folder):
    """Whether the innermost functions of a command that ends by a signal are those of HDF5, or what these call."""
    if not shutil.which("gdb"):
        return False
    debugged = subprocess.run(["gdb", "-batch", "-ex", "run", "-ex", "bt 3", "--args", *kind.command], cwd=folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")  # fmt: skip
    frames = [line for line in debugged.stdout.splitlines() if line.startswith("#")]
    own = [i for i, line in enumerate(frames) if "nablabragg::" in line]
    return any("libhdf5" in line for line in frames[: own[0] if own else None])


def fault_of(kind, folder, data):
    """What is wrong with what the program made of the file, or "", and its exit code."""
    damaged = name_of_damaged(kind)
    for name, content in {**dict(kind.inputs), damaged: data}.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755)
    before = {path.name for path in folder.iterdir()}
    with open(folder.parent / f"{folder.name}.err", "w+b") as channel:
        running = subprocess.Popen(kind.command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=channel,
                                   start_new_session=True, preexec_fn=limited)  # fmt: skip
        try:
            code = running.wait(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return f"did not end within {WAIT_S} s", None
        if code == -signal.SIGXCPU:
            return f"did not end within {SECONDS} s of processor time", None
        channel.seek(0)
        said = channel.read(1 << 16).decode(errors="replace")
    if code < 0:
        name = signal.Signals(-code).name
        if kind.binary and "NXmx" in kind.name and ends_in_hdf5(kind, folder):
            print(f"{kind.name}: HDF5 itself was ended by {name}", flush=True)
            return "", "HDF5"
        return f"was ended by {name}", code
    if code != 0:
        if code not in kind.codes:
            return f"exit code {code}: {said.strip()[-300:]}", code
        left = {path.name for path in folder.iterdir()} - before - {"compared", "out", "refinement"}
        if left:
            return f"exit code {code}, and left {', '.join(sorted(left))}", code
        if not said.strip() and kind.name != "float image, compare":
            return f"exit code {code} without a word", code
        return "", code
    for path in folder.glob("image*.f32"):
        pixels = array.array("f", path.read_bytes())
        if not all(map(math.isfinite, pixels)):
            named = "compat" in kind.name and re.search(r"nan|infinit|not finite|no number", said, re.I)
            if not named:
                return "exit code 0 and an image that holds NaN or infinity", code
    return "", code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], help="kinds whose names contain one of these words")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("build/soak"))
    args = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        chosen = [kind for kind in kinds(args.build.resolve(), scratch)
                  if not args.only or any(word in kind.name for word in args.only)]  # fmt: skip
        # Undamaged, each is read, or refused by name.
        for kind in chosen:
            folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
            fault, code = fault_of(kind, folder, kind.content)
            if fault or (code != 0 and kind.is_read):
                sys.exit(f"{kind.name}: the valid file: {fault or f'exit code {code}'}\n{shlex.join(kind.command)}\n{folder_errors(folder)}")
        counts = {kind.name: collections.Counter() for kind in chosen}
        faults, lock, numbers = [], threading.Lock(), iter(range(args.count))

        def work():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                kind = chosen[number % len(chosen)]
                data = damage(kind.content, kind.binary, random.Random(f"{args.seed} {kind.name} {number}"))
                if kind.mended and number // len(chosen) % 2:
                    data = kind.mended(data)
                folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
                fault, code = fault_of(kind, folder, data)
                with lock:
                    counts[kind.name]["fault" if fault else code] += 1
                    if fault:
                        keep = args.keep / re.sub(r"\W+", "-", kind.name) / str(number)
                        shutil.rmtree(keep, ignore_errors=True)
                        shutil.copytree(folder, keep)
                        (keep / "command").write_text(f"{shlex.join(kind.command)}\n{fault}\n")
                        faults.append(f"{kind.name}: {fault}; see {keep}")
                        print(faults[-1], flush=True)
                shutil.rmtree(folder)

        threads = [threading.Thread(target=work) for _ in range(args.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    codes = sorted({code for count in counts.values() for code in count if code != "fault"}, key=str)
    titles = [code if code == "HDF5" else f"exit {code}" for code in codes]
    print(f"{'format':24}{'files':>7}" + "".join(f"{title:>8}" for title in titles) + f"{'faults':>8}")
    for name, count in counts.items():
        print(f"{name:24}{sum(count.values()):7}" + "".join(f"{count[code]:8}" for code in codes) + f"{count['fault']:8}")
    print(f"{args.count} damaged files of {len(chosen)} kinds, seed {args.seed}: {len(faults)} faults, {time.monotonic() - begin:.0f} s")
    return 1 if faults else 0


def folder_errors(folder):
    return (folder.parent / f"{folder.name}.err").read_text(errors="replace")[-500:]


if __name__ == "__main__":
    sys.exit(main())
