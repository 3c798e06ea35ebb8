// The structures by which arrays are handed from library to library, as the specification of DLPack
// lays them out (https://dmlc.github.io/dlpack/latest/c_api.html, the tensor without a version, as
// which every library takes one).  A layout and no code: so the module needs no package for it.
#pragma once
#include <cstdint>

namespace nablabragg::python::dlpack {

enum DeviceType : std::int32_t { on_cpu = 1, on_cuda = 2 };
enum TypeCode : std::uint8_t { floating_point = 2 };

struct Device {
  DeviceType type;
  std::int32_t number;
};

struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t dimensions;
  DataType type;
  std::int64_t* shape;
  std::int64_t* strides;  ///< null: row by row
  std::uint64_t byte_offset;
};

/// Whoever takes it out of the capsule "dltensor" names that "used_dltensor" and calls the deleter
/// at the end.
struct ManagedTensor {
  Tensor tensor;
  void* owner;
  void (*deleter)(ManagedTensor*);
};

}  // namespace nablabragg::python::dlpack
