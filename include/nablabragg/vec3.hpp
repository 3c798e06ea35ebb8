// Three-vectors and 3x3 matrices over any number type: double, a dual number, a
// SIMD lane.  Only what diffraction geometry needs; for linear algebra use Eigen.
#pragma once
#include <cmath>  // for std::sqrt

/// Marks what GPU threads call, too.
#ifdef __CUDACC__
#define NABLA_HOST_DEVICE __host__ __device__
#else
#define NABLA_HOST_DEVICE
#endif

/// Marks what runs in the pixel loop, on SIMD lanes and GPU threads.  Never a function of its own:
/// the same source is compiled for several instruction sets, and the linker keeps one copy of each
/// inline function.
#ifdef __CUDACC__
#define NABLA_INLINE NABLA_HOST_DEVICE __forceinline__
#define NABLA_NOINLINE NABLA_HOST_DEVICE __noinline__
#define NABLA_OUT_OF_LINE NABLA_INLINE
#else
#define NABLA_INLINE inline __attribute__((always_inline))
#define NABLA_NOINLINE __attribute__((noinline))
#define NABLA_OUT_OF_LINE NABLA_NOINLINE
#endif
/// NABLA_OUT_OF_LINE: not inlined, so that kernels stay small; on a GPU a call costs more than it
/// saves. NABLA_INLINE_LAMBDA: behind the parameters of a lambda.
#define NABLA_INLINE_LAMBDA __attribute__((always_inline))

namespace nablabragg {

template <class T>
struct Vec3 {
  T x{}, y{}, z{};

  NABLA_INLINE friend constexpr Vec3 operator+(const Vec3& a, const Vec3& b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z};
  }
  NABLA_INLINE friend constexpr Vec3 operator-(const Vec3& a, const Vec3& b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z};
  }
  NABLA_INLINE friend constexpr Vec3 operator-(const Vec3& a) { return {-a.x, -a.y, -a.z}; }
  NABLA_INLINE friend constexpr Vec3 operator*(const T& s, const Vec3& a) {
    return {s * a.x, s * a.y, s * a.z};
  }
  NABLA_INLINE friend constexpr Vec3 operator/(const Vec3& a, const T& s) {
    return {a.x / s, a.y / s, a.z / s};
  }
  NABLA_INLINE friend constexpr bool operator==(const Vec3& a, const Vec3& b) {
    return a.x == b.x && a.y == b.y && a.z == b.z;
  }
};

using Vec3d = Vec3<double>;

template <class T>
NABLA_INLINE constexpr T dot(const Vec3<T>& a, const Vec3<T>& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <class T>
NABLA_INLINE constexpr Vec3<T> cross(const Vec3<T>& a, const Vec3<T>& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

template <class T>
NABLA_INLINE T length(const Vec3<T>& a) {
  using std::sqrt;
  return sqrt(dot(a, a));
}

/// The vector divided by its length; the zero vector stays zero, and has no derivative.
template <class T>
NABLA_INLINE Vec3<T> unit(const Vec3<T>& a) {
  const T norm = length(a);
  return norm > T(0) ? a / norm : Vec3<T>{};
}

/// Rows `a`, `b`, `c`; as a crystal orientation these are the real-space cell
/// vectors, so that `matrix * q` is the triple of fractional Miller indices.
template <class T>
struct Mat3 {
  Vec3<T> a, b, c;

  static constexpr Mat3 identity() {
    return {{T(1), T(0), T(0)}, {T(0), T(1), T(0)}, {T(0), T(0), T(1)}};
  }
  NABLA_INLINE friend constexpr Vec3<T> operator*(const Mat3& m, const Vec3<T>& v) {
    return {dot(m.a, v), dot(m.b, v), dot(m.c, v)};
  }
};

using Mat3d = Mat3<double>;

/// The same vector in another number type: T(value) component by component.
template <class T, class U>
NABLA_INLINE Vec3<T> vec3_as(const Vec3<U>& v) {
  return {T(v.x), T(v.y), T(v.z)};
}

}  // namespace nablabragg
