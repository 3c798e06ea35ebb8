// What the light of each pixel is made of, as HDF5: docs/truth.md has the layout.
#include <algorithm>

#include "io/hdf5_tree.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/io.hpp"
#include "nablabragg/pixel_truth.hpp"

namespace nablabragg::io {

namespace {

bool are_alike(const std::vector<PanelExtent>& panels) {
  return std::ranges::all_of(panels, [&](const PanelExtent& p) {
    return p.fast_pixels == panels[0].fast_pixels && p.slow_pixels == panels[0].slow_pixels;
  });
}

std::vector<float> floats_of(const std::vector<double>& photons) {
  std::vector<float> rounded(photons.size());
  std::ranges::transform(photons, rounded.begin(), [](double x) { return static_cast<float>(x); });
  return rounded;
}

}  // namespace

void write_pixel_truth(const std::string& path, const PixelTruth& truth) {
  if (!are_alike(truth.panels))
    throw OutputError(
        "cannot write " + path +
        ": the truth of pixels is one block for panels of one size, and these differ");
  std::vector<hsize_t> shape;
  if (truth.panels.size() > 1) shape.push_back(truth.panels.size());
  shape.push_back(static_cast<hsize_t>(truth.panels[0].slow_pixels));
  shape.push_back(static_cast<hsize_t>(truth.panels[0].fast_pixels));

  const hdf5::Session session;
  hdf5::Tree tree{FileAside(path)};
  const hdf5::Object root = tree.root();
  std::vector<double> all(truth.parts.front().photons.size());
  const hdf5::Object parts = tree.group(root, "parts");
  for (std::size_t i = 0; i < truth.parts.size(); ++i) {
    const PartOfLight& part = truth.parts[i];
    for (std::size_t k = 0; k < all.size(); ++k) all[k] += part.photons[k];
    // A material's name may be a file's, and HDF5's names have no slash
    const bool plain = i == 0 || part.name == "water" || part.name == "diffuse";
    const hdf5::Object data = tree.packed<float>(
        parts, plain ? part.name : "material_" + std::to_string(i), floats_of(part.photons), shape);
    tree.attribute(data, "name", part.name);
    tree.attribute(data, "units", "photons");
  }
  tree.attribute(tree.packed<float>(root, "photons", floats_of(all), shape), "units", "photons");
  if (!truth.hkl.empty()) {
    std::vector<std::int32_t> indices;
    indices.reserve(3 * truth.hkl.size());
    for (const MillerIndex& hkl : truth.hkl) indices.insert(indices.end(), hkl.begin(), hkl.end());
    std::vector<hsize_t> of_three = shape;
    of_three.push_back(3);
    tree.packed<std::int32_t>(root, "hkl", indices, of_three);
    tree.packed<std::uint8_t>(root, "has_hkl", truth.has_hkl, shape);
    if (!truth.crystal.empty()) tree.packed<std::int32_t>(root, "crystal", truth.crystal, shape);
  }
  tree.commit();
}

}  // namespace nablabragg::io
