// Full imgCIF: axes on which detector elements and the crystal stand, in CBF files.
#pragma once
#include <map>
#include <string>
#include "io/cbf_sections.hpp"
#include "io/cif_tables.hpp"
#include "io/mini_cbf.hpp"

namespace nablabragg::io {

/// What stands between "data_" and the pixels of the first panel; the other panels' follow, each
/// behind its img_cif_array_row().
std::string img_cif_text(const ImageSeries& series, std::size_t image);

/// Whether it has the header of a PILATUS, for which DIALS reads the sensor and masks the gaps.
bool says_pilatus(const Geometry& geometry);

/// "ARRAY_0 1", which begins a panel's row of pixels; empty where there is one panel.
std::string img_cif_array_row(const Geometry& geometry, std::size_t panel);

/// Whether tables hold axes of a detector.
bool has_img_cif_axes(const std::map<std::string, CifTable>& tables);

struct ImgCif {
  HeaderGeometry header;
  std::vector<std::size_t> sections;             ///< of the file, of each panel
  std::vector<std::optional<double>> undefined;  ///< what pixels hold that measured nothing
};

/// Any chains of axes.  Where DIALS and imgCIF's dictionary differ, as DIALS: the setting of the
/// first pixel is that of its outer corner.
ImgCif read_img_cif(const CbfFile& file, const std::map<std::string, CifTable>& tables);

}  // namespace nablabragg::io
