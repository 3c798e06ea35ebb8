// MessagePack by hand: the map "identifiers" has integers as keys, which nlohmann-json neither
// reads nor writes.  The format is https://github.com/msgpack/msgpack/blob/master/spec.md.
#include "io/refl.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "io/atomic_file.hpp"
#include "io/expt.hpp"
#include "io/image_series.hpp"
#include "io/input_bytes.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg::io {

namespace {

static_assert(std::endian::native == std::endian::little, "columns are little-endian");

constexpr std::string_view table_mark = "dials::af::reflection_table";
constexpr std::string_view first_bytes =
    "\x93\xBB"
    "dials::af::reflection_table";
constexpr std::uint64_t version = 1;

// ---- Reading
// -------------------------------------------------------------------------------------

/// Goes through packed values from front to back.
class Unpacker {
 public:
  Unpacker(std::string_view bytes, const std::string& path) : rest_(bytes), path_(&path) {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw InputError(*path_, 0, problem);
  }

  std::uint64_t array(const char* what) { return length(what, 0x90, 0x0F, 0xDC); }
  std::uint64_t map(const char* what) { return length(what, 0x80, 0x0F, 0xDE); }

  std::string_view text(const char* what) {
    const unsigned mark = next();
    if ((mark & 0xE0) == 0xA0) return take(mark & 0x1F);
    if (mark >= 0xD9 && mark <= 0xDB) return take(big_endian(1u << (mark - 0xD9)));
    refuse(std::string("is damaged: ") + what + " is no text");
  }

  std::string_view binary(const char* what) {
    const unsigned mark = next();
    if (mark >= 0xC4 && mark <= 0xC6) return take(big_endian(1u << (mark - 0xC4)));
    refuse(std::string("is damaged: ") + what + " is no block of bytes");
  }

  std::uint64_t count(const char* what) {
    const unsigned mark = next();
    if (mark < 0x80) return mark;
    if (mark >= 0xCC && mark <= 0xCF) return big_endian(1u << (mark - 0xCC));
    refuse(std::string("is damaged: ") + what + " is no number");
  }

  /// Passes over a value of any kind.
  void skip() {
    for (std::uint64_t values = 1; values > 0; --values) {
      const unsigned mark = next();
      if (mark >= 0x80 && mark <= 0x8F) {
        values += 2 * (mark & 0x0F);
      } else if (mark >= 0x90 && mark <= 0x9F) {
        values += mark & 0x0F;
      } else if (mark >= 0xA0 && mark <= 0xBF) {
        take(mark & 0x1F);
      } else if (mark >= 0xC4 && mark <= 0xC6) {
        take(big_endian(1u << (mark - 0xC4)));
      } else if (mark >= 0xC7 && mark <= 0xC9) {
        take(big_endian(1u << (mark - 0xC7)) + 1);
      } else if (mark == 0xCA || mark == 0xCB) {
        take(mark == 0xCA ? 4 : 8);
      } else if (mark >= 0xCC && mark <= 0xD3) {
        take(std::uint64_t{1} << ((mark - 0xCC) % 4));
      } else if (mark >= 0xD4 && mark <= 0xD8) {
        take((std::uint64_t{1} << (mark - 0xD4)) + 1);
      } else if (mark >= 0xD9 && mark <= 0xDB) {
        take(big_endian(1u << (mark - 0xD9)));
      } else if (mark == 0xDC || mark == 0xDD) {
        values += big_endian(mark == 0xDC ? 2 : 4);
      } else if (mark == 0xDE || mark == 0xDF) {
        values += 2 * big_endian(mark == 0xDE ? 2 : 4);
      } else if (mark == 0xC1) {
        refuse("is damaged: a value is of no kind");
      }
    }
  }

 private:
  unsigned next() { return static_cast<unsigned char>(take(1)[0]); }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size())
      refuse("ends early: " + std::to_string(bytes) + " bytes should follow and " +
             std::to_string(rest_.size()) + " do");
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(bytes));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::uint64_t big_endian(unsigned bytes) {
    std::uint64_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }

  std::uint64_t length(const char* what, unsigned fixed, unsigned mask, unsigned two_bytes) {
    const unsigned mark = next();
    if ((mark & ~mask) == fixed) return mark & mask;
    if (mark == two_bytes) return big_endian(2);
    if (mark == two_bytes + 1) return big_endian(4);
    refuse(std::string("is damaged: ") + what + " is not where it should be");
  }

  std::string_view rest_;
  const std::string* path_;
};

