#!/usr/bin/env bash
# dxtbx 3.11 (Debian 12: python3-cctbx 2022.9+ds2+~3.11.2+ds1-6+b1): in a sensor that lets photons through, the depth by which
# ParallaxCorrectedPxMmStrategy corrects is not the mean depth of the photons that are captured, and can be a third of it.
#
# It moves a pixel back along its ray by the integral of the captured photons' depths over ALL photons that arrive: with the
# path p through the sensor, 1/mu - (p + 1/mu) exp(-mu p).  Photons that pass count as captured at the surface.  The mean of
# those that are captured, which place the spots, is that divided by 1 - exp(-mu p).  0.32 mm of silicon at 18 keV
# (mu 1.418/mm) stop 36 %: 0.054 mm in place of 0.148 mm.  A refined distance is short by the difference; spots at 45 degrees
# stand 0.07 mm off.
#
# Seen: corrects by 0.0541 mm   captured photons, drawn at random: 0.148 mm   captured: 0.365
#
# Needs apt-get, dpkg-deb, python3 with numpy and what the package depends on, of Debian 12 (bookworm), amd64.  Fails when the
# behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download 'python3-cctbx=2022.9+ds2+~3.11.2+ds1-6+b1'
dpkg-deb -x python3-cctbx*.deb .
export PYTHONPATH=$folder/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1

/usr/bin/python3 - <<'PYTHON'
import math
import numpy as np
from dxtbx.model import Panel, ParallaxCorrectedPxMmStrategy, SimplePxMmStrategy

mu, thickness, distance = 1.418, 0.32, 100.0
panel = Panel("SENSOR_PAD", "panel", (1, 0, 0), (0, 1, 0), (0, 0, -distance), (0.1, 0.1), (2000, 2000), (0, 1e6),
              thickness, "Si", mu)
assert isinstance(panel.get_px_mm_strategy(), SimplePxMmStrategy)
panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(mu, thickness))

# Nearly along the normal, where the path through the sensor is its thickness; far enough to see the shift.
pixel = (50.0, 0.0)
shift = pixel[0] * 0.1 - panel.pixel_to_millimeter(pixel)[0]
sine = pixel[0] * 0.1 / math.hypot(pixel[0] * 0.1, distance)
corrects = shift / sine

draws = np.random.default_rng(1).exponential(1 / mu, 4_000_000)
captured = draws[draws < thickness]
print(f"corrects by {corrects:.3g} mm   captured photons, drawn at random: {captured.mean():.3g} mm   "
      f"captured: {len(captured) / len(draws):.3g}")
over_all = 1 / mu - (thickness + 1 / mu) * math.exp(-mu * thickness)
assert abs(corrects / over_all - 1) < 0.01, "the depth is another one now"
assert captured.mean() > 2.5 * corrects, "the depth is that of captured photons now"
PYTHON
