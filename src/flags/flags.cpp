#include "flags/flags.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "description/edit_distance.hpp"
#include "flags/unit_words.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/units.hpp"
#include "physics/shapes.hpp"

namespace nablabragg::flags {

namespace {

/// from_chars knows no leading plus.
const char* after_plus(const std::string& text) {
  const bool plus = text.starts_with('+') && !text.starts_with("+-");
  return text.data() + (plus ? 1 : 0);
}

double parsed_real(const std::string& text, bool& ok) {
  double value = 0;
  const char* begin = after_plus(text);
  const char* end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(begin, end, value);
  ok = problem == std::errc{} && stop == end && std::isfinite(value);
  return value;
}

/// Characters that look like a minus, from typeset pages: U+2010 to U+2015 and U+2212.
std::size_t typeset_dash(std::string_view text) {
  const bool dash = text.starts_with("\xe2\x88\x92") ||
                    (text.starts_with("\xe2\x80") && text.size() > 2 && text[2] >= '\x90' &&
                     text[2] <= '\x95');
  return dash ? 3 : 0;
}

std::string_view without_blanks(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// What may have been meant by a word that is no number: the end of a sentence about it.
std::string hint_at_number(std::string_view flag, const std::string& text) {
  const auto meant = [](const std::string& number, const char* why) {
    return is_number(number) ? "; did you mean " + number + "? " + why : std::string();
  };
  const std::string word(without_blanks(text)), plain = with_plain_dash(word);
  const char* const why = plain == word ? "there are blanks around it"
                                        : "its minus is a character of typeset pages";
  if (std::string hint = meant(plain, why); !hint.empty()) return hint;
  const std::size_t comma = plain.find(',');
  if (comma != std::string::npos) {
    std::string point = plain;
    point[comma] = '.';
    // 1,000 may be a thousand
    const bool below_one = plain.starts_with("0,") || plain.starts_with("-0,");
    if (below_one || plain.size() - comma - 1 != 3)
      if (std::string hint = meant(point, "the decimal sign is a point"); !hint.empty())
        return hint;
    return "; numbers are separated by blanks, and the decimal sign is a point";
  }
  // A number and its unit
  const std::size_t end = plain.find_last_of("0123456789.");
  const Flag* const known = find_flag(flag);
  if (end != std::string::npos && is_number(plain.substr(0, end + 1)) && known && known->most == 1)
    return "; the number stands alone" + (unit_of(*known).empty() ? "" : ", in " + unit_of(*known));
  if (plain.find_first_of(" \t") != std::string::npos && plain.find_first_of("0123456789") == 0)
    return "; it is one word, since it stands in quotation marks";
  return {};
}

void set_convention(Request& r, Convention convention, Pivot pivot) {
  r.experiment.detector.convention = convention;
  r.parsed_pivot = pivot;
}

/// A flag that measures from the beam spot or from the near point.
void imply_pivot(Request& r, Pivot pivot, const char* flag) {
  r.parsed_pivot = pivot;
  r.implied_pivot = pivot;
  r.implying_flag = flag;
}

void set_custom(Request& r, std::optional<Vec3d>& axis, const Values& v) {
  axis = v.vector();
  r.experiment.detector.convention = Convention::custom;
}

void set_cells(Request& r, double Vec3d::*axis, const Values& v) {
  r.experiment.crystal.cells.*axis = v.whole(0);
}

/// One more crystal: its orientation, and what else is given of its share, cells and mosaic spread.
void add_crystal(Request& r, const Values& v) {
  FurtherCrystal crystal;
  crystal.misset_deg = v.vector();
  const int count = v.count();
  if (count != 3 && count != 4 && count != 7 && count != 8)
    v.fail(
        "needs three angles in degrees, then a weight, then the cells along a, b and c, then a "
        "mosaic spread in degrees");
  if (count > 3) crystal.weight = v.real(3);
  if (count > 6) crystal.cells = Vec3d{double(v.whole(4)), double(v.whole(5)), double(v.whole(6))};
  if (count > 7) crystal.mosaic_spread_deg = v.real(7);
  r.experiment.more_crystals.push_back(crystal);
}

void set_background(Request& r, const Values& v) {
  const std::array<double, 3> amounts{v.real(1), v.real(2), v.real(3)};
  if (!(amounts[0] >= 0) || !(amounts[1] >= 0) || !(amounts[2] > 0))
    v.fail("needs a file, a thickness in mm, a density in g/cm^3 and a molar mass in g/mol");
  r.backgrounds.push_back(
      {v.text(0), amounts[0], amounts[1], amounts[2], v.count() > 4 ? v.text(4) : std::string()});
}

/// As nanoBragg, any word that holds this one; -corrected takes the word alone.
bool says(const Request& r, const Values& v, const char* word) {
  return keeps_nanobraggs_answer(r.experiment) ? v.text(0).find(word) != std::string::npos
                                               : v.text(0) == word;
}

void set_pivot(Request& r, const Values& v) {
  const bool sample = says(r, v, "sample"), beam = says(r, v, "beam");
  if (!sample && !beam) v.fail("needs beam or sample");
  r.parsed_pivot = beam ? Pivot::beam : Pivot::sample;
  r.pivot_flag = r.parsed_pivot;
}

void set_misset(Request& r, const Values& v) {
  r.random_misset = says(r, v, "rand") || says(r, v, "random");
  if (r.random_misset) return;
  if (v.count() < 3) v.fail("needs three angles in degrees, or the word random");
  r.experiment.crystal.misset_deg = v.vector();
}

/// A scale or an offset of integers; -corrected takes none that leaves no image.
double in_counts(const Request& r, const Values& v, double most) {
  const double x = v.real(0);
  if (!keeps_nanobraggs_answer(r.experiment) && (x < 0 || x > most))
    v.fail(most < HUGE_VAL ? "needs a number of counts from 0 to 65535"
                           : "needs a number that is not negative");
  return x;
}

void set_depth(Request& r, const Values& v) {
  auto& depth = r.experiment.detector.attenuation_depth_um;
  if (says(r, v, "inf") || says(r, v, "infinity")) {
    depth = std::numeric_limits<double>::infinity();
    return;
  }
  const double um = v.real(0);
  if (um < 0) v.fail("needs a depth that is not negative, or inf");
  depth = um == 0 ? std::numeric_limits<double>::infinity() : um;
}

void set_printout(Request& r, const Values& v) {
  (v.count() > 0 ? r.print_plan : r.printout) = true;
}

/// Of -panel: its number or its name.
void set_panel(Request& r, const Values& v) {
  const int panels = 1 + static_cast<int>(r.experiment.more_panels.size());
  const auto name_of = [&](int panel) -> const std::string& {
    return detector_of(r.experiment, static_cast<std::size_t>(panel)).name;
  };
  std::vector<int> found;
  for (int i = 0; i < panels; ++i)
    if (name_of(i) == v.text(0)) found.push_back(i);
  if (found.size() > 1)
    v.fail("needs a number, since " + std::to_string(found.size()) + " panels have that name");
  if (found.empty() && is_number(v.text(0)) && v.whole(0) >= 0 && v.whole(0) < panels)
    found.push_back(v.whole(0));
  if (found.empty()) {
    const std::string first = name_of(0), last = name_of(panels - 1);
    v.fail("needs a panel's number, 0" +
           (panels > 1 ? " to " + std::to_string(panels - 1) : std::string()) +
           (first.empty() || last.empty() ? "" : ", or its name, " + first) +
           (first.empty() || last.empty() || panels == 1 ? "" : " to " + last));
  }
  r.panel = found[0];
}

/// The panel that a flag of one panel is of.
int panel_of(const Request& r, const Values& v) {
  const std::size_t panels = 1 + r.experiment.more_panels.size();
  if (panels > 1 && !r.panel)
    throw UsageError(std::string(v.flag()) + " is of one panel, and the detector has " +
                     std::to_string(panels) + "; give -panel and its number, 0 to " +
                     std::to_string(panels - 1) + ", or its name before it");
  return r.panel.value_or(0);
}

/// Of the panels that no -roi is of, nothing is computed.
void set_roi(Request& r, const Values& v) {
  const auto number = static_cast<std::size_t>(panel_of(r, v));
  auto& panels = r.experiment.more_panels;
  auto& first = r.experiment.sampling.roi;
  if (!panels.empty() && !first) {
    first = no_pixels;
    for (FurtherPanel& further : panels) further.roi = no_pixels;
  }
  (number == 0 ? first : panels[number - 1].roi) = RegionOfInterest{v.whole(0), v.whole(1),
                                                                    v.whole(2), v.whole(3)};
}

void set_printout_pixel(Request& r, const Values& v) {
  r.printout = true;
  r.printout_pixel = {v.whole(0), v.whole(1), panel_of(r, v)};
}

void set_trace_pixel(Request& r, const Values& v) {
  r.trace_pixel = {v.whole(1), v.whole(0), panel_of(r, v)};
}

template <class Choice>
Choice choose(const Values& v, std::initializer_list<std::pair<std::string_view, Choice>> choices) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (v.text(0) == name) return choice;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  v.fail("needs one of: " + names);
}

SpotMetricKind spot_metric_named(const Values& v) {
  return choose<SpotMetricKind>(v, {{"cell", SpotMetricKind::cell},
                                    {"reciprocal", SpotMetricKind::reciprocal},
                                    {"round", SpotMetricKind::round}});
}

Distribution distribution_named(const Values& v) {
  return choose<Distribution>(
      v, {{"uniform", Distribution::uniform}, {"gaussian", Distribution::gaussian}});
}

void set_images(Request& r, const Values& v) {
  const int images = v.whole(0);
  if (images < 1) v.fail("needs the number of images, 1 or more");
  r.images = images;
}

void set_compression(Request& r, const Values& v) {
  std::string names;
  for (const io::FileFormat& format : io::file_formats())
    for (const char* name : format.compressions) {
      if (v.text(0) == name) {
        r.compression = name;
        return;
      }
      names.append(names.empty() ? "" : ", ").append(name);
    }
  v.fail("needs one of: " + names);
}

/// A number of -response, from 0 on.
double set_response(Request& r, const Values& v, double DetectorResponse::*number) {
  r.response_part = v.flag();
  const double x = v.real(0);
  if (x < 0) v.fail("needs a number that is not negative");
  return r.response.*number = x;
}

void set_point_spread(Request& r, const Values& v) {
  r.response_part = v.flag();
  r.response.point_spread = {choose<PointSpread::Shape>(
      v, {{"gauss", PointSpread::Shape::gauss}, {"fiber", PointSpread::Shape::fiber}})};
}

/// Of a point spread whose flag may follow.
void set_psf_fwhm(Request& r, const Values& v) {
  r.response_part = v.flag();
  r.psf_fwhm_um = v.real(0);
  if (!(*r.psf_fwhm_um > 0)) v.fail("needs a width above 0");
}

/// Of all panels.
void set_gain(Request& r, const Values& v) {
  r.response_part = v.flag();
  const double gain = v.real(0);
  if (!(gain > 0)) v.fail("needs a positive number of counts a photon");
  r.experiment.detector.gain = gain;
  for (FurtherPanel& further : r.experiment.more_panels) further.detector.gain = gain;
}

void set_bits(Request& r, const Values& v) {
  r.response_part = v.flag();
  r.response.bits = v.whole(0);
  if (*r.response.bits < 1 || *r.response.bits > 31) v.fail("needs a number of bits from 1 to 31");
}

/// "2,3.5,5"
void set_rings(Request& r, const Values& v) {
  r.picture.rings_A.clear();
  const std::string& list = v.text(0);
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    double d_A = 0;
    const auto [stop, error] = std::from_chars(list.data() + at, list.data() + end, d_A);
    if (error != std::errc{} || stop != list.data() + end || !(d_A > 0) || !std::isfinite(d_A))
      v.fail("needs d-spacings in Angstrom with commas between them, such as 2,3,5");
    r.picture.rings_A.push_back(d_A);
    at = end + 1;
  }
}

/// `names` are those that the flag takes; of GPUs also with a number.
void choose_engine_of(Request& request, const Values& v, const std::string& names) {
  ComputeOptions chosen;
  const std::string name = v.text(0).substr(0, v.text(0).find(':'));
  if ((", " + names + ",").find(", " + name + ",") == std::string::npos ||
      !choose_engine(v.text(0), chosen))
    v.fail("needs one of: " + names);
  request.engine = chosen.engine;
  request.device = chosen.device;
}

/// Along the crystal's axes; one number is that of all.
Vec3d one_or_three(const Values& v) {
  if (v.count() == 2) v.fail("needs one number, or three");
  return v.count() == 1 ? Vec3d{v.real(0), v.real(0), v.real(0)}
                        : Vec3d{v.real(0), v.real(1), v.real(2)};
}

constexpr const char*
    matter_instead = "; -background FILE mm g/cm^3 g/mol puts matter into the beam";

/// Of a flag that does nothing here and in nanoBragg.
void say_dead(Request& r, const Values& v, const char* instead = "") {
  r.warnings.push_back(std::string(v.flag()) + " has no effect, as in nanoBragg" + instead);
}

// An action of the table: r is the request, e its experiment, v the flag's values.
#define NABLA_SET(...)                               \
  [](Request& r, [[maybe_unused]] const Values& v) { \
    [[maybe_unused]] Experiment& e = r.experiment;   \
    __VA_ARGS__;                                     \
  }

/// A row for each shape of the crystal.
std::vector<Flag> flags_of_shapes() {
  std::vector<Flag> rows;
  physics::for_each_shape([&]<class Shape>() {
    rows.push_back({"Crystal",
                    {Shape::flags.begin(), Shape::flags.end()},
                    Shape::of_nanobragg ? Match::prefix : Match::own,
                    "",
                    0,
                    0,
                    Shape::id == Crystal().shape ? "on" : "",
                    Shape::help,
                    NABLA_SET(e.crystal.shape = Shape::id)});
  });
  return rows;
}

std::vector<Flag> make_table() {
  using enum Match;
  // clang-format off
  std::vector<Flag> flags = {
      // ---- Crystal
      {"Crystal", {"-cell"}, prefix, "a b c al be ga", 1, 6, "", "unit cell [Angstrom, degree]; missing edges are a, missing angles 90",
       NABLA_SET(auto at = [&](int i, double other) { return i < v.count() ? v.real(i) : other; };
                 auto angle = [&](int i) { const double x = at(i, 90); return x > 0 ? x : 90; };
                 e.crystal.cell = UnitCell{v.real(0), at(1, v.real(0)), at(2, v.real(0)), angle(3), angle(4), angle(5)})},
      {"Crystal", {"-mat"}, prefix, "FILE", 1, 1, "", "MOSFLM A matrix: nine numbers, reciprocal vectors [1/Angstrom] as columns, times the wavelength [Angstrom]",
       NABLA_SET(r.matrix_file = v.text(0))},
      {"Crystal", {"-misset"}, exact, "x y z | random", 1, 3, "0 0 0", "rotate the crystal about laboratory x, then y, then z [degree], or at random",
       set_misset},
      {"Crystal", {"-N"}, exact, "n", 1, 1, "1", "unit cells along each axis of the crystal",
       NABLA_SET(set_cells(r, &Vec3d::x, v); e.crystal.cells.y = e.crystal.cells.z = e.crystal.cells.x)},
      {"Crystal", {"-Na"}, prefix, "n", 1, 1, "1", "unit cells along a",
       NABLA_SET(set_cells(r, &Vec3d::x, v))},
      {"Crystal", {"-Nb"}, prefix, "n", 1, 1, "1", "unit cells along b",
       NABLA_SET(set_cells(r, &Vec3d::y, v))},
      {"Crystal", {"-Nc"}, prefix, "n", 1, 1, "1", "unit cells along c",
       NABLA_SET(set_cells(r, &Vec3d::z, v))},
      {"Crystal", {"-samplesize", "-sample_size", "-xtalsize", "-xtal_size"}, prefix, "mm", 1, 1, "", "edge of the crystal; replaces the number of cells",
       NABLA_SET(e.crystal.size_mm = {v.real(0), v.real(0), v.real(0)})},
      {"Crystal", {"-sample_thick", "-sample_x", "-xtal_thick", "-xtal_x"}, prefix, "mm", 1, 1, "", "size of the crystal along a",
       NABLA_SET(e.crystal.size_mm.x = v.real(0))},
      {"Crystal", {"-sample_width", "-sample_y", "-xtal_width", "-xtal_y", "-width"}, prefix, "mm", 1, 1, "", "size along b",
       NABLA_SET(e.crystal.size_mm.y = v.real(0))},
      {"Crystal", {"-sample_heigh", "-sample_z", "-xtal_heigh", "-xtal_z", "-heigh"}, prefix, "mm", 1, 1, "", "size along c",
       NABLA_SET(e.crystal.size_mm.z = v.real(0))},
      {"Crystal", {"-blocks"}, own, "n", 1, 1, "1", "mosaic blocks: multiplies the spots of one, and no background",
       NABLA_SET(e.crystal.blocks = v.real(0))},
      {"Crystal", {"-block_size"}, own, "mm", 1, 1, "", "edge of a block; -xtalsize then gives the number of blocks, and no cells",
       NABLA_SET(e.crystal.block_size_mm = v.real(0); if (e.crystal.block_size_mm < 0) v.fail("needs a positive size in mm"); if (e.crystal.block_size_mm == 0) r.warnings.push_back("-block_size 0 is no size: -blocks and -N count"))},
      {"Crystal", {"-block_size_spread"}, own, "x", 1, 1, "0", "blocks of many sizes: the standard deviation of ln(u), where they have u times the cells along each axis, in whole cells, and <u> = 1 (docs/crystals.md; with -corrected)",
       NABLA_SET(e.crystal.block_size_spread = v.real(0))},
      {"Crystal", {"-block_size_fixed"}, own, "edge | cells", 1, 1, "edge", "what that spread leaves as it is: the mean edge of a block, or the number of cells in the crystal",
       NABLA_SET(e.crystal.block_size_fixed = choose<BlockSizeFixed>(v, {{"edge", BlockSizeFixed::edge}, {"cells", BlockSizeFixed::cells}}))},
      {"Crystal", {"-more_crystal"}, own, "x y z [weight [Na Nb Nc [degree]]]", 3, 8, "", "another crystal of the same kind in the beam: its missetting in place of -misset, a factor on its photons, its unit cells along a, b, c and its mosaic spread, 1 and those of the first where not given; may be given again (docs/crystals.md; with -corrected)",
       NABLA_SET(add_crystal(r, v))},
      {"Crystal", {"-one_crystal"}, own, "", 0, 0, "", "forgets the crystals of -more_crystal before it",
       NABLA_SET(e.more_crystals.clear())},
      {"Crystal", {"-fudge"}, prefix, "x", 1, 1, "1", "scales the squared radius of round, gauss and top-hat spots",
       NABLA_SET(e.crystal.fudge = v.real(0))},
      {"Crystal", {"-spot_metric"}, own, "cell | reciprocal | round", 1, 1, "cell", "what gauss and top-hat spots are round in: indices times cells, 1/Angstrom times Na Nb Nc (nanoBragg's), or 1/Angstrom with the volume of the block (docs/physics.md; with -corrected)",
       NABLA_SET(e.crystal.spot_metric = spot_metric_named(v))},
      {"Crystal", {"-mosaic", "-mosaici", "-mosaic_spr"}, prefix, "degree", 1, 1, "0", "mosaic spread: the largest rotation of a domain",
       NABLA_SET(e.crystal.mosaic_spread_deg = v.real(0))},
      {"Crystal", {"-mosaic_model"}, own, "uniform | gaussian", 1, 1, "uniform", "distribution of the rotations of mosaic domains; gaussian: -mosaic is the standard deviation about each axis (with -corrected)",
       NABLA_SET(e.crystal.mosaic_model = distribution_named(v))},
      {"Crystal", {"-mosaic_axes"}, own, "degree degree degree", 3, 3, "", "standard deviations about a, c* x a and c*, in place of -mosaic, of a gaussian",
       NABLA_SET((e.crystal.mosaic_spread_axes_deg = {v.real(0), v.real(1), v.real(2)}))},
      {"Crystal", {"-unit_cell_spread"}, own, "A A A", 3, 3, "", "standard deviations of the edges of the cell, from domain to domain; equal edges that spread alike vary together (with -corrected)",
       NABLA_SET((e.crystal.cell_spread_A = {v.real(0), v.real(1), v.real(2)}))},
      {"Crystal", {"-unit_cell_angle_spread"}, own, "degree degree degree", 3, 3, "", "the same of the angles of the cell",
       NABLA_SET((e.crystal.cell_angle_spread_deg = {v.real(0), v.real(1), v.real(2)}))},
      {"Crystal", {"-mosaic_dom"}, prefix, "n", 1, 1, "10 with a spread", "mosaic domains to average",
       NABLA_SET(e.crystal.mosaic_domains = v.whole(0))},
      {"Crystal", {"-diffuse_sigma"}, own, "A [A A]", 1, 3, "", "diffuse scattering: standard deviations of correlated displacements, one or those along a, c* x a and c* (docs/diffuse.md; with -corrected)",
       NABLA_SET(e.crystal.diffuse_sigma_A = one_or_three(v))},
      {"Crystal", {"-diffuse_gamma"}, own, "A [A A]", 1, 3, "", "lengths over which their correlation falls to 1/e, along the same",
       NABLA_SET(e.crystal.diffuse_gamma_A = one_or_three(v))},
      {"Crystal", {"-diffuse_motion"}, own, "liquid | rigid", 1, 1, "liquid", "what moves together: neighbouring atoms, or each cell as a whole (then without -diffuse_gamma each by itself)",
       NABLA_SET(e.crystal.diffuse_motion = choose<DiffuseMotion>(v, {{"liquid", DiffuseMotion::liquid}, {"rigid", DiffuseMotion::rigid}}))},
      {"Crystal", {"-diffuse_in_F"}, own, "", 0, 0, "", "the structure factors already contain the blur of these displacements; else it weakens the spots",
       NABLA_SET(e.crystal.diffuse_in_F = true)},
      {"Crystal", {"-diffuse_stencil"}, own, "n", 1, 1, "1", "lattice points on either side of the nearest whose halos are summed one by one, 0 to 4; those beyond count with the mean F^2 at their resolution",
       NABLA_SET(e.crystal.diffuse_stencil = v.whole(0))},
      {"Crystal", {"-diffuse_error"}, own, "share", 1, 1, "0", "largest error of a halo, over its peak, that diffuse light summed at few pixels of few orientations may have, 0 to 0.1; 0: at every pixel, of every orientation",
       NABLA_SET(e.crystal.diffuse_error = v.real(0))},
      {"Crystal", {"-density", "-sample_den"}, prefix, "g/cm3", 1, 1, "", "accepted; has no effect, as in nanoBragg",
       NABLA_SET(v.real(0); say_dead(r, v, matter_instead))},
      {"Crystal", {"-MW"}, exact, "g/mol", 1, 1, "", "accepted; has no effect, as in nanoBragg",
       NABLA_SET(v.real(0); say_dead(r, v, matter_instead))},
      {"Crystal", {"-molec"}, prefix, "g/mol", 1, 1, "", "accepted; has no effect, as in nanoBragg",
       NABLA_SET(v.real(0); say_dead(r, v, matter_instead))},

      // ---- Structure factors
      {"Structure factors", {"-hkl"}, prefix, "FILE", 1, 1, "", "structure factors: h k l F text of the P1 cell, MTZ, SF-mmCIF, or a list of XDS, CrystFEL or SHELX (docs/structure-factors.md)",
       NABLA_SET(r.hkl_file = v.text(0))},
      {"Structure factors", {"-hkl_column"}, own, "NAME", 1, 1, "the measured F", "amplitude or intensity of an MTZ or SF-mmCIF file; I or F of a SHELX list or a text",
       NABLA_SET(r.hkl_column = v.text(0))},
      {"Structure factors", {"-model_dmin"}, own, "A", 1, 1, "", "-hkl is an atomic model (PDB, mmCIF, core CIF), and F is calculated to this resolution (docs/anomalous.md)",
       NABLA_SET(r.model_dmin_A = v.real(0); if (!(v.real(0) > 0)) v.fail("needs a resolution in Angstrom, above 0"))},
      {"Structure factors", {"-anomalous"}, own, "element FILE", 2, 2, "of an atom", "f' and f'' of an element of the model of -hkl, in rows of energy [eV], f', f''",
       NABLA_SET(r.dispersion_files[v.text(0)] = v.text(1))},
      {"Structure factors", {"-noanomalous"}, own, "", 0, 0, "", "F of the model of -hkl without f' and f'', whatever the energy",
       NABLA_SET(r.anomalous = false)},
      {"Structure factors", {"-default_F"}, prefix, "F", 1, 1, "0", "amplitude of what the table does not hold [electrons]",
       NABLA_SET(e.structure_factors.default_F = v.real(0))},
      {"Structure factors", {"-interpolate"}, prefix, "", 0, 0, "two cells or fewer", "tricubic interpolation between the reflections",
       NABLA_SET(e.structure_factors.interpolation = Interpolation::tricubic)},
      {"Structure factors", {"-nointerpolate"}, prefix, "", 0, 0, "", "the nearest reflection everywhere",
       NABLA_SET(e.structure_factors.interpolation = Interpolation::nearest)},
      {"Structure factors", {"-dump"}, prefix, "FILE", 1, 1, "Fdump.bin", "name of the cache that -hkl writes and runs without -hkl read",
       NABLA_SET(r.cache_file = v.text(0); r.cache_named = true)},
      {"Structure factors", {"-nocache"}, own, "", 0, 0, "", "neither read nor write the cache",
       NABLA_SET(r.cache_allowed = false)},

      // ---- Detector
      {"Detector", {"-distance"}, prefix, "mm", 1, 1, "100", "from the sample along the beam",
       NABLA_SET(e.detector.distance_mm = v.real(0); imply_pivot(r, Pivot::beam, "-distance"))},
      {"Detector", {"-close_distance"}, prefix, "mm", 1, 1, "", "from the sample along the detector normal; beats -distance",
       NABLA_SET(e.detector.close_distance_mm = v.real(0); imply_pivot(r, Pivot::sample, "-close_distance"))},
      {"Detector", {"-pixel"}, prefix, "mm", 1, 1, "0.1", "pixel size",
       NABLA_SET(e.detector.pixel_mm = v.real(0))},
      {"Detector", {"-detpixels"}, exact, "n", 1, 1, "1024", "pixels along both edges; beats -detsize",
       NABLA_SET(e.detector.fast_pixels = e.detector.slow_pixels = v.whole(0))},
      {"Detector", {"-detpixels_f", "-detpixels_x"}, prefix, "n", 1, 1, "", "pixels along the fast edge",
       NABLA_SET(e.detector.fast_pixels = v.whole(0))},
      {"Detector", {"-detpixels_s", "-detpixels_y"}, prefix, "n", 1, 1, "", "pixels along the slow edge",
       NABLA_SET(e.detector.slow_pixels = v.whole(0))},
      {"Detector", {"-detsize"}, exact, "mm", 1, 1, "102.4", "both edges",
       NABLA_SET(e.detector.fast_size_mm = e.detector.slow_size_mm = v.real(0))},
      {"Detector", {"-detsize_f"}, prefix, "mm", 1, 1, "", "fast edge",
       NABLA_SET(e.detector.fast_size_mm = v.real(0))},
      {"Detector", {"-detsize_s"}, prefix, "mm", 1, 1, "", "slow edge",
       NABLA_SET(e.detector.slow_size_mm = v.real(0))},
      {"Detector", {"-Xbeam"}, prefix, "mm", 1, 1, "middle", "direct-beam position, counted as the convention does (docs/geometry.md)",
       NABLA_SET(e.detector.beam_x_mm = v.real(0); imply_pivot(r, Pivot::beam, "-Xbeam"))},
      {"Detector", {"-Ybeam"}, prefix, "mm", 1, 1, "middle", "the other coordinate",
       NABLA_SET(e.detector.beam_y_mm = v.real(0); imply_pivot(r, Pivot::beam, "-Ybeam"))},
      {"Detector", {"-Xclose"}, prefix, "mm", 1, 1, "", "near point (foot of the normal), fast",
       NABLA_SET(e.detector.close_x_mm = v.real(0); imply_pivot(r, Pivot::sample, "-Xclose"))},
      {"Detector", {"-Yclose"}, prefix, "mm", 1, 1, "", "near point, slow",
       NABLA_SET(e.detector.close_y_mm = v.real(0); imply_pivot(r, Pivot::sample, "-Yclose"))},
      {"Detector", {"-ORGX"}, prefix, "px", 1, 1, "", "near point as XDS counts pixels, fast",
       NABLA_SET(e.detector.org_x_px = v.real(0); imply_pivot(r, Pivot::sample, "-ORGX"))},
      {"Detector", {"-ORGY"}, prefix, "px", 1, 1, "", "near point as XDS counts pixels, slow",
       NABLA_SET(e.detector.org_y_px = v.real(0); imply_pivot(r, Pivot::sample, "-ORGY"))},
      {"Detector", {"-pivot"}, prefix, "beam | sample", 1, 1, "convention", "what stays put when the detector is rotated",
       set_pivot},
      {"Detector", {"-mosflm"}, prefix, "", 0, 0, "on", "MOSFLM's frame and beam centre",
       NABLA_SET(set_convention(r, Convention::mosflm, Pivot::beam))},
      {"Detector", {"-adxv"}, prefix, "", 0, 0, "", "ADXV's",
       NABLA_SET(set_convention(r, Convention::adxv, Pivot::beam))},
      {"Detector", {"-denzo"}, prefix, "", 0, 0, "", "DENZO's",
       NABLA_SET(set_convention(r, Convention::denzo, Pivot::beam))},
      {"Detector", {"-xds"}, prefix, "", 0, 0, "", "XDS's",
       NABLA_SET(set_convention(r, Convention::xds, Pivot::sample))},
      {"Detector", {"-dials"}, prefix, "", 0, 0, "", "DIALS's",
       NABLA_SET(set_convention(r, Convention::dials, Pivot::beam))},
      {"Detector", {"-fdet_vector"}, prefix, "x y z", 3, 3, "0 0 1", "fast axis; this and the next flags choose the custom convention",
       NABLA_SET(set_custom(r, r.fast_axis, v))},
      {"Detector", {"-sdet_vector"}, prefix, "x y z", 3, 3, "0 -1 0", "slow axis",
       NABLA_SET(set_custom(r, r.slow_axis, v))},
      {"Detector", {"-odet_vector"}, prefix, "x y z", 3, 3, "1 0 0", "normal, away from the sample",
       NABLA_SET(set_custom(r, r.normal, v))},
      {"Detector", {"-beam_vector"}, prefix, "x y z", 3, 3, "1 0 0", "direction of the beam",
       NABLA_SET(set_custom(r, r.beam, v))},
      {"Detector", {"-polar_vector"}, prefix, "x y z", 3, 3, "0 0 1", "direction of the E vector",
       NABLA_SET(set_custom(r, r.polarization_axis, v))},
      {"Detector", {"-spindle_axis"}, prefix, "x y z", 3, 3, "0 0 1", "axis of phi, right-handed",
       NABLA_SET(set_custom(r, r.spindle, v))},
      {"Detector", {"-twotheta_axis"}, prefix, "x y z", 3, 3, "0 1 0", "axis of two-theta",
       NABLA_SET(set_custom(r, r.two_theta_axis, v); if (e.quirks.two_theta_axis_is_two_theta) {
         r.two_theta_axis_set_angle |= e.detector.two_theta_deg != v.real(0);
         e.detector.two_theta_deg = v.real(0);
         r.parsed_pivot = Pivot::sample;
       })},
      {"Detector", {"-pix0_vector"}, prefix, "x y z", 3, 3, "", "corner of pixel (0,0) from the sample [m], before rotations (with -corrected)",
       NABLA_SET(set_custom(r, r.origin_m, v); r.pix0_given = true)},
      {"Detector", {"-pix0_vector_mm"}, own, "x y z", 3, 3, "", "the same in mm",
       NABLA_SET(set_custom(r, r.origin_m, v); r.origin_m = *r.origin_m / 1000.0; r.pix0_given = true)},
      {"Detector", {"-detector_rotx"}, prefix, "degree", 1, 1, "0", "rotate the detector about laboratory x",
       NABLA_SET(e.detector.rotation_deg.x = v.real(0))},
      {"Detector", {"-detector_roty"}, prefix, "degree", 1, 1, "0", "then about y",
       NABLA_SET(e.detector.rotation_deg.y = v.real(0))},
      {"Detector", {"-detector_rotz"}, prefix, "degree", 1, 1, "0", "then about z",
       NABLA_SET(e.detector.rotation_deg.z = v.real(0))},
      {"Detector", {"-twotheta"}, prefix, "degree", 1, 1, "0", "then about the two-theta axis",
       NABLA_SET(e.detector.two_theta_deg = v.real(0); r.parsed_pivot = Pivot::sample; r.two_theta_axis_set_angle = false; r.header_two_theta_deg = 0)},
      {"Detector", {"-curved_det"}, prefix, "", 0, 0, "", "all pixels at the same distance from the sample",
       NABLA_SET(e.detector.curved = true)},
      {"Detector", {"-point_pixel"}, prefix, "", 0, 0, "", "leave the obliquity out of the solid angle",
       NABLA_SET(e.detector.point_pixel = true)},
      {"Detector", {"-detector_abs"}, prefix, "um | inf", 1, 1, "", "attenuation depth of the sensor; inf: everything is captured",
       set_depth},
      {"Detector", {"-detector_thick"}, exact, "um", 1, 1, "0", "thickness of the sensor",
       NABLA_SET(e.detector.sensor_thickness_um = v.real(0))},
      {"Detector", {"-detector_thicksteps", "-thicksteps"}, prefix, "n", 1, 1, "2 with a thickness, of a material one each 50 um", "layers of the sensor",
       NABLA_SET(e.detector.sensor_layers = v.whole(0))},
      {"Detector", {"-panel"}, own, "N | NAME", 1, 1, "", "of several panels the one, counted from 0, that -roi, -trace_pixel and -printout_pixel behind it are of",
       set_panel},
      {"Detector", {"-roi"}, prefix, "xmin xmax ymin ymax", 4, 4, "all", "pixels to compute, both ends included; negative: to the edge; of several panels those that have one",
       set_roi},
      {"Detector", {"-sensor"}, own, "MATERIAL um", 2, 2, "", "material (Si, CdTe, GaAs, Ge...) and thickness of the sensor; gives its attenuation at the wavelength",
       NABLA_SET(e.detector.sensor_material = v.text(0); e.detector.sensor_thickness_um = v.real(1); e.detector.attenuation_depth_um.reset())},
      {"Detector", {"-detector"}, own, "NAME | FILE.geom", 1, 1, "", "a detector by its name (nablabragg detectors lists them), or the geometry of a CrystFEL file",
       NABLA_SET(r.geometry_file = v.text(0))},
      {"Detector", {"-expt"}, own, "FILE", 1, 1, "", "detector, beam, goniometer, scan and crystal of a dxtbx experiment list",
       NABLA_SET(r.geometry_file = v.text(0))},
      {"Detector", {"-img"}, prefix, "FILE", 1, 1, "", "take the geometry from this image (SMV, CBF, NXmx; docs/files.md); flags win over an SMV header",
       NABLA_SET(r.image_file = v.text(0))},
      {"Detector", {"-mask"}, prefix, "FILE", 1, 1, "", "image whose zeros are pixels to skip",
       NABLA_SET(r.mask_file = v.text(0))},

      // ---- Beam
      {"Beam", {"-lambda", "-wave"}, prefix, "Angstrom", 1, 1, "1", "wavelength",
       NABLA_SET(e.beam.wavelength_A = v.real(0))},
      {"Beam", {"-energy"}, prefix, "eV", 1, 1, "", "photon energy; the last of -lambda and -energy counts",
       NABLA_SET(if (!(v.real(0) > 0)) v.fail("needs a positive energy in eV"); e.beam.wavelength_A = units::angstrom_from_ev(v.real(0)))},
      {"Beam", {"-fluence"}, prefix, "photons/m2", 1, 1, "1.25932e+29", "incident photons",
       NABLA_SET(e.beam.fluence_per_m2 = v.real(0))},
      {"Beam", {"-flux"}, prefix, "photons/s", 1, 1, "", "with -exposure and -beamsize replaces the fluence",
       NABLA_SET(e.beam.flux_per_s = v.real(0))},
      {"Beam", {"-exposure"}, prefix, "s", 1, 1, "1", "exposure time",
       NABLA_SET(e.beam.exposure_s = v.real(0))},
      {"Beam", {"-beamsize"}, prefix, "mm", 1, 1, "0.1", "edge of the square beam; clips the crystal",
       NABLA_SET(e.beam.size_mm = v.real(0))},
      {"Beam", {"-dispersion"}, prefix, "percent", 1, 1, "0", "full width of the spectrum",
       NABLA_SET(e.beam.dispersion_percent.range = v.real(0))},
      {"Beam", {"-spectrum_model"}, own, "uniform | gaussian", 1, 1, "uniform", "distribution of wavelengths; gaussian, in wavenumber: -dispersion is the full width at half maximum (with -corrected)",
       NABLA_SET(e.beam.spectrum_model = distribution_named(v))},
      {"Beam", {"-dispsteps"}, prefix, "n", 1, 1, "2 with a dispersion", "wavelengths in it",
       NABLA_SET(e.beam.dispersion_percent.steps = v.whole(0))},
      {"Beam", {"-divergence"}, prefix, "mrad", 1, 1, "0", "full divergence, both ways",
       NABLA_SET(e.beam.horizontal_divergence_mrad.range = e.beam.vertical_divergence_mrad.range = v.real(0))},
      {"Beam", {"-beam_model"}, own, "uniform | gaussian", 1, 1, "uniform", "distribution of the beam's directions; gaussian: -divergence, -hdivrange and -vdivrange are full widths at half maximum (with -corrected)",
       NABLA_SET(e.beam.divergence_model = distribution_named(v))},
      {"Beam", {"-hdivrange"}, prefix, "mrad", 1, 1, "0", "full horizontal divergence",
       NABLA_SET(e.beam.horizontal_divergence_mrad.range = v.real(0))},
      {"Beam", {"-vdivrange"}, prefix, "mrad", 1, 1, "0", "full vertical divergence",
       NABLA_SET(e.beam.vertical_divergence_mrad.range = v.real(0))},
      {"Beam", {"-hdivstep"}, exact, "mrad", 1, 1, "", "between horizontal points",
       NABLA_SET(e.beam.horizontal_divergence_mrad.step = v.real(0))},
      {"Beam", {"-vdivstep"}, exact, "mrad", 1, 1, "", "between vertical points",
       NABLA_SET(e.beam.vertical_divergence_mrad.step = v.real(0))},
      {"Beam", {"-hdivsteps"}, prefix, "n", 1, 1, "", "horizontal points",
       NABLA_SET(e.beam.horizontal_divergence_mrad.steps = v.whole(0))},
      {"Beam", {"-vdivsteps"}, prefix, "n", 1, 1, "", "vertical points",
       NABLA_SET(e.beam.vertical_divergence_mrad.steps = v.whole(0))},
      {"Beam", {"-divsteps"}, prefix, "n", 1, 1, "", "points both ways",
       NABLA_SET(e.beam.horizontal_divergence_mrad.steps = e.beam.vertical_divergence_mrad.steps = v.whole(0))},
      {"Beam", {"-round_div"}, prefix, "", 0, 0, "on", "only the points inside the ellipse",
       NABLA_SET(e.beam.round_divergence = true)},
      {"Beam", {"-square_div"}, prefix, "", 0, 0, "", "the whole grid",
       NABLA_SET(e.beam.round_divergence = false)},
      {"Beam", {"-beam_tilt"}, own, "mrad mrad", 2, 2, "0 0", "by which the light comes in beside the beam's direction, horizontal and vertical, before a detector that stays where it is (with -corrected)",
       NABLA_SET(e.beam.tilt_horizontal_mrad = v.real(0); e.beam.tilt_vertical_mrad = v.real(1))},
      {"Beam", {"-beam_jitter"}, own, "mrad", 1, 1, "0", "standard deviation of -beam_tilt from image to image of a series, along both axes; follows from -seed (docs/series.md)",
       NABLA_SET(r.beam_jitter_mrad = v.real(0); if (!(v.real(0) >= 0)) v.fail("needs a standard deviation in mrad, not a negative one"))},
      {"Beam", {"-sourcefile"}, prefix, "FILE", 1, 1, "", "X Y Z weight wavelength(m) a line; replaces divergence and dispersion",
       NABLA_SET(r.source_file = v.text(0))},
      {"Beam", {"-source_lambda"}, own, "file | cli", 1, 1, "file", "wavelength of listed sources: their column, or -lambda",
       NABLA_SET((r.source_wavelength_from_cli = choose<bool>(v, {{"file", false}, {"cli", true}})))},
      {"Beam", {"-spectrum"}, own, "FILE", 1, 1, "", "energies or wavelengths and their weights, two columns (docs/beamline.md); replaces -lambda and -dispersion (with -corrected)",
       NABLA_SET(r.spectrum_file = v.text(0))},
      {"Beam", {"-spectrum_unit"}, own, "eV | keV | A", 1, 1, "as the file says", "what its first column is, or the axis of -spectra",
       NABLA_SET((r.spectrum_unit = choose<SpectrumUnit>(v, {{"eV", SpectrumUnit::eV}, {"keV", SpectrumUnit::keV}, {"A", SpectrumUnit::angstrom}})))},
      {"Beam", {"-spectrum_channels"}, own, "n", 1, 1, "all rows", "thin the spectrum, or each of -spectra, to so many channels of equal widths in energy",
       NABLA_SET(if (v.whole(0) < 1) v.fail("needs a whole number of channels, 1 or more"); r.spectrum_channels = v.whole(0))},
      {"Beam", {"-polar"}, exact, "K", 1, 1, "0", "Kahn polarization factor: 0 unpolarized, 1 polarized",
       NABLA_SET(e.beam.polarization_fraction = v.real(0); e.beam.polarization_correction = true)},
      {"Beam", {"-nopolar"}, prefix, "", 0, 0, "", "no polarization factor",
       NABLA_SET(e.beam.polarization_correction = false)},
      {"Beam", {"-water"}, prefix, "um", 1, 1, "0", "edge of a cube of water around the crystal",
       NABLA_SET(e.water_um = v.real(0))},
      {"Beam", {"-background"}, own, "FILE mm g/cm^3 g/mol [FORMULA]", 4, 5, "", "a material in the beam: F of a molecule against sin(theta)/lambda, its thickness, density and molar mass; with what the molecule is, as H2O, its Compton scattering, too (included: F holds it); may be given again (with -corrected; docs/background.md)",
       NABLA_SET(set_background(r, v)), any_word},
      {"Beam", {"-background_interpolation"}, own, "linear | cubic | nonbragg", 1, 1, "linear", "of F between the rows of -background",
       NABLA_SET((r.background_interpolation = choose<MaterialInterpolation>(v, {{"linear", MaterialInterpolation::linear}, {"cubic", MaterialInterpolation::cubic}, {"nonbragg", MaterialInterpolation::nonbragg}})); r.background_part = std::string(v.flag()))},
      {"Beam", {"-air"}, own, "from to", 2, 2, "", "air along the beam between two places [mm], the sample at 0 (with -corrected)",
       NABLA_SET(r.gas_path_mm = {v.real(0), v.real(1)}; if (!(v.real(1) > v.real(0))) v.fail("needs where the path begins and then where it ends, in mm along the beam"))},
      {"Beam", {"-air_gas"}, own, "air | helium", 1, 1, "air", "what fills the path of -air",
       NABLA_SET((r.gas.gas = choose<Gas>(v, {{"air", Gas::air}, {"helium", Gas::helium}})); r.gas_part = std::string(v.flag()))},
      {"Beam", {"-air_temperature"}, own, "kelvin", 1, 1, "293.15", "of the gas of -air",
       NABLA_SET(r.gas.temperature_K = v.real(0); if (!(v.real(0) > 0)) v.fail("needs a positive temperature in K"); r.gas_part = std::string(v.flag()))},
      {"Beam", {"-air_pressure"}, own, "kPa", 1, 1, "101.325", "of the gas of -air",
       NABLA_SET(r.gas.pressure_kPa = v.real(0); if (!(v.real(0) > 0)) v.fail("needs a positive pressure in kPa"); r.gas_part = std::string(v.flag()))},
      {"Beam", {"-ice"}, own, "um", 1, 1, "0", "thickness of hexagonal ice in the beam, a powder (with -corrected)",
       NABLA_SET(r.ice.thickness_um = v.real(0); if (!(v.real(0) >= 0)) v.fail("needs a thickness in um, not a negative one"))},
      {"Beam", {"-ice_cell"}, own, "A A", 2, 2, "4.4975 7.3224", "edges a and c of -ice; the default is at about 100 K",
       NABLA_SET(r.ice.a_A = v.real(0); r.ice.c_A = v.real(1); if (!(v.real(0) > 0) || !(v.real(1) > 0)) v.fail("needs two positive edges in Angstrom"); r.ice_part = std::string(v.flag()))},
      {"Beam", {"-ice_size"}, own, "A", 1, 1, "300", "of the crystals of -ice, which broadens the rings",
       NABLA_SET(r.ice.size_A = v.real(0); if (!(v.real(0) > 0)) v.fail("needs a positive size in Angstrom"); r.ice_part = std::string(v.flag()))},
      {"Beam", {"-ice_B"}, own, "A^2", 1, 1, "1.4", "B factor of the atoms of -ice",
       NABLA_SET(r.ice.B_A2 = v.real(0); if (!(v.real(0) >= 0)) v.fail("needs a B factor in A^2, not a negative one"); r.ice_part = std::string(v.flag()))},
      {"Beam", {"-beamstop_distance"}, own, "mm", 1, 1, "0", "from the sample to a beamstop, along the beam (with -corrected; docs/background.md)",
       NABLA_SET(e.beamstop.distance_mm = v.real(0))},
      {"Beam", {"-beamstop_radius"}, own, "mm", 1, 1, "0", "of the disk that stops the direct beam; 0: there is no beamstop",
       NABLA_SET(e.beamstop.radius_mm = v.real(0))},
      {"Beam", {"-beamstop_offset"}, own, "mm mm", 2, 2, "0 0", "from the beam to the middle of the disk, along the fast and slow axes of the first panel",
       NABLA_SET(e.beamstop.offset_fast_mm = v.real(0); e.beamstop.offset_slow_mm = v.real(1))},
      {"Beam", {"-beamstop_transmission"}, own, "fraction", 1, 1, "0", "of the light that meets the beamstop, and of the beam",
       NABLA_SET(e.beamstop.transmission = v.real(0))},
      {"Beam", {"-beamstop_arm_width"}, own, "mm", 1, 1, "0", "of a bar from the beam outwards that holds the beamstop",
       NABLA_SET(e.beamstop.arm_width_mm = v.real(0))},
      {"Beam", {"-beamstop_arm_angle"}, own, "degree", 1, 1, "0", "direction of this bar, from the fast towards the slow axis of the first panel",
       NABLA_SET(e.beamstop.arm_deg = v.real(0))},
      {"Beam", {"-beamstop_ring_share"}, own, "fraction", 1, 1, "0", "of the photons in the beam that the edge of the beamstop scatters into a ring",
       NABLA_SET(e.beamstop.ring_share = v.real(0))},
      {"Beam", {"-beamstop_ring_angle"}, own, "degree", 1, 1, "0", "of this ring's maximum to the beam, from the beamstop",
       NABLA_SET(e.beamstop.ring_deg = v.real(0))},
      {"Beam", {"-beamstop_ring_width"}, own, "degree", 1, 1, "0", "of this ring: standard deviation of a Gaussian",
       NABLA_SET(e.beamstop.ring_width_deg = v.real(0))},
      {"Beam", {"-coherent"}, prefix, "", 0, 0, "", "accepted; has no effect, as in nanoBragg",
       NABLA_SET(say_dead(r, v))},

      // ---- Sampling
      {"Sampling", {"-phi"}, exact, "degree", 1, 1, "0", "spindle angle where the scan begins",
       NABLA_SET(e.scan.phi_deg = v.real(0))},
      {"Sampling", {"-osc"}, prefix, "degree", 1, 1, "0", "width of the scan; a negative one turns the other way (with -corrected)",
       NABLA_SET(e.scan.oscillation_deg.range = v.real(0))},
      {"Sampling", {"-phistep"}, exact, "degree", 1, 1, "", "between phi steps",
       NABLA_SET(e.scan.oscillation_deg.step = v.real(0))},
      {"Sampling", {"-phisteps"}, prefix, "n", 1, 1, "2 with a scan", "phi steps",
       NABLA_SET(e.scan.oscillation_deg.steps = v.whole(0))},
      {"Sampling", {"-oversample"}, prefix, "n", 1, 1, "automatic", "sub-pixels along each edge of a pixel",
       NABLA_SET(e.sampling.oversample = v.whole(0))},
      {"Sampling", {"-oversample_thick"}, prefix, "", 0, 0, "", "capture fraction at every sub-pixel",
       NABLA_SET(e.sampling.oversample_thick = true)},
      {"Sampling", {"-oversample_polar"}, prefix, "", 0, 0, "", "polarization at every sub-pixel",
       NABLA_SET(e.sampling.oversample_polar = true)},
      {"Sampling", {"-oversample_omega"}, prefix, "", 0, 0, "", "solid angle at every sub-pixel",
       NABLA_SET(e.sampling.oversample_omega = true)},
      {"Sampling", {"-dmin"}, prefix, "Angstrom", 1, 1, "0", "leave out what scatters to smaller d-spacings",
       NABLA_SET(e.sampling.dmin_A = v.real(0))},
      {"Sampling", {"-seed"}, prefix, "n", 1, 1, "the clock", "random seed of the noise",
       NABLA_SET(r.seed = v.seed(0))},
      {"Sampling", {"-mosaic_seed"}, prefix, "n", 1, 1, "12345678", "random seed of the mosaic domains",
       NABLA_SET(e.crystal.mosaic_seed = v.seed(0))},
      {"Sampling", {"-misset_seed"}, prefix, "n", 1, 1, "as -seed", "random seed of -misset random",
       NABLA_SET(r.misset_seed = v.seed(0))},
      {"Sampling", {"-stol"}, exact, "FILE", 1, 1, "", "read, and like nanoBragg not used",
       NABLA_SET(r.stol_files.push_back(v.text(0)); say_dead(r, v, matter_instead))},
      {"Sampling", {"-4stol"}, exact, "FILE", 1, 1, "", "read, and like nanoBragg not used",
       NABLA_SET(r.stol_files.push_back(v.text(0)); say_dead(r, v, matter_instead))},
      {"Sampling", {"-Q"}, exact, "FILE", 1, 1, "", "read, and like nanoBragg not used",
       NABLA_SET(r.stol_files.push_back(v.text(0)); say_dead(r, v, matter_instead))},
      {"Sampling", {"-stolout"}, prefix, "FILE", 1, 1, "", "accepted; nothing is written, as in nanoBragg",
       NABLA_SET(say_dead(r, v))},

      // ---- Series
      {"Series", {"-images"}, own, "n", 1, 1, "one image", "a series: a scan of so many images, each of the width of -osc, or of -orientations the first so many; files are named sweep_####.cbf, or one sweep.nxs holds all (docs/series.md)",
       set_images},
      {"Series", {"-orientations"}, own, "FILE | random:SEED", 1, 1, "", "a series of stills: a line for each, the angles of -misset [degree] or a rotation matrix of nine numbers, row by row; or -images of them, uniform over all orientations",
       NABLA_SET(r.orientations = v.text(0))},
      {"Series", {"-spectra"}, own, "FILE | FILE:/PATH", 1, 1, "", "a series in the light of shots: HDF5 or numpy's .npz with a row of weights for each image, and their axis (docs/series.md); replaces -lambda and -dispersion (with -corrected)",
       NABLA_SET(r.spectra_file = v.text(0))},
      {"Series", {"-spectra_scale"}, own, "relative | absolute", 1, 1, "relative", "what the sum of a row says: nothing, or the photons of its shot, the mean of which are those of the beam",
       NABLA_SET((r.shot_light = choose<ShotLight>(v, {{"relative", ShotLight::relative}, {"absolute", ShotLight::absolute}})))},
      {"Series", {"-continue"}, own, "", 0, 0, "", "go on with a series that was interrupted: images that are complete stay",
       NABLA_SET(r.goes_on = true)},

      // ---- Output
      {"Output", {"-floatfile", "-floatimage"}, prefix, "FILE", 1, 1, "floatimage.bin", "photons as raw 32-bit floats",
       NABLA_SET(r.float_file.set(v.text(0)))},
      {"Output", {"-intfile", "-intimage"}, prefix, "FILE", 1, 1, "intimage.img", "scaled 16-bit SMV image without noise",
       NABLA_SET(r.int_file.set(v.text(0)))},
      {"Output", {"-noisefile", "-noiseimage"}, prefix, "FILE", 1, 1, "noiseimage.img", "16-bit SMV image with Poisson noise",
       NABLA_SET(r.noise_file.set(v.text(0)))},
      {"Output", {"-pgmfile", "-pgmimage"}, prefix, "FILE", 1, 1, "image.pgm", "8-bit portable greymap",
       NABLA_SET(r.pgm_file.set(v.text(0)))},
      {"Output", {"-o"}, own, "FILE", 1, 1, "", "an image in the format of the name's ending, with its geometry (docs/files.md): counts with noise, or with -nonoise photons; may be given again",
       NABLA_SET(r.output_files.push_back(v.text(0)))},
      {"Output", {"-compression"}, own, "deflate | bitshuffle_lz4", 1, 1, "deflate", "how the images of -o are packed where their format has a choice (NXmx); bitshuffle_lz4 needs HDF5's filter 32008",
       set_compression},
      {"Output", {"-nonoise"}, prefix, "", 0, 0, "", "no noise image",
       NABLA_SET(r.noise_file.on = false)},
      {"Output", {"-nopgm"}, prefix, "", 0, 0, "", "no greymap",
       NABLA_SET(r.pgm_file.on = false)},
      {"Output", {"-scale"}, prefix, "x", 1, 1, "maximum to 55000", "scale of the integer image",
       NABLA_SET(r.int_scale = in_counts(r, v, HUGE_VAL))},
      {"Output", {"-pgmscale"}, prefix, "x", 1, 1, "5 sigma to 250", "scale of the greymap; turns it on",
       NABLA_SET(r.pgm_scale = in_counts(r, v, HUGE_VAL); r.pgm_file.on = true)},
      {"Output", {"-adc"}, prefix, "x", 1, 1, "40", "offset of the integer and noise images",
       NABLA_SET(r.adc = in_counts(r, v, 65535))},
      {"Output", {"-truth"}, own, "FILE", 1, 1, "", "HDF5 of what the light of each pixel is made of: lattice, water and materials apart, and whose reflection it is (docs/truth.md; with -corrected)",
       NABLA_SET(r.truth_file = v.text(0))},
      {"Output", {"-pngfile"}, own, "FILE", 1, 1, "", "PNG picture, a point for each pixel unless -pngaxes puts a frame around it (docs/pictures.md)",
       NABLA_SET(r.png_file = v.text(0))},
      {"Output", {"-pngscale"}, own, "linear|log|sqrt", 1, 1, "sqrt", "how photons become grey",
       NABLA_SET((r.picture.scale = choose<PictureScale>(v, {{"linear", PictureScale::linear}, {"log", PictureScale::log}, {"sqrt", PictureScale::sqrt}})))},
      {"Output", {"-pngwhite"}, own, "photons", 1, 1, "99.9th percentile", "photons of a white pixel",
       NABLA_SET(r.picture.white_photons = v.real(0); if (!(r.picture.white_photons > 0)) v.fail("needs a positive number of photons"))},
      {"Output", {"-pngbits"}, own, "8|16", 1, 1, "8", "bits of a pixel",
       NABLA_SET((r.picture.bits = choose<int>(v, {{"8", 8}, {"16", 16}})))},
      {"Output", {"-pngnoise"}, own, "", 0, 0, "", "make the picture from the noise image",
       NABLA_SET(r.png_of_noise = true)},
      {"Output", {"-pnginvert"}, own, "", 0, 0, "", "dark spots on white, as on film",
       NABLA_SET(r.picture.inverted = true)},
      {"Output", {"-pngcolors"}, own, "grey|heat", 1, 1, "grey", "colours of the picture; heat: black, violet, red, orange, white, in steps that look equally large",
       NABLA_SET((r.picture.colors = choose<PictureColors>(v, {{"grey", PictureColors::grey}, {"heat", PictureColors::heat}})))},
      {"Output", {"-pngaxes"}, own, "", 0, 0, "", "axes in pixels and mm around the picture, a cross where the direct beam meets the panel, outlines of several panels, a bar with the photons of the colours",
       NABLA_SET(r.picture.axes = true)},
      {"Output", {"-pngrings"}, own, "d,d,...", 1, 1, "none", "resolution rings of these d-spacings [Angstrom]: 2,3,5",
       set_rings},
      {"Output", {"-pngshrink"}, own, "n", 1, 1, "1", "n x n pixels become one point of the picture, the largest of them",
       NABLA_SET(r.picture.reduced = v.whole(0); if (r.picture.reduced < 1) v.fail("needs a number of pixels, 1 or more"))},

      // ---- Detector response
      {"Detector response", {"-response"}, own, "counting | integrating", 1, 1, "", "the counts of -noisefile and -o are what such a detector records, step by step (with -corrected; docs/detector-response.md)",
       NABLA_SET(r.responds = true; r.response.kind = choose<DetectorResponse::Kind>(v, {{"counting", DetectorResponse::Kind::counting}, {"integrating", DetectorResponse::Kind::integrating}}))},
      {"Detector response", {"-psf"}, own, "gauss | fiber", 1, 1, "none", "point spread: a Gaussian, or that of a fibre-optic taper; of the mean photons of a counting detector, of the signal of an integrating one",
       set_point_spread},
      {"Detector response", {"-psf_fwhm"}, own, "um", 1, 1, "46", "full width at half maximum of -psf",
       set_psf_fwhm},
      {"Detector response", {"-flicker"}, own, "fraction", 1, 1, "0", "standard deviation of the beam's intensity, image by image",
       NABLA_SET(set_response(r, v, &DetectorResponse::flicker))},
      {"Detector response", {"-calibration"}, own, "fraction", 1, 1, "0", "standard deviation of what a pixel absorbs, the same pattern in all images",
       NABLA_SET(set_response(r, v, &DetectorResponse::calibration))},
      {"Detector response", {"-calib_seed"}, own, "n", 1, 1, "123456789", "random seed of the patterns of -calibration and -gain_spread, and of dead and hot pixels",
       NABLA_SET(r.response_part = v.flag(); r.response.calibration_seed = v.seed(0))},
      {"Detector response", {"-calibration_map"}, own, "FILE", 1, 1, "", "image of what each pixel absorbs, as factors; one without a number absorbs nothing",
       NABLA_SET(r.response_part = v.flag(); r.calibration_map_file = v.text(0))},
      {"Detector response", {"-dead_pixels"}, own, "fraction", 1, 1, "0", "share of the pixels that see nothing, the same in all images",
       NABLA_SET(set_response(r, v, &DetectorResponse::dead_pixels))},
      {"Detector response", {"-hot_pixels"}, own, "fraction", 1, 1, "0", "share of the pixels that hold the largest count, the same in all images",
       NABLA_SET(set_response(r, v, &DetectorResponse::hot_pixels))},
      {"Detector response", {"-dead_time"}, own, "ns [paralysable]", 1, 2, "0", "of a counting detector after each photon that it counts, or with the word after each photon; of -exposure",
       NABLA_SET(set_response(r, v, &DetectorResponse::dead_time_ns); r.response.dead_time_model = v.count() > 1 ? DetectorResponse::DeadTime::paralysable : DetectorResponse::DeadTime::nonparalysable), "paralysable"},
      {"Detector response", {"-photon_spread"}, own, "fraction", 1, 1, "0", "of an integrating detector: standard deviation of the signal of one photon, of that signal",
       NABLA_SET(set_response(r, v, &DetectorResponse::photon_spread))},
      {"Detector response", {"-gain"}, own, "counts/photon", 1, 1, "the panel's, 1", "of an integrating detector, of all panels",
       set_gain},
      {"Detector response", {"-gain_spread"}, own, "fraction", 1, 1, "0", "of an integrating detector: standard deviation of the gain of a pixel, the same pattern in all images",
       NABLA_SET(set_response(r, v, &DetectorResponse::gain_spread))},
      {"Detector response", {"-gain_map"}, own, "FILE", 1, 1, "", "of an integrating detector: image of each pixel's gain, as factors of -gain; one without a number has none",
       NABLA_SET(r.response_part = v.flag(); r.gain_map_file = v.text(0))},
      {"Detector response", {"-photon_charge"}, own, "electrons", 1, 1, "", "of an integrating detector: what a photon sets free in the pixel, for -dark_current and -full_well (12.4 keV in silicon: about 3400)",
       NABLA_SET(set_response(r, v, &DetectorResponse::photon_charge_e))},
      {"Detector response", {"-dark_current"}, own, "electrons/s", 1, 1, "0", "of an integrating detector, of each pixel; for as long as -exposure",
       NABLA_SET(set_response(r, v, &DetectorResponse::dark_current_e_s))},
      {"Detector response", {"-full_well"}, own, "electrons", 1, 1, "none", "of an integrating detector: the largest charge of a pixel",
       NABLA_SET(set_response(r, v, &DetectorResponse::full_well_e))},
      {"Detector response", {"-readout_noise"}, own, "counts", 1, 1, "0", "of an integrating detector: standard deviation; -adc is the offset that it is added to, in every format",
       NABLA_SET(set_response(r, v, &DetectorResponse::readout_noise))},
      {"Detector response", {"-bits"}, own, "n", 1, 1, "the panel's saturation", "of the counter or of the converter, which records no more than 2^n - 1",
       set_bits},

      // ---- Running
      {"Running", {"-corrected"}, own, "", 0, 0, "", "right physics instead of nanoBragg's quirks (docs/differences.md)",
       NABLA_SET()},
      {"Running", {"-compat"}, own, "", 0, 0, "on", "nanoBragg's image, bug for bug",
       NABLA_SET()},
      {"Running", {"-threads"}, own, "n", 1, 1, "all", "threads; the image does not depend on them",
       NABLA_SET(r.threads = v.whole(0); if (r.threads < 0) v.fail("needs a number of threads, or 0 for all"))},
      {"Running", {"-engine"}, own, "reference | cpu | cuda", 1, 1, "cpu", "who computes: plain loops in double precision, SIMD lanes and tiles, or a GPU (cuda:1 is the second one)",
       NABLA_SET(choose_engine_of(r, v, "reference, cpu, cuda"))},
      {"Running", {"-dtype"}, own, "float32 | float64", 1, 1, "float32", "precision of the cpu and cuda engines; the reference engine is always double",
       NABLA_SET((r.precision = choose<Precision>(v, {{"float32", Precision::float32}, {"float64", Precision::float64}})))},
      {"Running", {"-device"}, own, "cpu | cuda | auto", 1, 1, "cpu", "the same as -engine; auto: a GPU where one is at hand, can do it and is faster, otherwise cpu",
       NABLA_SET(choose_engine_of(r, v, "cpu, cuda, auto"))},
      {"Running", {"-summation"}, own, "auto | closed | sampled", 1, 1, "auto", "how steps are summed: one by one, or in closed form (docs/closed-form.md); auto: closed where a gaussian model is given and nothing stands against it",
       NABLA_SET((e.sampling.summation = choose<Summation>(v, {{"auto", Summation::automatic}, {"closed", Summation::closed}, {"sampled", Summation::sampled}})))},
      {"Running", {"-skip_below"}, own, "photons", 1, 1, "1.17549e-38; closed form: 1e-6", "what adds less than this to a pixel may be left out; 0: nothing but what a float cannot hold",
       NABLA_SET(r.skip_below = v.real(0); if (r.skip_below < 0) v.fail("needs a number of photons that is not negative"))},
      {"Running", {"-profile"}, own, "FILE", 1, 1, "", "where the time went, stage by stage and thread by thread, for ui.perfetto.dev or chrome://tracing",
       NABLA_SET(r.profile_file = v.text(0))},
      {"Running", {"-progress"}, prefix, "", 0, 0, "on a terminal", "show a progress bar",
       NABLA_SET(r.progress = true)},
      {"Running", {"-noprogress"}, prefix, "", 0, 0, "", "show none",
       NABLA_SET(r.progress = false)},
      {"Running", {"-quiet"}, own, "", 0, 0, "", "no summary and no progress bar; what -printout and -trace_pixel ask for is printed, warnings stay on standard error",
       NABLA_SET(r.quiet = true)},
      {"Running", {"-printout"}, prefix, "[plan]", 0, 1, "", "print what made every pixel (its last step); with the word plan: which code computed the image, why, and how fast",
       set_printout, "plan"},
      {"Running", {"-printout_pixel"}, prefix, "fast slow", 2, 2, "", "the same for one pixel",
       set_printout_pixel},
      {"Running", {"-trace_pixel", "-dump_pixel"}, own, "slow fast", 2, 2, "", "print every factor of this pixel, step by step; with -response also what it holds behind each step of the detector",
       set_trace_pixel},
      {"Running", {"-trace_format"}, own, "table|json", 1, 1, "table", "how -trace_pixel prints",
       NABLA_SET((r.trace_format = choose<TraceFormat>(v, {{"table", TraceFormat::table}, {"json", TraceFormat::json}})))},
      {"Running", {"-trace_steps"}, own, "n", 1, 1, "100", "steps that -trace_pixel prints; 0: all",
       NABLA_SET(r.trace_steps = v.whole(0))},
      {"Running", {"-help", "-h"}, own, "", 0, 0, "", "this text",
       NABLA_SET(r.help = true)},
      {"Running", {"-version"}, own, "", 0, 0, "", "the program's version",
       NABLA_SET(r.version = true)},
  };
  // clang-format on
  const auto next = std::find_if(flags.begin(), flags.end(), [](const Flag& flag) {
    return flag.spellings.front() == "-fudge";
  });
  const std::vector<Flag> shapes = flags_of_shapes();
  flags.insert(next, shapes.begin(), shapes.end());
  return flags;
}

const std::vector<Flag>& table() {
  static const std::vector<Flag> flags = make_table();
  return flags;
}

#undef NABLA_SET

/// Some prefix flags have a spelling that only counts whole: what follows would be another flag.
bool exact_only(const Flag& flag, std::string_view spelling) {
  return flag.match != Match::prefix || spelling == "-mosaic";
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return lower;
}

std::string_view without_double_dash(std::string_view argument) {
  return argument.starts_with("--") ? argument.substr(1) : argument;
}

}  // namespace

