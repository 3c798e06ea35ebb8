#include "io/hdf5_reader.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>  // for strnlen

#include "io/input_file.hpp"
#include "io/quotes.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::io::hdf5 {

namespace {

constexpr hsize_t most_numbers = hsize_t{1} << 22;

bool is_packed(const std::string& path) {
  std::array<char, 2> head{};
  InputFile file(path);
  return file.read(head.data(), head.size()) == head.size() && head[0] == '\x1F' &&
         head[1] == '\x8B';
}

}  // namespace

hsize_t product(const Shape& shape) {
  hsize_t count = 1;
  for (const hsize_t length : shape) {
    if (length > most_elements || count > most_elements) return most_elements + 1;
    count *= length;
  }
  return count;
}

Reader::Reader(const std::string& path) : path_(path) {
  static_cast<void>(InputFile(path).size());  // it is there, may be read, and is a regular file
  const Properties access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  file_ = File(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (!file_ && is_packed(path))
    throw InputError(path, 0,
                     "is packed by gzip, and HDF5 is read unpacked alone; unpack it first");
  if (!file_)
    throw InputError(path, 0,
                     "cannot be opened as HDF5 (" + last_problem() +
                         "); it is cut, damaged or still being written");
  root_.object = Object(H5Gopen2(file_.get(), "/", H5P_DEFAULT));
  if (!root_.object) throw InputError(path, 0, "is damaged: its root group cannot be opened");
}

void Reader::fail(const std::string& problem) const { throw InputError(path_, 0, problem); }
void Reader::fail(const std::string& field, const std::string& problem) const {
  fail(quoted_name(field) + " " + problem);
}
void Reader::missing(const std::string& field, const std::string& what) const {
  fail(quoted_name(field) + ", " + what + ", is missing");
}

std::string Reader::joined_path(const std::string& folder, const std::string& name) {
  if (name.starts_with('/')) return name;
  return folder + (folder.ends_with('/') ? "" : "/") + name;
}

Node Reader::find(const Node& in, const std::string& name) const {
  Node found{{}, joined_path(in.path, name)};
  if (name.empty() || !is_link(in, name)) return found;
  found.object = Object(H5Oopen(in.id(), name.c_str(), H5P_DEFAULT));
  if (!found.object) fail(found.path, where_it_leads(in, name));
  return found;
}

Node Reader::needed(const Node& in, const std::string& name, const std::string& what) const {
  Node found = find(in, name);
  if (!found) missing(found.path, what);
  return found;
}

std::vector<std::string> Reader::names(const Node& in) const {
  std::vector<std::string> all;
  struct Visit {
    std::vector<std::string>* all;
    static herr_t add(hid_t, const char* name, const H5L_info_t*, void* to) {
      auto& list = *static_cast<Visit*>(to)->all;
      constexpr std::size_t most = 100'000;
      if (list.size() >= most) return -1;
      list.push_back(name);
      return 0;
    }
  } visit{&all};
  hsize_t at = 0;
  if (H5Literate(in.id(), H5_INDEX_NAME, H5_ITER_INC, &at, Visit::add, &visit) < 0)
    fail(in.path, "cannot be read: it is damaged or has more than 100000 members");
  return all;
}

std::vector<Node> Reader::groups_of_class(const Node& in, const std::string& nexus) const {
  std::vector<Node> found;
  for (const std::string& name : names(in)) {
    Node node{Object(H5Oopen(in.id(), name.c_str(), H5P_DEFAULT)), joined_path(in.path, name)};
    if (node && node.is_group() && text_attribute(node, "NX_class") == nexus)
      found.push_back(std::move(node));
  }
  return found;
}

std::optional<std::string> Reader::text_attribute(const Node& of, const char* name) const {
  if (H5Aexists(of.id(), name) <= 0) return std::nullopt;
  const Attribute attribute(H5Aopen(of.id(), name, H5P_DEFAULT));
  if (!attribute) fail(of.path + "@" + name, "cannot be read");
  return text_of(of.path + "@" + name, H5Aget_type(attribute.get()), H5Aget_space(attribute.get()),
                 usual_text,
                 [&](hid_t type, void* to) { return H5Aread(attribute.get(), type, to); });
}

std::optional<std::string> Reader::text(const Node& in, const std::string& name,
                                        std::size_t most) const {
  const Node data = find(in, name);
  if (!data) return std::nullopt;
  need_data(data);
  return text_of(data.path, H5Dget_type(data.id()), H5Dget_space(data.id()), most,
                 [&](hid_t type, void* to) {
                   return H5Dread(data.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
                 });
}

Shape Reader::shape(const Node& data) const {
  need_data(data);
  const Space space(H5Dget_space(data.id()));
  const std::optional<Shape> shape = shape_of(space.get());
  if (!shape) fail(data.path, "is empty");
  return *shape;
}

std::vector<double> Reader::numbers_up_to(const Node& data, hsize_t most) const {
  const hsize_t count = product(shape(data));
  if (count > most)
    fail(data.path, "has more than the " + std::to_string(most) + " values of any field");
  need_numbers(data.path, Type(H5Dget_type(data.id())));
  std::vector<double> values(count);
  if (H5Dread(data.id(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail(data.path, why_unreadable());
  return values;
}

std::vector<double> Reader::numbers(const Node& data) const {
  std::vector<double> values = numbers_up_to(data, most_numbers);
  need_finite(data.path, values);
  return values;
}

std::vector<double> Reader::row(const Node& data, hsize_t number) const {
  const Shape all = shape(data);
  if (all.size() != 2 || number >= all[0])
    fail(data.path, "has no row " + std::to_string(number + 1));
  if (all[1] > most_numbers)
    fail(data.path, "has more than the " + std::to_string(most_numbers) + " values of any row");
  need_numbers(data.path, Type(H5Dget_type(data.id())));
  const Shape begin{number, 0}, count{1, all[1]};
  const Space file(H5Dget_space(data.id())), memory(H5Screate_simple(2, count.data(), nullptr));
  std::vector<double> values(all[1]);
  if (H5Sselect_hyperslab(file.get(), H5S_SELECT_SET, begin.data(), nullptr, count.data(),
                          nullptr) < 0 ||
      H5Dread(data.id(), H5T_NATIVE_DOUBLE, memory.get(), file.get(), H5P_DEFAULT, values.data()) <
          0)
    fail(data.path, why_unreadable());
  need_finite(data.path, values);
  return values;
}

double Reader::number(const Node& data) const {
  const std::vector<double> values = numbers(data);
  if (values.size() != 1)
    fail(data.path, "has " + std::to_string(values.size()) + " values where one is expected");
  return values[0];
}

std::optional<double> Reader::number(const Node& in, const std::string& name) const {
  const Node data = find(in, name);
  return data ? std::optional(number(data)) : std::nullopt;
}

std::optional<Vec3d> Reader::vector_attribute(const Node& of, const char* name) const {
  if (H5Aexists(of.id(), name) <= 0) return std::nullopt;
  const std::string path = of.path + "@" + name;
  const Attribute attribute(H5Aopen(of.id(), name, H5P_DEFAULT));
  if (!attribute) fail(path, "cannot be read");
  const Space space(H5Aget_space(attribute.get()));
  const std::optional<Shape> shape = shape_of(space.get());
  if (!shape || product(*shape) != 3) fail(path, "has not three components");
  need_numbers(path, Type(H5Aget_type(attribute.get())));
  std::vector<double> v(3);
  if (H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, v.data()) < 0) fail(path, "cannot be read");
  need_finite(path, v);
  return Vec3d{v[0], v[1], v[2]};
}

void Reader::need_data(const Node& node) const {
  if (!node.is_data()) fail(node.path, "is no data set");
}

void Reader::need_numbers(const std::string& path, const Type& type) const {
  const H5T_class_t kind = H5Tget_class(type.get());
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) fail(path, "holds no numbers");
  // HDF5 trusts what a damaged file says of them, and copies bits that are not there.
  const std::size_t bits = 8 * H5Tget_size(type.get()), precision = H5Tget_precision(type.get());
  const int offset = H5Tget_offset(type.get());
  bool sound = precision >= 1 && precision <= bits && offset >= 0 &&
               static_cast<std::size_t>(offset) <= bits - precision;
  if (kind == H5T_FLOAT) {
    std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
    sound = sound &&
            H5Tget_fields(type.get(), &sign, &exponent, &exponent_bits, &mantissa,
                          &mantissa_bits) >= 0 &&
            sign < bits && exponent + exponent_bits <= bits && mantissa + mantissa_bits <= bits &&
            exponent_bits >= 1 && mantissa_bits >= 1;
  }
  if (!sound) fail(path, "holds numbers of a type that is damaged");
}

std::string Reader::why_unreadable() const {
  const std::string problem = last_problem();
  if (problem.find("filter") != std::string::npos)
    return "cannot be unpacked (" + problem +
           "): install the HDF5 filter that packed it; Debian has bitshuffle, "
           "hdf5-filter-plugin (LZ4, bzip2) and hdf5-filter-plugin-blosc-serial";
  return "cannot be read (" + problem + ")";
}

void Reader::need_finite(const std::string& path, const std::vector<double>& values) const {
  for (const double value : values)
    if (!std::isfinite(value)) fail(path, "holds a value that is no finite number");
}

/// H5Oexists_by_name() fails where a step on the way is missing.
bool Reader::is_link(const Node& in, const std::string& name) {
  for (std::size_t at = name.find_first_not_of('/'); at != std::string::npos;) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string part = name.substr(at, end - at), until = name.substr(0, end);
    if (part != "." && H5Lexists(in.id(), until.c_str(), H5P_DEFAULT) <= 0) return false;
    at = name.find_first_not_of('/', end);
  }
  return true;
}

std::string Reader::where_it_leads(const Node& in, const std::string& name) const {
  H5L_info_t about{};
  if (H5Lget_info(in.id(), name.c_str(), &about, H5P_DEFAULT) >= 0 &&
      (about.type == H5L_TYPE_EXTERNAL || about.type == H5L_TYPE_SOFT) && about.u.val_size > 0 &&
      about.u.val_size < usual_text) {
    std::string value(about.u.val_size, '\0');
    if (H5Lget_val(in.id(), name.c_str(), value.data(), value.size(), H5P_DEFAULT) >= 0) {
      const char *file = nullptr, *object = value.c_str();
      if (about.type == H5L_TYPE_SOFT)
        return "is a link to " + quoted_name(object) + ", which is not there";
      if (H5Lunpack_elink_val(value.data(), value.size(), nullptr, &file, &object) >= 0)
        return "is a link to " + quoted_name(object) + " of the file " + quoted_name(file) +
               ", which cannot be opened; put that file beside this one";
    }
  }
  return "cannot be opened";
}

template <class Read>
std::string Reader::text_of(const std::string& path, hid_t type_id, hid_t space_id,
                            std::size_t most, Read&& read) const {
  const Type type(type_id);
  const Space space(space_id);
  const std::optional<Shape> shape = shape_of(space.get());
  if (!shape || product(*shape) != 1 || H5Tget_class(type.get()) != H5T_STRING)
    fail(path, "is no text");
  std::string value;
  if (H5Tis_variable_str(type.get()) > 0) {
    Type memory(H5Tcopy(H5T_C_S1));
    H5Tset_size(memory.get(), H5T_VARIABLE);
    H5Tset_cset(memory.get(), H5Tget_cset(type.get()));
    char* chars = nullptr;
    if (read(memory.get(), &chars) < 0) fail(path, "cannot be read");
    if (chars) value.assign(chars, strnlen(chars, most));
    H5free_memory(chars);
  } else {
    const std::size_t size = H5Tget_size(type.get());
    if (size == 0 || size > most) fail(path, "is too long");
    value.resize(size);
    if (read(type.get(), value.data()) < 0) fail(path, "cannot be read");
    value.resize(std::min(value.size(), value.find('\0')));
  }
  value.resize(value.find_last_not_of(" \t\n") + 1);
  return value;
}

}  // namespace nablabragg::io::hdf5
