"""One pixel by the formulas of docs/physics.md, beside the program's own trace of it.

    one_pixel.py TRACE.json

The trace is what the command in docs/physics.md prints; the experiment is the same here, in numpy and nothing else.
"""

import json
import sys

import numpy as np

# The experiment
cell, misset = (70, 80, 90, 85, 95, 105), (10, 20, 30)  # A, degrees
cells, F, fudge, blocks = np.array([8, 10, 6]), 100.0, 1.2, 1e6
wavelength, dispersion, wavelengths = 1.2e-10, 0.02, 3  # m
fluence, K, water = 1e24, 0.9, 5e-6  # photons/m^2; Kahn factor; m
phi, osc, phi_steps = 5.0, 1.0, 2  # degrees
distance, two_theta, pixels, pixel, oversample = 0.15, 5.0, 100, 5e-4, 2  # m, degrees
thickness, absorption, layers = 450e-6, 1 / 300e-6, 2  # m, 1/m
r_e2 = 7.94079248018965e-30  # m^2


def turned(vectors, axis, degrees):
    """Right-handed about a unit vector."""
    t = np.radians(degrees)
    along = np.multiply.outer(np.asarray(vectors) @ axis, axis) * (1 - np.cos(t))
    return along + np.cos(t) * np.asarray(vectors) + np.sin(t) * np.cross(axis, vectors)


# MOSFLM's frame
beam, fast, slow, spindle, polarized = np.eye(3)[0], np.eye(3)[2], -np.eye(3)[1], np.eye(3)[2], np.eye(3)[2]
fast, slow, normal = turned([fast, slow, beam], -np.eye(3)[2], two_theta)
middle = pixels * pixel / 2
corner = distance * beam - middle * fast - middle * slow

# The crystal: a* along x, b* in the plane of x and y
edges, angles = np.array(cell[:3], float), np.cos(np.radians(cell[3:]))
cosines = np.array([[1, angles[2], angles[1]], [angles[2], 1, angles[0]], [angles[1], angles[0], 1]])
star = np.linalg.cholesky(np.linalg.inv(cosines * np.outer(edges, edges)))  # rows a*, b*, c* [1/A]
for axis, degrees in zip(np.eye(3), misset):
    star = turned(star, axis, degrees)
volume = 1 / np.linalg.det(star)
N = cells.prod()


def F_latt(h):
    """Gaussian spots that are round in 1/Angstrom."""
    d = h - np.ceil(h - 0.5)
    X = (N * volume) ** (2 / 3) * np.sum((d @ star) ** 2)
    return N * np.exp(-X * fudge / 0.63)


with open(sys.argv[1]) as file:
    trace = json.load(file)
at = trace["pixel"]
records = iter(trace["trace"])
dz = thickness / layers
depth = 1 / absorption - dz / np.expm1(absorption * dz)
off, total, background = {}, 0.0, 0.0
steps = wavelengths * phi_steps * oversample**2
per_sr = 2.57**2 * r_e2 * fluence * water**3 * 1e6 * 6.02214179e23 / 18
for layer in range(layers):
    for sub_slow, sub_fast in np.ndindex(oversample, oversample):
        x = pixel * (at["fast"] + (sub_fast + 0.5) / oversample)
        y = pixel * (at["slow"] + (sub_slow + 0.5) / oversample)
        plane = corner + (depth + layer * dz) * normal
        R = plane + x * fast + y * slow
        direction = R / np.linalg.norm(R)
        omega = pixel**2 * (plane @ normal) / np.linalg.norm(R) ** 3
        slant = dz * absorption / (direction @ normal)
        capture = np.exp(-layer * slant) * -np.expm1(-slant)
        for i in range(wavelengths):
            lam = wavelength * (1 + dispersion * (i / (wavelengths - 1) - 0.5))
            q = (direction - beam) / lam
            c = beam @ direction
            e_B = direction @ np.cross(polarized, beam)
            P = 0.5 * (1 + c**2 - K * (1 - c**2 - 2 * e_B**2))
            background += per_sr * omega * P * capture / (wavelengths * oversample**2)
            for j in range(phi_steps):
                degrees = phi + osc / phi_steps * (j + 0.5)
                axes = turned(np.linalg.inv(star).T, spindle, degrees) * 1e-10  # rows a, b, c [m]
                h = axes @ q
                term = F**2 * F_latt(h) ** 2
                total += term * omega * P * capture
                own = dict(hkl=h, F_latt=F_latt(h), omega_sr=omega, polarization=P, capture=capture, term=term)
                record = next(records)
                for name, value in own.items():
                    error = np.max(np.abs(value / np.array(record[name]) - 1))
                    off[name] = max(off.get(name, 0), error)
photons = r_e2 * fluence * blocks / steps * total + background
assert next(records, None) is None and max(off.values()) < 1e-9, off
assert abs(photons / trace["photons"] - 1) < 1e-7
print(f"{trace['steps']} steps agree in all factors")
print(f"photons by the formulas {photons:.6g}, by the program {trace['photons']:.6g}")
print(f"of these {background:.4g} from water")