bool is_number(const std::string& text) {
  bool ok = false;
  parsed_real(text, ok);
  return ok;
}

std::string with_plain_dash(const std::string& word) {
  const std::size_t bytes = typeset_dash(word);
  return bytes > 0 ? '-' + word.substr(bytes) : word;
}

void Values::fail(const std::string& problem) const {
  std::string all;
  for (const std::string& argument : arguments_)
    all.append(all.empty() ? "" : " ").append(argument);
  throw UsageError(std::string(flag_) + ' ' + problem +
                   (arguments_.empty() ? "" : ", not '" + all + "'"));
}

double Values::real(int i) const {
  bool ok = false;
  const double value = parsed_real(text(i), ok);
  if (!ok)
    throw UsageError(std::string(flag_) + " needs a number, not '" + text(i) + '\'' +
                     hint_at_number(flag_, text(i)));
  return value * unit_;
}

int Values::whole(int i) const {
  const std::int64_t value = seed(i);
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    throw UsageError(std::string(flag_) + ": " + text(i) + " is too large");
  return static_cast<int>(value);
}

std::int64_t Values::seed(int i) const {
  // 1024.0 is a whole number in every reading; 1e3 is not: nanoBragg reads it as 1.
  std::string digits = text(i);
  if (const auto point = digits.find('.');
      point != std::string::npos && digits.find_first_not_of('0', point + 1) == std::string::npos)
    digits.resize(point);
  std::int64_t value = 0;
  const auto [stop, problem] = std::from_chars(after_plus(digits), digits.data() + digits.size(),
                                               value);
  if (problem == std::errc::result_out_of_range)
    throw UsageError(std::string(flag_) + ": " + text(i) + " is too large");
  if (problem != std::errc{} || stop != digits.data() + digits.size())
    throw UsageError(std::string(flag_) + " needs a whole number, not '" + text(i) + '\'' +
                     (is_number(text(i)) ? "" : hint_at_number(flag_, text(i))));
  return value;
}

