// The crystal: unit cell, orientation, size, shape, mosaicity.
#pragma once
#include <cstdint>  // for std::int64_t
#include <optional>
#include "nablabragg/sampled_range.hpp"  // for Distribution
#include "nablabragg/vec3.hpp"           // for Vec3, Mat3

namespace nablabragg {

template <class Real>
struct BasicUnitCell {
  Real a_A, b_A, c_A;  ///< edges [Angstrom]
  Real alpha_deg{90}, beta_deg{90}, gamma_deg{90};
};

/// What one finite crystal block does to a spot.
enum class CrystalShape {
  square,  ///< parallelepiped: the interference function sin(pi N h)/sin(pi h)
  round,   ///< ellipsoid
  gauss,   ///< Gaussian spots, no fringes
  tophat   ///< spots cut off at the half width
};

/// In what the distance from a lattice point is measured where the width of a spot is a matter of
/// choice: that of the gauss and tophat shapes.  N = Na Nb Nc; V is the volume of the cell.
enum class SpotMetricKind {
  cell,        ///< indices, each times its own number of cells, as cctbx does
  reciprocal,  ///< 1/Angstrom, times N, as nanoBragg does
  round        ///< 1/Angstrom, times the edge of a cube as large as the block, (N V)^(1/3)
};

/// What moves together when atoms leave their places.
enum class DiffuseMotion {
  liquid,  ///< neighbouring atoms, as in a liquid: F belongs to the lattice points
  rigid    ///< each cell as a whole: |F|^2 is that at q
};

/// What of a crystal a spread of the sizes of its blocks leaves as it is.
enum class BlockSizeFixed {
  edge,  ///< the mean edge of a block: so many blocks hold more cells
  cells  ///< the number of cells in the crystal: there are fewer blocks
};

template <class Real>
struct BasicCrystal {
  /// Edges and angles.  With a matrix as well: edges and volume from here, the rest from the
  /// matrix.
  std::optional<BasicUnitCell<Real>> cell;
  /// MOSFLM's A matrix: columns a*, b*, c* times the wavelength, in the laboratory frame.
  std::optional<Mat3<Real>> mosflm_matrix;
  /// Rotations about laboratory x, then y, then z.
  Vec3<Real> misset_deg;
  /// Seed of a random orientation, which then replaces misset_deg.
  std::optional<std::int64_t> random_misset_seed;

  Vec3<Real> cells{Real(1), Real(1), Real(1)};  ///< Na, Nb, Nc: cells along a, b, c
  Vec3<Real> size_mm;                           ///< where positive, replaces the number of cells
  /// Mosaic blocks of so many cells: their spots add up, backgrounds stay what they are.
  Real blocks{1};
  /// Edge of a block.  Where positive, `cells` follow from it and `blocks` from the part of the
  /// crystal (size_mm) that is in the beam.
  Real block_size_mm{0};
  /// Standard deviation of ln(u), where the blocks have u times `cells` along each axis, in whole
  /// cells, and ln(u) is normal, u 1 on the mean; 0: all blocks are alike.
  Real block_size_spread{0};
  BlockSizeFixed block_size_fixed = BlockSizeFixed::edge;
  CrystalShape shape = CrystalShape::square;
  Real fudge{1};  ///< scales the squared spot radius of the round, gauss and top-hat shapes
  /// Of the gauss and top-hat shapes; not set: cell, and nanoBragg's reciprocal with its quirks.
  std::optional<SpotMetricKind> spot_metric;

  /// Largest rotation of a domain; of a Gaussian the standard deviation of the rotation about each
  /// axis.
  std::optional<Real> mosaic_spread_deg;
  Distribution mosaic_model = Distribution::uniform;
  /// Of a Gaussian: the standard deviations of the rotations about a, about c* x a and about c*, in
  /// place of mosaic_spread_deg.
  std::optional<Vec3<Real>> mosaic_spread_axes_deg;
  std::optional<int> mosaic_domains;
  std::int64_t mosaic_seed = 12345678;
  /// Standard deviations, from domain to domain, of the edges [Angstrom] and of the angles of the
  /// cell.  Edges, or angles, that are equal and spread alike vary together, as those of a crystal
  /// system do.
  std::optional<Vec3<Real>> cell_spread_A, cell_angle_spread_deg;

  /// Of displacements that scatter between the spots: standard deviations along a, c* x a and c*
  /// [Angstrom]; all zero: there are none.
  Vec3<Real> diffuse_sigma_A;
  /// Lengths over which their correlation falls to 1/e, along the same [Angstrom].
  Vec3<Real> diffuse_gamma_A;
  DiffuseMotion diffuse_motion = DiffuseMotion::liquid;
  /// Whether the structure factors are of atoms that are blurred by these displacements; if not,
  /// the spots are weakened by them.
  bool diffuse_in_F = false;
  /// Lattice points on either side of the nearest, along each axis, whose halos are summed one by
  /// one; those beyond are taken together.
  int diffuse_stencil = 1;
  /// Largest error of a halo, over its peak, that light summed at few pixels of few orientations in
  /// place of all may have; 0: it is summed at every pixel, of every orientation.
  double diffuse_error = 0;
};

/// A crystal beside Experiment::crystal in the beam, of the same kind; its photons add up with
/// those of the others.
template <class Real>
struct BasicFurtherCrystal {
  /// Rotations about laboratory x, then y, then z, in place of those of Experiment::crystal.
  Vec3<Real> misset_deg;
  /// Share: a factor on its photons, diffuse scattering included.
  Real weight{1};
  std::optional<Vec3<Real>> cells;        ///< Na, Nb, Nc; empty: those of Experiment::crystal
  std::optional<Real> mosaic_spread_deg;  ///< of the same model; empty: that of
                                          ///< Experiment::crystal
};

using UnitCell = BasicUnitCell<double>;
using Crystal = BasicCrystal<double>;
using FurtherCrystal = BasicFurtherCrystal<double>;

}  // namespace nablabragg
