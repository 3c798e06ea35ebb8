// Where a crystal holds solvent.  C++17, as everything that includes gemmi.
#pragma once
#include <functional>
#include <gemmi/grid.hpp>   // for Grid
#include <gemmi/model.hpp>  // for Model

namespace nablabragg::io {

/// Sets each point of `grid` to the share of solvent around it: a point counts for `finer`^3 finer
/// ones, a box around it; `finer` is odd.  A finer point is solvent beyond the radius of every atom
/// and that of a probe, and near such points up to the shrinking radius.  Atoms fill the cell by
/// the images of the grid's cell.  `tick` is called by this thread now and then with the share that
/// is done.  Memory: little beyond the grid.
void fill_with_solvent(gemmi::Grid<float>& grid, const gemmi::Model& atoms, int finer,
                       const std::function<void(double share)>& tick);

/// What the transform of such a mask is too small by at an index `h` of an axis that has `points`
/// points: that of the box of `finer` finer ones.
double transform_of_box(int h, int points, int finer);

}  // namespace nablabragg::io