std::span<const Flag> flag_table() { return table(); }

const Flag* find_flag(std::string_view argument) {
  argument = without_double_dash(argument);
  const Flag* best = nullptr;
  std::size_t best_length = 0;
  for (const Flag& flag : table())
    for (const std::string_view spelling : flag.spellings) {
      const bool matches = exact_only(flag, spelling) ? argument == spelling
                                                      : argument.starts_with(spelling);
      if (matches && spelling.size() > best_length) {
        best = &flag;
        best_length = spelling.size();
      }
    }
  return best;
}

std::string_view nearest_spelling(std::string_view argument) {
  argument = without_double_dash(argument);
  const std::string typed = lower_case(argument);
  // The only flag that begins so
  const Flag* only = nullptr;
  std::string_view spelling;
  bool several = false;
  for (const Flag& flag : table())
    for (const std::string_view each : flag.spellings) {
      if (typed.size() < 4 || !lower_case(each).starts_with(typed)) continue;
      several |= only && only != &flag;
      if (!only || (only == &flag && each.size() < spelling.size())) spelling = each;
      only = &flag;
    }
  if (only && !several) return spelling;

  // A short word is near to many flags, so that every change of it counts.
  const std::size_t letters = argument.size() - argument.starts_with('-');
  const std::size_t most = letters < 4 ? 0 : letters < 8 ? 1 : letters / 4;
  std::string_view best;
  std::size_t best_distance = letters > 1 ? most + 1 : 0;
  for (const Flag& flag : table())
    for (const std::string_view each : flag.spellings) {
      const std::size_t distance = description::edit_distance(typed, lower_case(each));
      if (distance < best_distance) {
        best = each;
        best_distance = distance;
      }
    }
  return best;
}

std::string suggestion(std::string_view argument) {
  const std::string_view near = nearest_spelling(argument);
  return near.empty() ? "; nablabragg -help lists all flags"
                      : "; did you mean " + std::string(near) + '?';
}

}  // namespace nablabragg::flags
