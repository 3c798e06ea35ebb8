#include "io/npz.hpp"

#include <minizip/unzip.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "io/input_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io {

namespace {

constexpr std::string_view ending = ".npy";

/// What an .npy says of its numbers.
struct Description {
  std::string type;  ///< as numpy writes it: "<f8"
  bool by_columns = false;
  hdf5::Shape shape;
};

/// Reads the literal of a Python dictionary that has the three keys of an .npy.
class DescriptionReader {
 public:
  explicit DescriptionReader(std::string_view text) : left_(text) {}

  /// Nothing for other text, and for records, whose type is a list.
  std::optional<Description> read() {
    Description d;
    bool has_type = false, has_order = false, has_shape = false;
    if (!take("{")) return std::nullopt;
    while (!take("}")) {
      const std::optional<std::string> key = word();
      if (!key || !take(":")) return std::nullopt;
      if (*key == "descr" && !has_type) {
        const std::optional<std::string> type = word();
        if (!type) return std::nullopt;
        d.type = *type;
        has_type = true;
      } else if (*key == "fortran_order" && !has_order) {
        d.by_columns = take("True");
        if (!d.by_columns && !take("False")) return std::nullopt;
        has_order = true;
      } else if (*key == "shape" && !has_shape) {
        if (!read_shape(d.shape)) return std::nullopt;
        has_shape = true;
      } else {
        return std::nullopt;
      }
      if (!take(",") && !left_.starts_with('}')) return std::nullopt;
    }
    skip_blanks();
    if (!left_.empty() || !has_type || !has_order || !has_shape) return std::nullopt;
    return d;
  }

 private:
  void skip_blanks() {
    left_.remove_prefix(std::min(left_.find_first_not_of(" \t\n"), left_.size()));
  }
  /// Moves behind it, and behind what is blank about it, where it comes next.
  bool take(std::string_view token) {
    skip_blanks();
    if (!left_.starts_with(token)) return false;
    left_.remove_prefix(token.size());
    skip_blanks();
    return true;
  }
  std::optional<std::string> word() {
    skip_blanks();
    if (!left_.starts_with('\'') && !left_.starts_with('"')) return std::nullopt;
    const std::size_t end = left_.find(left_[0], 1);
    if (end == left_.npos) return std::nullopt;
    std::string found(left_.substr(1, end - 1));
    left_.remove_prefix(end + 1);
    return found;
  }
  bool read_shape(hdf5::Shape& shape) {
    if (!take("(")) return false;
    while (!take(")")) {
      hsize_t length = 0;
      const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), length);
      if (error != std::errc()) return false;
      left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
      take("L");  // of Python 2
      shape.push_back(length);
      if (!take(",") && !left_.starts_with(')')) return false;
    }
    return true;
  }

  std::string_view left_;
};

/// The type of HDF5 that such numbers have; nothing for what are no real numbers.
hdf5::Type type_of_numbers(std::string_view type) {
  if (type.size() != 3 || std::string_view("<>|").find(type[0]) == std::string_view::npos)
    return {};
  const std::size_t bytes = static_cast<std::size_t>(type[2] - '0');
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) return {};
  if ((type[0] == '|') != (bytes == 1)) return {};
  hdf5::Type made;
  switch (type[1]) {
    case 'i':
    case 'u':
      made = hdf5::Type(H5Tcopy(type[1] == 'i' ? H5T_STD_I64LE : H5T_STD_U64LE));
      H5Tset_precision(made.get(), 8 * bytes);
      break;
    case 'f':
      if (bytes == 1) return {};
      made = hdf5::Type(H5Tcopy(bytes == 8 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE));
      if (bytes == 2) {  // sign, 5 bits of exponent, 10 of mantissa
        H5Tset_fields(made.get(), 15, 10, 5, 0, 10);
        H5Tset_precision(made.get(), 16);
        H5Tset_ebias(made.get(), 15);
      }
      break;
    default:
      return {};
  }
  H5Tset_size(made.get(), bytes);
  H5Tset_order(made.get(), type[0] == '>' ? H5T_ORDER_BE : H5T_ORDER_LE);
  return made;
}

}  // namespace

void NpzFile::Close::operator()(void* archive) const { unzClose(archive); }

void NpzFile::fail(const std::string& problem) const { throw InputError(path_, 0, problem); }
void NpzFile::fail(const std::string& array, const std::string& problem) const {
  fail(quoted_name(array) + " " + problem);
}

NpzFile::NpzFile(const std::string& path) : path_(path), archive_(unzOpen64(path.c_str())) {
  static_cast<void>(InputFile(path).size());  // it is there, may be read, and is a regular file
  unz_global_info64 all{};
  if (!archive_ || unzGetGlobalInfo64(archive_.get(), &all) != UNZ_OK)
    fail("cannot be opened as ZIP, which an .npz is; it is cut, damaged or still being written");
  const auto damaged = [&] { fail("is damaged: the list of what the archive holds is not whole"); };
  for (std::uint64_t i = 0; i < all.number_entry; ++i) {
    if ((i == 0 ? unzGoToFirstFile(archive_.get()) : unzGoToNextFile(archive_.get())) != UNZ_OK)
      damaged();
    unz_file_info64 about{};
    unz64_file_pos at{};
    if (unzGetCurrentFileInfo64(archive_.get(), &about, nullptr, 0, nullptr, 0, nullptr, 0) !=
            UNZ_OK ||
        unzGetFilePos64(archive_.get(), &at) != UNZ_OK)
      damaged();
    std::string name(about.size_filename, '\0');
    if (unzGetCurrentFileInfo64(archive_.get(), &about, name.data(), name.size(), nullptr, 0,
                                nullptr, 0) != UNZ_OK)
      damaged();
    if (!name.ends_with(ending)) continue;
    name.resize(name.size() - ending.size());
    const Place place{at.pos_in_zip_directory, at.num_of_file};
    if (!places_.emplace(name, place).second) fail(name, "is there twice; leave one of them");
  }
}

