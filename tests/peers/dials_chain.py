"""Sweeps and stills of ubiquitin through DIALS, from our files to merged intensities.

    dials_chain.py [--folder FOLDER] [--images 90] [--shots 50] [--only CASE] [--table FILE.md]

Run with Debian's Python, which has DIALS, and our module in PYTHONPATH.  The truth that DIALS is compared with is
what the simulation was given: matrices and vectors below, not what our files state; for an ensemble the labels, which
are what a user has.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODEL = REPOSITORY / "examples" / "ubiquitin" / "1ubq.pdb"
WAVELENGTH = 1.0
POLARIZED_FRACTION = 0.99
LIMITS = {
    "cell [%]": 0.02,
    "orientation [deg]": 0.003,
    "distance [%]": 0.02,
    "beam centre [px]": 0.02,
    "spots indexed [%]": 99,
    "CC(I, F²)": 0.9990,
    "R": 0.025,
    "space group": "P 21 21 21",
}
AT_LEAST = ("spots indexed [%]", "CC(I, F²)")
ENSEMBLE = REPOSITORY / "examples" / "ensemble-ubiquitin" / "ensemble.yaml"
SHARE_OF_SHOTS, ORIENTATION_OF_SHOT = 0.8, 0.1  # at least so many within so many degrees


def markers(of):
    return f"<!-- begin of the table of dials_chain.py{of} -->", f"<!-- end of the table of dials_chain.py{of} -->"


def turn(axis, degrees):
    """The rotation by the right-hand rule."""
    x, y, z = np.array(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    t = np.radians(degrees)
    return np.eye(3) + np.sin(t) * k + (1 - np.cos(t)) * k @ k


class Panel:
    """In the frame of imgCIF: the beam along -z, the spindle along x."""

    def __init__(self, pixels, pixel_mm, middle, tilt=np.eye(3), thickness_um=0, gaps=None):
        self.pixels, self.pixel_mm, self.thickness_um, self.gaps = pixels, pixel_mm, thickness_um, gaps
        self.fast, self.slow = tilt @ [1.0, 0.0, 0.0], tilt @ [0.0, -1.0, 0.0]
        self.origin = np.array(middle) - (self.fast * pixels[0] + self.slow * pixels[1]) / 2 * pixel_mm
        self.normal = np.cross(self.fast, self.slow)
        self.distance = abs(self.origin @ self.normal)
        there = np.array([0, 0, -1.0]) * (self.origin @ self.normal) / -self.normal[2] - self.origin
        self.beam_px = np.array([there @ self.fast, there @ self.slow]) / pixel_mm

    def mask(self):
        """True where there are pixels."""
        if not self.gaps:
            return None
        (fast, fast_gap), (slow, slow_gap) = self.gaps
        f, s = np.arange(self.pixels[0]), np.arange(self.pixels[1])
        return (s % (slow + slow_gap) < slow)[:, None] & (f % (fast + fast_gap) < fast)


PANELS = {
    # A PILATUS3 1M: DIALS reads the sensor of an imgCIF file only where it is a PILATUS
    "tilted": Panel(
        (981, 1043),
        0.172,
        (15.1234, -21.5432, -190),
        turn((1, 0, 0), 2.5) @ turn((0, 1, 0), -5) @ turn((0, 0, 1), 1.2),
        450,
        ((487, 7), (195, 17)),
    ),
    "flat": Panel((1024, 1024), 0.1, (9.1234, -12.5432, -110)),
}
CASES = {  # file, panel
    "NXmx": ("tilted.nxs", "tilted"),
    ".expt": ("tilted.expt", "tilted"),
    "CBF": ("tilted_####.cbf", "tilted"),
    "SMV": ("flat_####.img", "flat"),
}


class Truth:
    """Ubiquitin: amplitudes without that of the direct beam, cell, and an orientation."""

    def __init__(self):
        import nablabragg as nb

        model, self.cell = nb.calculate_structure_factors(MODEL, dmin=2.0)
        F = np.array(model.F)
        self.min = np.array(model.min)
        F[tuple(-self.min)] = 0
        self.F = F
        self.factors = nb.StructureFactors(F=F, min=model.min)
        # At least seven reflections on each of the three axes, present and absent, cross the sphere in 90 degrees and
        # meet both panels: without them no program can tell a screw axis
        self.U = turn((1, 0, 0), -100) @ turn((0, 1, 0), -120) @ turn((0, 0, 1), -10)

    def axes(self, U):
        return U @ np.diag(self.cell[:3])  # columns a, b, c

    def intensities(self, hkl):
        at = hkl - self.min
        inside = np.all((at >= 0) & (at < self.F.shape), axis=1)
        return np.where(inside, self.F[tuple(np.where(inside[:, None], at, 0).T)], 0) ** 2


def experiment(truth, panel, U, degrees=1, steps=10):
    import nablabragg as nb

    # SMV's 16 bits hold the strongest spots of half the light
    share = 1 if panel.thickness_um else 0.5

    return nb.Experiment(
        crystal=nb.Crystal(
            a_matrix=U @ np.diag(WAVELENGTH / np.array(truth.cell[:3])), cells=(12, 14, 21), shape="gauss"
        ),
        beam=nb.Beam(
            wavelength=WAVELENGTH,
            direction=(0, 0, -1),
            polarization=2 * POLARIZED_FRACTION - 1,
            polarization_axis=(1, 0, 0),
            fluence=4e27 * share,
        ),
        detector=nb.Detector(
            convention="custom",
            pixels=panel.pixels,
            pixel_size=panel.pixel_mm,
            origin=panel.origin / 1e3,
            fast_axis=panel.fast,
            slow_axis=panel.slow,
            normal=panel.normal,
            sensor_material="Si" if panel.thickness_um else "",
            sensor_thickness=panel.thickness_um,
            sensor_layers=9 if panel.thickness_um else None,
        ),
        scan=nb.Scan(phi=0, oscillation=(degrees, steps) if degrees else None, spindle_axis=(1, 0, 0)),
        sampling=nb.Sampling(oversample=1, dmin=2.0, mask=panel.mask()),
        structure_factors=truth.factors,
        water=0.108 * share ** (-1 / 3),
    )


def write_sweep(truth, panel_name, files, images):
    """The same counts in all files."""
    import nablabragg as nb

    first = experiment(truth, PANELS[panel_name], truth.U)
    writers = []
    for file in files:
        if file.endswith(".nxs"):
            writers.append(nb.ImageWriter(file, first, images=images, expt=file[:-4] + ".expt"))
        else:
            writers.append(nb.ImageWriter(file, first, images=images))
    for i in range(images):
        now = first.replace(scan=first.scan.replace(phi=float(i)))
        counts = nb.count_photons(now, nb.simulate(now), seed=i + 1)
        for writer in writers:
            writer.add(counts)
    for writer in writers:
        writer.close()
    return counts


def run(folder, program, *words):
    done = subprocess.run([str(program), *map(str, words)], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(map(str, words))} in {folder}:\n{done.stderr}")


def put_table(file, of, text):
    old = file.read_text()
    first, last = markers(of)
    begin, end = old.index(first) + len(first), old.index(last)
    file.write_text(old[:begin] + "\n" + text + "\n" + old[end:])


def dials(folder, program, *words):
    begin = time.time()
    done = subprocess.run([f"dials.{program}", *words], cwd=folder, capture_output=True, text=True)
    (folder / f"{program}.out").write_text(done.stdout + done.stderr)
    print(f"    {folder.name}: {program} {time.time() - begin:.0f} s", flush=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise RuntimeError(f"dials.{program} {' '.join(words)} in {folder}:\n{tail}")


def process(folder, given):
    """All steps with their defaults, and no edits between them."""
    folder.mkdir(parents=True, exist_ok=True)
    if str(given).endswith(".expt"):
        # Models and images are stated; dials.import takes images only.  Without our crystal dials.index has to find it.
        stated = json.loads(given.read_text())
        stated["crystal"] = []
        for each in stated["experiment"]:
            del each["crystal"]
        start = given.parent / "without_crystal.expt"
        start.write_text(json.dumps(stated))
        start = str(start)
    else:
        dials(folder, "import", str(given).replace("_####", "_*") if "#" not in str(given) else f"template={given}")
        start = "imported.expt"
    dials(folder, "find_spots", start, "nproc=2")
    dials(folder, "index", start, "strong.refl")
    dials(folder, "refine", "indexed.expt", "indexed.refl")
    dials(folder, "integrate", "refined.expt", "refined.refl", "nproc=2")
    dials(folder, "symmetry", "integrated.expt", "integrated.refl")
    dials(folder, "scale", "symmetrized.expt", "symmetrized.refl")
    dials(folder, "export", "scaled.expt", "scaled.refl")


def match_axes(found, true):
    """The found axes in the order and with the signs of the true ones, and that order."""
    cosines = (true / np.linalg.norm(true, axis=0)).T @ (found / np.linalg.norm(found, axis=0))
    order = np.argmax(np.abs(cosines), axis=1)
    signs = np.sign(cosines[range(3), order])
    return found[:, order] * signs, order


def compare_axes(crystal, true):
    """Largest relative error of an edge [%], and the angle between the orientations [degree]; true columns a, b, c."""
    found = np.linalg.inv(np.array(crystal.get_A()).reshape(3, 3)).T
    found, _ = match_axes(found, true)
    edges, true_edges = np.linalg.norm(found, axis=0), np.linalg.norm(true, axis=0)
    cell_error = 100 * np.max(np.abs(edges / true_edges - 1))
    u, _, vt = np.linalg.svd((found / edges) @ (true / true_edges).T)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    sine = np.linalg.norm(rotation - rotation.T) / np.sqrt(8)
    return cell_error, np.degrees(np.arcsin(min(1, sine)))


def compare_crystal(crystal, truth, U):
    return compare_axes(crystal, truth.axes(U))


def compare_intensities(folder, truth):
    """CC and R of merged intensities and F²."""
    from iotbx import mtz

    file = mtz.object(str(folder / "scaled.mtz"))
    hkl = np.array(file.extract_original_index_miller_indices())
    observed = file.get_column("I").extract_values().as_numpy_array().astype(float)
    sigma = file.get_column("SIGI").extract_values().as_numpy_array().astype(float)
    edges = np.array(file.crystals()[0].unit_cell().parameters()[:3])
    # The edges differ by more than a third: they tell which index is which
    order = [int(np.argmin(np.abs(edges - edge))) for edge in truth.cell[:3]]
    hkl = np.abs(hkl[:, order])  # point group 222 with Friedel's law
    unique, which = np.unique(hkl, axis=0, return_inverse=True)
    which = which.ravel()
    weight = np.where(sigma > 0, 1 / np.maximum(sigma, 1e-9) ** 2, 0)
    merged = np.bincount(which, weight * observed) / np.bincount(which, weight)
    true = truth.intensities(unique)
    scale = (true @ merged) / (merged @ merged)
    return np.corrcoef(merged, true)[0, 1], np.abs(scale * merged - true).sum() / true.sum(), len(unique)


def check_positions(experiment_list, panel, counts, pedestal):
    """dxtbx sees our panel where it is, and the pixels of the last image."""
    model = experiment_list[0].detector[0]
    worst = 0
    for share_fast, share_slow in np.random.default_rng(14).uniform(0, 1, (10, 2)):
        fast, slow = share_fast * panel.pixels[0], share_slow * panel.pixels[1]
        ours = panel.origin + panel.pixel_mm * (fast * panel.fast + slow * panel.slow)
        theirs = np.array(model.get_lab_coord((fast * panel.pixel_mm, slow * panel.pixel_mm)))
        worst = max(worst, np.linalg.norm(ours - theirs) / panel.pixel_mm)
    images = experiment_list[0].imageset
    pixels = images.get_raw_data(len(images) - 1)[0].as_numpy_array()
    return worst, bool(np.all(pixels == np.where(counts < 0, counts, counts + pedestal)))


def measure(folder, truth, panel):
    from dials.array_family import flex
    from dxtbx.model import ExperimentList

    refined = ExperimentList.from_file(str(folder / "refined.expt"), check_format=False)[0]
    result = {}
    result["cell [%]"], result["orientation [deg]"] = compare_crystal(refined.crystal, truth, truth.U)
    model = refined.detector[0]
    result["distance [%]"] = 100 * abs(model.get_distance() / panel.distance - 1)
    # Where the beam meets the panel's surface; pixels of dxtbx are shifted by the depth in the sensor
    centre = np.array(model.get_beam_centre(refined.beam.get_s0())) / panel.pixel_mm
    result["beam centre [px]"] = np.max(np.abs(centre - panel.beam_px))
    spots = flex.reflection_table.from_file(str(folder / "indexed.refl"))
    strong = len(flex.reflection_table.from_file(str(folder / "strong.refl")))
    indexed = spots.get_flags(spots.flags.indexed).count(True)
    result["spots indexed [%]"] = 100 * indexed / strong
    result["CC(I, F²)"], result["R"], result["reflections"] = compare_intensities(folder, truth)
    scaled = ExperimentList.from_file(str(folder / "scaled.expt"), check_format=False)[0]
    result["space group"] = scaled.crystal.get_space_group().type().lookup_symbol()
    result["spots"] = strong
    return result


def compare(truth, panel, folder, case, counts, processed):
    from dxtbx.model.experiment_list import ExperimentListFactory

    file, own = folder / CASES[case][0], folder / case.strip(".")
    try:
        processed.result()
        start = file if case == ".expt" else own / "imported.expt"
        off, same = check_positions(ExperimentListFactory.from_json_file(str(start)), panel, counts, 40 if case == "SMV" else 0)
        print(f"  {case}: dxtbx has positions within {off:.1e} px, pixels {'equal' if same else 'DIFFER'}", flush=True)
        result = measure(own, truth, panel)
        if off > 1e-4 or not same:
            result["failed"] = "dxtbx reads another geometry or other pixels"
        for name, value in result.items():
            print(f"  {case}: {name}: {value}", flush=True)
        return result
    except RuntimeError as error:
        print(error, flush=True)
        return {"failed": "failed: " + str(error).split(" ")[0]}


def holds(name, value):
    limit = LIMITS[name]
    if isinstance(limit, str):
        return value == limit
    return value >= limit if name in AT_LEAST else value <= limit


def index_stills(folder, cell, *words):
    """Each by itself.

    Cell, space group and detector are given, as for serial crystallography: one still leaves the distance and the
    size of the cell to each other.  The indexer is that of sequences: the one of stills
    needs cctbx' module xfel_mono_sim_ext, which Debian's package lacks, and finds nothing without it.
    """
    dials(
        folder,
        "index",
        "imported.expt",
        "strong.refl",
        "joint_indexing=False",
        "stills.indexer=sequences",
        "detector.fix=all",
        "known_symmetry.space_group=P212121",
        "known_symmetry.unit_cell=" + ",".join(f"{edge:.2f}" for edge in sorted(cell[:3])) + ",90,90,90",
        *words,
    )


def run_stills(folder, truth, count=10):
    """How many of single stills dials.index finds the lattice of."""
    import nablabragg as nb
    from dxtbx.model.experiment_list import ExperimentListFactory

    folder.mkdir(parents=True, exist_ok=True)
    panel = PANELS["tilted"]
    random = np.random.default_rng(20)
    orientations = []
    for _ in range(count):
        q, _ = np.linalg.qr(random.normal(size=(3, 3)))
        orientations.append(q * np.sign(np.linalg.det(q)))
    with nb.ImageWriter(folder / "stills.nxs", experiment(truth, panel, truth.U, degrees=0), images=count) as file:
        for i, U in enumerate(orientations):
            e = experiment(truth, panel, U, degrees=0)
            file.add(nb.count_photons(e, nb.simulate(e), seed=1000 + i))
    dials(folder, "import", "stills.nxs")
    dials(folder, "find_spots", "imported.expt", "nproc=2")
    index_stills(folder, truth.cell)
    good = set()
    for found in ExperimentListFactory.from_json_file(str(folder / "indexed.expt")):
        still = found.imageset.indices()[0]
        cell, angle = compare_crystal(found.crystal, truth, orientations[still])
        print(f"    still {still}: cell {cell:.3f} %, orientation {angle:.4f} degrees", flush=True)
        if cell < 1 and angle < 0.2:
            good.add(still)
    return len(good)


class Shots:
    """How dials.index sees the shots of an ensemble, straight from its shards."""

    def __init__(self, folder, program, count):
        import h5py
        from dxtbx.model.experiment_list import ExperimentListFactory

        folder.mkdir(parents=True, exist_ok=True)
        self.count = count
        # The description of the example, each shot with the crystal in the beam
        text = re.sub(r"(?m)^hit_rate:.*\n", "", ENSEMBLE.read_text())
        text = re.sub(r"(?m)^shots:.*", f"shots: {count}", text)
        text = re.sub(r"(?m)^  shots_per_shard:.*", f"  shots_per_shard: {-(-count // 2)}", text)
        (folder / "ensemble.yaml").write_text(text)
        cell = [float(edge) for edge in re.search(r"-cell ([0-9. ]+)", text)[1].split()]
        run(folder, program, "fcalc", MODEL, "-dmin", "1.8", "-o", "all.hkl")
        lines = (folder / "all.hkl").read_text().splitlines(keepends=True)
        (folder / "ubiquitin.hkl").write_text("".join(line for line in lines if not line.startswith("0 0 0 ")))
        run(folder, program, "ensemble", "ensemble.yaml")
        shards = sorted(folder.glob("ubiquitin-shots/shard_*.nxs"))
        dials(folder, "import", *map(str, shards))
        dials(folder, "find_spots", "imported.expt", "nproc=2")
        # Of candidates as few as DIALS refines for stills by its own indexer: half the time, and the same lattices
        few = ("basis_vector_combinations.max_refine=5", "refinement_protocol.n_macro_cycles=3")
        index_stills(folder, cell, "outlier.algorithm=null", "indexing.nproc=2", *few)
        axes = {}
        for shard in shards:
            with h5py.File(shard) as file:
                axes[shard.name] = file["shots/real_axes"][()]
        best = {}
        for found in ExperimentListFactory.from_json_file(str(folder / "indexed.expt")):
            shot = pathlib.Path(found.imageset.paths()[0]).name, found.imageset.indices()[0]
            cell, angle = compare_axes(found.crystal, axes[shot[0]][shot[1]].T)
            print(f"    {shot[0]} image {shot[1]}: cell {cell:.3f} %, orientation {angle:.4f} degrees", flush=True)
            best[shot] = min(best.get(shot, (180, 0)), (angle, cell))
        self.indexed = len(best)
        self.angles, self.cells = np.array(sorted(best.values())).reshape(-1, 2).T
        self.good = int(np.sum(self.angles <= ORIENTATION_OF_SHOT))

    @property
    def enough(self):
        return self.good >= SHARE_OF_SHOTS * self.count

    def table(self):
        rows = [
            ("shots", "", f"{self.count}"),
            ("indexed", "", f"{self.indexed}"),
            (
                f"orientation within {ORIENTATION_OF_SHOT} degree of the label's",
                f"≥ {SHARE_OF_SHOTS * self.count:.0f}",
                f"{self.good}" if self.enough else f"**{self.good}** (misses)",
            ),
        ]
        if self.indexed:
            rows += [
                ("orientation, median and largest error [deg]", "", f"{np.median(self.angles):.3f}, {self.angles.max():.3f}"),
                ("cell, median and largest error [%]", "", f"{np.median(self.cells):.3f}, {self.cells.max():.3f}"),
            ]
        return "\n".join(["| | limit | |", "|---|---|---|"] + [f"| {name} | {limit} | {value} |".replace("|  |", "| |") for name, limit, value in rows])


def table(results, stills, images):
    def text(name, value):
        if isinstance(value, str):
            shown = value
        elif name in ("spots indexed [%]",):
            shown = f"{value:.2f}"
        elif name == "CC(I, F²)":
            shown = f"{value:.5f}"
        else:
            shown = f"{value:.4f}"
        return shown if holds(name, value) else f"**{shown}** (misses)"

    lines = ["| | limit | " + " | ".join(results) + " |", "|---|---|" + "---|" * len(results)]
    for name, limit in LIMITS.items():
        sign = "" if isinstance(limit, str) else ("≥ " if name in AT_LEAST else "≤ ")
        lines.append(
            f"| {name} | {sign}{limit} | " + " | ".join(text(name, r[name]) if name in r else r["failed"] for r in results.values()) + " |"
        )
    lines.append("| strong spots | | " + " | ".join(str(r.get("spots", "")) for r in results.values()) + " |")
    lines.append("| unique reflections | | " + " | ".join(str(r.get("reflections", "")) for r in results.values()) + " |")
    lines.append("")
    lines.append(f"{images} images of 1 degree each.")
    if stills is not None:
        lines.append(f"Of 10 single stills in random orientations, dials.index finds the lattice of {stills} (limit: 9).")
    return "\n".join(lines)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("dials-chain"))
    words.add_argument("--images", type=int, default=90)
    words.add_argument("--shots", type=int, default=50, help="of the ensemble")
    words.add_argument("--only", action="append", choices=[*CASES, "stills", "ensemble"])
    words.add_argument("--program", type=pathlib.Path, default=REPOSITORY / "build" / "release" / "nablabragg")
    words.add_argument("--table", type=pathlib.Path, help="put the table between its markers in this file")
    given = words.parse_args()
    wanted = given.only or [*CASES, "stills", "ensemble"]
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    truth = Truth() if wanted != ["ensemble"] else None
    results = {}
    for panel_name in PANELS:
        cases = [case for case in CASES if CASES[case][1] == panel_name and case in wanted]
        if not cases:
            continue
        files = {CASES[case][0].replace(".expt", ".nxs") for case in cases}
        print(f"{panel_name}: {given.images} images", flush=True)
        panel = PANELS[panel_name]
        begin = time.time()
        counts = write_sweep(truth, panel_name, [str(folder / file) for file in sorted(files)], given.images)
        print(f"  simulated and written in {time.time() - begin:.0f} s; mean count {counts.mean():.2f}, median "
              f"{np.median(counts):.0f}, largest {counts.max()}", flush=True)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            processed = [pool.submit(process, folder / case.strip("."), folder / CASES[case][0]) for case in cases]
        # One after the other: HDF5 cannot open a file in two ways at a time
        for case, each in zip(cases, processed):
            results[case] = compare(truth, panel, folder, case, counts, each)
    stills = run_stills(folder / "stills", truth) if "stills" in wanted else None
    shots = Shots(folder / "ensemble", given.program.resolve(), given.shots) if "ensemble" in wanted else None
    tables = {}
    if results or stills is not None:
        tables[""] = table(results, stills, given.images)
    if shots:
        tables[", ensemble"] = shots.table()
    for of, text in tables.items():
        print(text)
        if given.table:
            put_table(given.table, of, text)
    missed = [f"{case}: {name}" for case, r in results.items() for name in LIMITS if name not in r or not holds(name, r[name])]
    missed += [f"{case}: {r['failed']}" for case, r in results.items() if "failed" in r]
    if stills is not None and stills < 9:
        missed.append(f"stills: {stills} of 10")
    if shots and not shots.enough:
        missed.append(f"ensemble: {shots.good} of {shots.count} shots")
    for line in missed:
        print("misses its limit: " + line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