/// A column as it lies in the file.
struct Column {
  std::string_view type, bytes;
  std::uint64_t rows = 0;
};

/// Row by row, `per_row` numbers each; calls take(row, numbers).
template <class Stored, std::size_t per_row, class Take>
void each_row(const std::optional<Column>& column, std::string_view type, const char* name,
              const Unpacker& file, Take take) {
  if (!column) return;
  if (column->type != type)
    file.refuse(std::string("has a column '") + name + "' of the type " + in_quotes(column->type) +
                "; it should be " + std::string(type));
  std::array<Stored, per_row> row;
  if (column->bytes.size() / sizeof row != column->rows || column->bytes.size() % sizeof row != 0)
    file.refuse(std::string("has a column '") + name + "' of " +
                std::to_string(column->bytes.size()) + " bytes for " +
                std::to_string(column->rows) + " reflections");
  for (std::size_t i = 0; i < column->rows; ++i) {
    std::memcpy(row.data(), column->bytes.data() + i * sizeof row, sizeof row);
    take(i, row);
  }
}

// ---- Writing
// -------------------------------------------------------------------------------------

class Packer {
 public:
  explicit Packer(AtomicFile& file) : file_(&file) {}

  void array(std::size_t entries) { length(entries, 0x90, 0x0F, 0xDC); }
  void map(std::size_t entries) { length(entries, 0x80, 0x0F, 0xDE); }
  void text(std::string_view words) {
    if (words.size() < 0x20)
      byte(0xA0u | words.size());
    else
      with_size(0xD9, words.size());
    file_->write(words);
  }
  void number(std::uint64_t value) {
    if (value < 0x80) {
      byte(value);
    } else {
      byte(0xCF);
      big_endian(value, 8);
    }
  }

  template <class Stored>
  void column(std::string_view name, std::string_view type, std::size_t rows,
              const std::vector<Stored>& values) {
    text(name);
    array(2);
    text(type);
    array(2);
    number(rows);
    const auto bytes = std::as_bytes(std::span(values));
    if (bytes.size() > std::numeric_limits<std::uint32_t>::max())
      throw OutputError("cannot write " + file_->path() + ": a .refl holds no column of " +
                        std::to_string(rows) + " reflections; write fewer");
    with_size(0xC4, bytes.size());
    file_->write(bytes);
  }

 private:
  void byte(std::uint64_t value) {
    const char c = static_cast<char>(value);
    file_->write(std::string_view(&c, 1));
  }
  void big_endian(std::uint64_t value, unsigned bytes) {
    while (bytes-- > 0) byte(value >> (8 * bytes) & 0xFF);
  }
  void length(std::size_t entries, unsigned fixed, unsigned most_fixed, unsigned two_bytes) {
    if (entries <= most_fixed) {
      byte(fixed | entries);
    } else if (entries <= 0xFFFF) {
      byte(two_bytes);
      big_endian(entries, 2);
    } else {
      byte(two_bytes + 1);
      big_endian(entries, 4);
    }
  }
  /// `mark` with a size of one byte; the next two have two and four.
  void with_size(unsigned mark, std::size_t size) {
    const unsigned power = size <= 0xFF ? 0 : size <= 0xFFFF ? 1 : 2;
    byte(mark + power);
    big_endian(size, 1u << power);
  }

  AtomicFile* file_;
};

/// What DIALS calls the millimetres of a pixel: where the ray met the sensor's surface, by its
/// formula for how deep photons are captured.
std::array<double, 2> millimetres_of(const GeometryPanel& panel, double attenuation_per_mm,
                                     double fast_px, double slow_px) {
  const double fast = fast_px * panel.fast_pixel_mm, slow = slow_px * panel.slow_pixel_mm;
  const double thickness = panel.sensor_thickness_mm;
  if (!(attenuation_per_mm > 0 && thickness > 0)) return {fast, slow};
  const Vec3d ray = unit(panel.origin_mm + fast * panel.fast_axis + slow * panel.slow_axis);
  const Vec3d normal = cross(panel.fast_axis, panel.slow_axis);
  const double cosine = std::abs(dot(ray, normal)), depth = 1 / attenuation_per_mm;
  const double path = depth - (thickness / cosine + depth) *
                                  std::exp(-attenuation_per_mm * thickness / cosine);
  return {fast - path * dot(ray, panel.fast_axis), slow - path * dot(ray, panel.slow_axis)};
}