std::string NpzFile::names() const {
  std::string all;
  for (const auto& [name, place] : places_) all += (all.empty() ? "" : ", ") + quoted_name(name);
  return all;
}

/// An array while it is read.
class NpzFile::Entry {
 public:
  Entry(const NpzFile& file, const std::string& name) : file_(file), name_(name) {
    const Place& place = file_.places_.at(name);
    unz64_file_pos at{};
    at.pos_in_zip_directory = place.offset;
    at.num_of_file = place.number;
    unz_file_info64 about{};
    if (unzGoToFilePos64(archive(), &at) != UNZ_OK ||
        unzGetCurrentFileInfo64(archive(), &about, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK)
      damaged();
    constexpr unsigned encrypted = 1, stored = 0, deflated = 8;
    if (about.flag & encrypted) fail("is encrypted");
    if (about.compression_method != stored && about.compression_method != deflated)
      fail("is packed otherwise than np.savez and np.savez_compressed do");
    left_ = about.uncompressed_size;
    if (unzOpenCurrentFile(archive()) != UNZ_OK) damaged();
    read_description();
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() { unzCloseCurrentFile(archive()); }

  const hdf5::Shape& shape() const { return description_.shape; }

  std::vector<double> numbers(hsize_t most) {
    const hsize_t count = hdf5::product(shape());
    if (count > most) fail("has more than the " + std::to_string(most) + " values of any array");
    const hdf5::Type type = type_of_numbers(description_.type);
    if (!type)
      fail("holds " + in_quotes(description_.type) +
           ", which are no integers and no floating-point numbers of 16, 32 or 64 bits");
    const std::size_t bytes = H5Tget_size(type.get());
    if (left_ != count * bytes)
      fail("has " + std::to_string(left_) + " bytes of numbers, and its shape needs " +
           std::to_string(count * bytes));
    // Memory grows with what comes, whatever the shape says.
    std::vector<double> all, some(std::min<hsize_t>(count, 1 << 16));
    while (all.size() < count) {
      some.resize(std::min<std::size_t>(some.size(), count - all.size()));
      read(some.data(), some.size() * bytes);
      if (H5Tconvert(type.get(), H5T_NATIVE_DOUBLE, some.size(), some.data(), nullptr,
                     H5P_DEFAULT) < 0)
        fail("cannot be converted (" + hdf5::last_problem() + ")");
      all.insert(all.end(), some.begin(), some.end());
    }
    // The sum of an entry is looked at behind its last byte.
    if (unzCloseCurrentFile(archive()) != UNZ_OK) damaged();
    return description_.by_columns ? turned(all) : all;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { file_.fail(name_, problem); }
  [[noreturn]] void damaged() const { fail("is damaged: it cannot be unpacked"); }
  [[noreturn]] void no_array() const {
    fail("is no array of numbers as numpy writes it to an .npy: its header is of another kind");
  }
  void* archive() const { return file_.archive_.get(); }

  void read(void* to, std::size_t bytes) {
    char* at = static_cast<char*>(to);
    for (std::size_t got = 0; got < bytes;) {
      const auto piece = static_cast<unsigned>(std::min<std::size_t>(bytes - got, 1 << 20));
      const int n = unzReadCurrentFile(archive(), at + got, piece);
      if (n <= 0) damaged();
      got += static_cast<std::size_t>(n);
    }
    left_ -= std::min<std::uint64_t>(left_, bytes);
  }

  void read_description() {
    constexpr std::string_view mark = "\x93NUMPY";
    constexpr std::size_t longest = 1 << 16;
    unsigned char head[12]{};  // mark, two bytes of version, the length in two or four
    if (left_ < 10) no_array();
    read(head, 10);
    if (std::memcmp(head, mark.data(), mark.size()) != 0 || head[6] < 1 || head[6] > 3) no_array();
    std::size_t length = head[8] + 256U * head[9];
    if (head[6] > 1) {
      if (left_ < 2) no_array();
      read(head + 10, 2);
      length += 65536U * head[10] + 16777216U * head[11];
    }
    if (length > std::min<std::uint64_t>(left_, longest)) no_array();
    std::string text(length, '\0');
    read(text.data(), length);
    const std::optional<Description> found = DescriptionReader(text).read();
    if (!found) no_array();
    description_ = *found;
  }

  /// From columns to rows.
  std::vector<double> turned(const std::vector<double>& columns) const {
    if (shape().size() != 2) {
      if (shape().size() > 2) fail("has more than two dimensions by columns");
      return columns;
    }
    const std::size_t rows = shape()[0], length = shape()[1];
    std::vector<double> all(columns.size());
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t k = 0; k < length; ++k) all[i * length + k] = columns[k * rows + i];
    return all;
  }

  const NpzFile& file_;
  const std::string& name_;
  std::uint64_t left_ = 0;
  Description description_;
};

hdf5::Shape NpzFile::shape(const std::string& array) const { return Entry(*this, array).shape(); }

std::vector<double> NpzFile::numbers(const std::string& array, hsize_t most) const {
  return Entry(*this, array).numbers(most);
}

}  // namespace nablabragg::io
