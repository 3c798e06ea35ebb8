// Crystallographic files.  Every reader throws InputError("FILE:LINE: problem");
// every writer throws OutputError and leaves no half-written file.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include "nablabragg/beam.hpp"               // for Source
#include "nablabragg/crystallography.hpp"    // for MTZ, mmCIF and PDB files
#include "nablabragg/image.hpp"              // for Image
#include "nablabragg/structure_factors.hpp"  // for Reflection, StructureFactorGrid
#include "nablabragg/vec3.hpp"               // for Mat3d

namespace nablabragg {
struct PixelTruth;  // pixel_truth.hpp
}

namespace nablabragg::io {

// ---- Tables of text -------------------------------------------------------------------------

/// "h k l F" a line, whitespace between; further columns and lines that begin with # are skipped.
std::vector<Reflection> read_hkl(const std::string& path);

/// A file of reflections, told by its content: MTZ, SF-mmCIF (or .fcf), a list of XDS (XDS_ASCII),
/// CrystFEL or SHELX (HKLF 4), whose intensities become amplitudes, or a text as read_hkl() takes
/// it.  `column` as read_mtz() and read_sf_mmcif() take it; of a SHELX list or a text I or F.
/// Throws UsageError where it is named and the file has none, InputError for what cannot be read,
/// by name where it is a list of another program.
ReflectionFile read_reflections(const std::string& path, const std::string& column = {});

/// What the amplitudes are and how they were expanded, in a line that begins with the path; empty
/// for a text of h k l F.
std::string origin_of(const ReflectionFile& file);

/// What the user of a file should know, in sentences that begin with its path: rows left out, rows
/// that disagree, names that the operations contradict.
std::vector<std::string> notices_of(const ReflectionFile& file);

/// The rotations of stills, one a line, as Series takes them [degree]: three angles, about
/// laboratory x, then y, then z; or the nine numbers of a matrix that turns a column behind it, row
/// by row. What follows a # is a comment.  Throws InputError that names the line.
std::vector<Vec3d> read_orientations(const std::string& path);

/// An orientation matrix of MOSFLM.
struct MatrixFile {
  Mat3d matrix;  ///< rows a*x b*x c*x / a*y b*y c*y / a*z b*z c*z, times the wavelength
  std::optional<CellNumbers> cell;  ///< where the file goes on to it, as MOSFLM's do
};

/// The first nine numbers, row by row, and the cell that may follow them.  Throws InputError for
/// what is none, and for XPARM.XDS.
MatrixFile read_mosflm_matrix(const std::string& path);

/// "X Y Z weight wavelength(m)" a line, separated by blanks or , ; : !.  Trailing columns that a
/// line leaves out come from `defaults`.  A wavelength that no X-ray has (below 0.01 or above 100
/// Angstrom) and a negative weight are an InputError, or, where `implausible` is given, a sentence
/// in it, one for the first of each.
std::vector<Source> read_source_list(const std::string& path, const Source& defaults,
                                     std::vector<std::string>* implausible = nullptr);

/// Makes sure that a table of (stol, F) can be read and holds data.  nanoBragg reads one and never
/// uses it.
void check_stol_table(const std::string& path);

// ---- nanoBragg's structure-factor cache (Fdump.bin) -------------------------------------------

StructureFactorGrid read_fdump(const std::string& path);
void write_fdump(const std::string& path, const StructureFactorGrid& grid);

// ---- Images -----------------------------------------------------------------------------------

/// A file with an SMV header, as ADSC, d*TREK and nanoBragg write them.
struct SmvFile {
  std::string path;
  int fast_pixels = 0, slow_pixels = 0;
  std::string header;
  std::vector<float> pixels;
  double largest_count = 65535;  ///< that the file's number type holds; infinity for floats

  /// The number after `key=`; empty when the key is not there.  Keys are matched whole; with
  /// `by_substring` the last place that contains the key counts, as in nanoBragg.
  std::optional<double> value(const std::string& key, bool by_substring) const;

  /// What stands after `key=`, matched whole; of several places the last.
  std::optional<std::string> text(const std::string& key) const;

  /// The finite number after `key=`, matched whole; one of the words `units` may follow it.
  /// Throws InputError that names the key for anything else.
  std::optional<double> number(const std::string& key,
                               std::span<const std::string_view> units) const;

  /// All keys in turn.
  std::vector<std::string> keys() const;
};

/// Integers of 8, 16 and 32 bits, float and double, in either byte order.  Throws InputError for
/// what is no SMV image, is too short for its pixels, or holds pixels that cannot be read.
SmvFile read_smv(const std::string& path);

/// Where the beam meets the panel, in millimetres from the outer corner of pixel (0,0).
struct BeamSpot {
  double fast_mm = 0, slow_mm = 0;
};

/// How an ADSC header's beam centre is meant: ADSC counts BEAM_CENTER_X along fast and
/// BEAM_CENTER_Y from the far end of slow, DENZO_XBEAM along slow and DENZO_YBEAM along fast; DIALS
/// and others take BEAM_CENTER as DENZO's.
struct AdscCentre {
  std::optional<BeamSpot> spot;  ///< empty: the header does not tell
  std::string how;               ///< how it was told, or why it cannot be, as the end of a sentence
};

/// Throws InputError for numbers that are none.
AdscCentre adsc_centre(const SmvFile& file);

/// Fills one row.
template <class Pixel>
using FillRow = std::function<void(int slow, std::span<Pixel> row)>;

enum class RowOrder {
  in_turn,  ///< rows 0, 1, 2... are asked for in this order, by the calling thread
  any       ///< several threads ask at the same time
};

/// `header` is the whole text up to the pixels.
void write_smv(const std::string& path, const std::string& header, int fast_pixels, int slow_pixels,
               const FillRow<std::uint16_t>& fill, RowOrder order = RowOrder::in_turn);

/// Raw little-endian float32, fast axis first, no header.
void write_float_image(const std::string& path, const Image& image);

/// 8-bit portable greymap with the scale as its comment line.
void write_pgm(const std::string& path, int fast_pixels, int slow_pixels, double scale,
               const FillRow<std::uint8_t>& fill, RowOrder order = RowOrder::in_turn);

/// What a picture says of itself: a keyword of at most 79 characters and ASCII text.
struct PngText {
  std::string keyword, text;
};

/// Picture of `bits` 8 or 16: grey, or with 3 channels red, green and blue of each point in turn.
/// Rows hold 0..255 or 0..65535 and are asked for in turn.
void write_png(const std::string& path, int fast_pixels, int slow_pixels, int bits,
               const FillRow<std::uint16_t>& fill, std::span<const PngText> texts = {},
               int channels = 1);

/// HDF5: /photons, /parts/..., /hkl and /has_hkl, [panels,] slow, fast (docs/truth.md).  Throws
/// OutputError, also for panels of different sizes.
void write_pixel_truth(const std::string& path, const PixelTruth& truth);

/// Throws OutputError when a file of this name could not be written; leaves nothing behind.
void check_writable(const std::string& path);

}  // namespace nablabragg::io