/// Bits of DIALS' column `flags`: predicted, observed, indexed, strong, integrated by summation.
constexpr std::uint64_t flags_of_truth = 1 | 2 | 4 | 32 | 256;
/// Of a true position [px^2, images^2]: the same for all, so that all weigh the same.
constexpr double position_variance = 0.01;

}  // namespace

bool begins_as_refl(std::string_view head) { return head.starts_with(first_bytes); }

std::vector<MeasuredSpot> read_refl(const std::string& path) {
  const InputBytes input = read_input(path);
  if (!begins_as_refl(input.bytes))
    throw InputError(path, 0, "is no reflection table (.refl) of DIALS");
  Unpacker file(input.bytes, path);
  file.array("the table");
  file.text("its mark");
  if (file.count("its version") != version) file.refuse("is of another version than 1");
  std::uint64_t rows = 0;
  std::optional<Column> hkl, id, panel, position, intensity, flags;
  const std::array wanted = {std::pair("miller_index", &hkl),
                             std::pair("id", &id),
                             std::pair("panel", &panel),
                             std::pair("xyzobs.px.value", &position),
                             std::pair("intensity.sum.value", &intensity),
                             std::pair("flags", &flags)};
  for (std::uint64_t keys = file.map("the table"); keys > 0; --keys) {
    const std::string_view key = file.text("a key");
    if (key == "nrows") {
      rows = file.count("'nrows'");
    } else if (key == "data") {
      for (std::uint64_t columns = file.map("'data'"); columns > 0; --columns) {
        const std::string_view name = file.text("the name of a column");
        const auto found = std::find_if(wanted.begin(), wanted.end(),
                                        [&](const auto& w) { return w.first == name; });
        if (found == wanted.end()) {
          file.skip();
          continue;
        }
        if (file.array("a column") != 2) file.refuse("is damaged: a column has no type");
        Column column;
        column.type = file.text("the type of a column");
        if (file.array("a column") != 2) file.refuse("is damaged: a column has no values");
        column.rows = file.count("the length of a column");
        column.bytes = file.binary("a column");
        *found->second = column;
      }
    } else {
      file.skip();
    }
  }
  if (!hkl && !position) file.refuse("has neither a column 'miller_index' nor 'xyzobs.px.value'");
  for (const auto& [name, column] : wanted)
    if (*column && (*column)->rows != rows)
      file.refuse(std::string("has ") + std::to_string(rows) + " reflections and a column '" +
                  name + "' of " + std::to_string((*column)->rows));
  // Bytes behind each row were seen to be there, so that memory is bounded by the file's size.
  const auto bytes_per_row = [&](const std::optional<Column>& c) {
    return c ? c->bytes.size() : 0;
  };
  if (rows > bytes_per_row(hkl) + bytes_per_row(position))
    file.refuse("is damaged: it states " + std::to_string(rows) + " reflections");
  std::vector<MeasuredSpot> spots(static_cast<std::size_t>(rows));
  each_row<std::int32_t, 3>(hkl, "cctbx::miller::index<>", "miller_index", file,
                            [&](std::size_t i, const auto& v) {
                              spots[i].hkl = {v[0], v[1], v[2]};
                            });
  each_row<double, 3>(position, "vec3<double>", "xyzobs.px.value", file,
                      [&](std::size_t i, const auto& v) {
                        spots[i].fast_px = v[0];
                        spots[i].slow_px = v[1];
                        spots[i].frame = v[2];
                      });
  each_row<std::int32_t, 1>(id, "int", "id", file,
                            [&](std::size_t i, const auto& v) { spots[i].experiment = v[0]; });
  each_row<std::uint64_t, 1>(panel, "std::size_t", "panel", file,
                             [&](std::size_t i, const auto& v) {
                               if (v[0] > std::uint64_t{std::numeric_limits<int>::max()})
                                 file.refuse("has a reflection on panel " + std::to_string(v[0]));
                               spots[i].panel = static_cast<int>(v[0]);
                             });
  each_row<double, 1>(intensity, "double", "intensity.sum.value", file,
                      [&](std::size_t i, const auto& v) { spots[i].intensity = v[0]; });
  each_row<std::uint64_t, 1>(flags, "std::size_t", "flags", file,
                             [&](std::size_t i, const auto& v) { spots[i].flags = v[0]; });
  return spots;
}

