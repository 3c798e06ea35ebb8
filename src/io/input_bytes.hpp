// The one place where an input is opened and unpacked.  A file, a pipe or a FIFO is opened once and
// read once, front to back: who wants to know what it is looks at its head, which stays to be read.
// What the bytes mean is the readers' business.
//
// Kept to C++17, as crystallography.hpp is, whose readers start here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include "io/input_file.hpp"

namespace nablabragg::io {

/// An input as it is read, gunzipped where its first two bytes say so, whatever its name.
class Input {
 public:
  /// Throws InputError when there is no such file, when it may not be read, for a folder, for a
  /// device (/dev/zero has no end), for what another program than gzip packed, and for UTF-16.
  explicit Input(const std::string& path);
  Input(Input&&) noexcept;
  ~Input();

  const std::string& path() const { return file_.path(); }

  /// The first `bytes` bytes, fewer only where there are no more.  read() gives them again, so it
  /// is called before read().
  std::string_view head(std::size_t bytes = 4096);

  /// Fewer than asked for only at the end.  Throws InputError where the input cannot be read, or
  /// where what is packed is damaged or ends early.
  std::size_t read(void* to, std::size_t bytes);

  /// All that was not read yet.  Throws InputError when it is more than `max_bytes`; what a regular
  /// file holds is looked at before memory is taken, and memory grows with what comes.
  std::string read_rest(std::size_t max_bytes);

  /// What read_rest() gave is there to be read again.
  void give_back(std::string bytes);

  /// How much there is, where it is known beforehand: of a regular file that is not packed; else 0.
  std::uint64_t known_bytes() const;

 private:
  struct Unpacker;
  std::size_t read_unpacked(char* to, std::size_t bytes);

  InputFile file_;
  std::unique_ptr<Unpacker> unpacker_;  ///< empty: not packed
  std::string raw_head_;                ///< bytes of the file that were looked at first...
  std::size_t raw_used_ = 0;            ///< ...and how many of them were taken since
  std::string head_;                    ///< unpacked and kept for read()
  std::size_t head_used_ = 0;
};

/// A whole input.
struct InputBytes {
  std::string path;  ///< for messages
  std::string bytes;

  /// Without the byte order mark that some editors put before UTF-8.
  std::string_view text() const;
};

/// No list, model or image that this program reads is as long.
constexpr std::size_t most_input_bytes = std::size_t{4} << 30;

/// Opens, reads and unpacks.  Throws as Input does, and where there is more than `max_bytes`.
InputBytes read_input(const std::string& path, std::size_t max_bytes = most_input_bytes);

// ---- What an input is, told from its head ------------------------------------------------------

/// A CIF file of any kind: "data_" in any case, after comments and blank lines.
bool begins_as_cif(std::string_view head);

/// Whether all of `head` is what may stand before the first word of a CIF file, so that more of it
/// is needed to know.
bool is_only_comment(std::string_view head);

/// "MTZ ", the mark of the format.
bool begins_as_mtz(std::string_view head);

/// An SMV image: "{" and HEADER_BYTES, on lines of their own.
bool begins_as_smv(std::string_view head);

/// An object in JSON: "{" and a key in quotes, or the end.
bool begins_as_json(std::string_view head);

/// Throws InputError for images and tables whose first bytes tell them; it says what they are and
/// then `what`: "is a CBF image, not a text file".
void refuse_binary(const std::string& path, std::string_view head, const std::string& what);

/// Instructions and model of SHELX (.ins, .res): CELL with the wavelength and six numbers among the
/// lines of TITL, ZERR, LATT, SYMM, SFAC, UNIT that begin one.
bool begins_as_shelx(std::string_view head);

/// A coordinate file in PDB format: its records have names of six columns, and it begins with one
/// of those that only such files have.
bool begins_as_pdb(std::string_view head);

}  // namespace nablabragg::io
