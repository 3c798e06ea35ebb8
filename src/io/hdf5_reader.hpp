// Groups, data sets and attributes of an HDF5 file by their names, with errors that name them.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "io/hdf5_handles.hpp"
#include "nablabragg/vec3.hpp"  // for Vec3d

namespace nablabragg::io::hdf5 {

using Shape = std::vector<hsize_t>;

/// Elements of such an array, or some number above `most_elements`.
inline constexpr hsize_t most_elements = hsize_t{1} << 28;
hsize_t product(const Shape& shape);

/// Names, units and dates are shorter.
inline constexpr std::size_t usual_text = std::size_t{1} << 16;

/// A group or data set, and the path that messages name it by.
struct Node {
  Object object;
  std::string path;

  explicit operator bool() const { return static_cast<bool>(object); }
  hid_t id() const { return object.get(); }
  bool is_group() const { return H5Iget_type(id()) == H5I_GROUP; }
  bool is_data() const { return H5Iget_type(id()) == H5I_DATASET; }
};

/// What is damaged, missing or of another kind than is asked for is an InputError.  A Session must
/// live while a Reader does.
class Reader {
 public:
  explicit Reader(const std::string& path);

  [[noreturn]] void fail(const std::string& problem) const;
  [[noreturn]] void fail(const std::string& field, const std::string& problem) const;
  [[noreturn]] void missing(const std::string& field, const std::string& what) const;

  const Node& root() const { return root_; }
  const std::string& path() const { return path_; }

  // -- Finding

  static std::string joined_path(const std::string& folder, const std::string& name);
  /// Nothing where it is not there; throws where it is a link that leads nowhere.
  Node find(const Node& in, const std::string& name) const;
  Node needed(const Node& in, const std::string& name, const std::string& what) const;
  std::vector<std::string> names(const Node& in) const;
  /// Those groups of this class that can be opened, in the order of their names.
  std::vector<Node> groups_of_class(const Node& in, const std::string& nexus) const;

  // -- Values

  std::optional<std::string> text_attribute(const Node& of, const char* name) const;
  /// No more than `most` characters of it.
  std::optional<std::string> text(const Node& in, const std::string& name,
                                  std::size_t most = usual_text) const;
  std::optional<Vec3d> vector_attribute(const Node& of, const char* name) const;

  Shape shape(const Node& data) const;
  /// All of a data set that has no more numbers than `most`.
  std::vector<double> numbers_up_to(const Node& data, hsize_t most) const;
  /// All of a small data set, finite.
  std::vector<double> numbers(const Node& data) const;
  /// The same of a row of an array [rows, numbers].
  std::vector<double> row(const Node& data, hsize_t number) const;
  double number(const Node& data) const;
  std::optional<double> number(const Node& in, const std::string& name) const;

  void need_data(const Node& node) const;
  void need_numbers(const std::string& path, const Type& type) const;
  /// After a read that failed.
  std::string why_unreadable() const;

 private:
  void need_finite(const std::string& path, const std::vector<double>& values) const;
  static bool is_link(const Node& in, const std::string& name);
  std::string where_it_leads(const Node& in, const std::string& name) const;
  template <class Read>
  std::string text_of(const std::string& path, hid_t type_id, hid_t space_id, std::size_t most,
                      Read&& read) const;

  std::string path_;
  File file_;
  Node root_{{}, "/"};
};

}  // namespace nablabragg::io::hdf5