void write_refl(const std::string& path, std::span<const PredictedSpot> spots,
                const ImageSeries& series) {
  const Geometry& geometry = series.geometry;
  const std::vector<std::string> identifiers = expt_identifiers(series);
  const std::size_t crystals = std::max<std::size_t>(1, geometry.crystals.size());
  std::vector<double> attenuation;
  for (const GeometryPanel& panel : geometry.panels)
    attenuation.push_back(
        attenuation_per_mm_of(panel, geometry.beam ? geometry.beam->wavelength_A : 1));

  std::vector<std::int32_t> hkl, id, imageset;
  std::vector<std::uint64_t> panels, flags;
  std::vector<double> px, mm, variance, s1, photons, partiality, wavelength;
  for (const PredictedSpot& spot : spots) {
    if (spot.panel < 0 || static_cast<std::size_t>(spot.panel) >= geometry.panels.size())
      throw UsageError("a reflection lies on panel " + std::to_string(spot.panel) +
                       ", and there are " + std::to_string(geometry.panels.size()));
    if (spot.experiment < 0 || static_cast<std::size_t>(spot.experiment) >= identifiers.size())
      throw UsageError("a reflection is of experiment " + std::to_string(spot.experiment) +
                       ", and there are " + std::to_string(identifiers.size()));
    const auto at = static_cast<std::size_t>(spot.panel);
    const GeometryPanel& panel = geometry.panels[at];
    const auto [fast_mm, slow_mm] = millimetres_of(panel, attenuation[at], spot.fast_px,
                                                   spot.slow_px);
    const Vec3d place = panel.origin_mm + fast_mm * panel.fast_axis + slow_mm * panel.slow_axis;
    const Vec3d ray = unit(place) / (spot.wavelength_A > 0       ? spot.wavelength_A
                                     : geometry.beam.has_value() ? geometry.beam->wavelength_A
                                                                 : 1);
    for (const int index : spot.hkl) hkl.push_back(index);
    panels.push_back(at);
    id.push_back(spot.experiment);
    imageset.push_back(geometry.scan ? 0 : spot.experiment / static_cast<int>(crystals));
    flags.push_back(flags_of_truth);
    const double frame = geometry.scan ? geometry.scan->first_image - 1 + spot.frame : 0.5;
    px.insert(px.end(), {spot.fast_px, spot.slow_px, frame});
    mm.insert(mm.end(),
              {fast_mm, slow_mm, geometry.scan ? units::radians_from_degrees(spot.phi_deg) : 0});
    variance.insert(variance.end(), 3, position_variance);
    s1.insert(s1.end(), {ray.x, ray.y, ray.z});
    photons.push_back(spot.photons);
    partiality.push_back(spot.partiality);
    wavelength.push_back(spot.wavelength_A);
  }

  AtomicFile file(path);
  Packer pack(file);
  const std::size_t rows = spots.size();
  pack.array(3);
  pack.text(table_mark);
  pack.number(version);
  pack.map(3);
  pack.text("identifiers");
  pack.map(identifiers.size());
  for (std::size_t i = 0; i < identifiers.size(); ++i) {
    pack.number(i);
    pack.text(identifiers[i]);
  }
  pack.text("nrows");
  pack.number(rows);
  pack.text("data");
  pack.map(15);
  pack.column("flags", "std::size_t", rows, flags);
  pack.column("id", "int", rows, id);
  pack.column("imageset_id", "int", rows, imageset);
  pack.column("intensity.sum.value", "double", rows, photons);
  pack.column("intensity.sum.variance", "double", rows, photons);
  pack.column("miller_index", "cctbx::miller::index<>", rows, hkl);
  pack.column("panel", "std::size_t", rows, panels);
  pack.column("partiality", "double", rows, partiality);
  pack.column("s1", "vec3<double>", rows, s1);
  pack.column("wavelength", "double", rows, wavelength);
  pack.column("xyzcal.mm", "vec3<double>", rows, mm);
  pack.column("xyzcal.px", "vec3<double>", rows, px);
  pack.column("xyzobs.mm.value", "vec3<double>", rows, mm);
  pack.column("xyzobs.px.value", "vec3<double>", rows, px);
  pack.column("xyzobs.px.variance", "vec3<double>", rows, variance);
  file.commit();
}

FileFormat refl_format() {
  return {.name = "DIALS .refl",
          .endings = {".refl"},
          .written = "true reflections: indices, panel, place, photons, phi",
          .geometry = "",
          .write_true_spots = write_refl,
          .why_not = [](const ImageSeries& series) { return why_no_place(series.geometry); }};
}

}  // namespace nablabragg::io
