// What Gaussians ask of 3x3 matrices beyond vec3.hpp.
#pragma once
#include "nablabragg/vec3.hpp"

namespace nablabragg {

template <class T>
NABLA_INLINE constexpr Mat3<T> operator+(const Mat3<T>& m, const Mat3<T>& n) {
  return {m.a + n.a, m.b + n.b, m.c + n.c};
}
template <class T>
NABLA_INLINE constexpr Mat3<T> operator-(const Mat3<T>& m, const Mat3<T>& n) {
  return {m.a - n.a, m.b - n.b, m.c - n.c};
}
template <class T>
NABLA_INLINE constexpr Mat3<T> operator*(const T& s, const Mat3<T>& m) {
  return {s * m.a, s * m.b, s * m.c};
}
template <class T>
NABLA_INLINE constexpr Mat3<T> transposed(const Mat3<T>& m) {
  return {{m.a.x, m.b.x, m.c.x}, {m.a.y, m.b.y, m.c.y}, {m.a.z, m.b.z, m.c.z}};
}
/// The transposed matrix times a vector.
template <class T>
NABLA_INLINE constexpr Vec3<T> transposed_times(const Mat3<T>& m, const Vec3<T>& v) {
  return v.x * m.a + v.y * m.b + v.z * m.c;
}
template <class T>
NABLA_INLINE constexpr Mat3<T> operator*(const Mat3<T>& m, const Mat3<T>& n) {
  return {transposed_times(n, m.a), transposed_times(n, m.b), transposed_times(n, m.c)};
}
template <class T>
NABLA_INLINE constexpr Mat3<T> outer(const Vec3<T>& u, const Vec3<T>& v) {
  return {u.x * v, u.y * v, u.z * v};
}
template <class T>
NABLA_INLINE constexpr Mat3<T> outer_square(const Vec3<T>& v) {
  return outer(v, v);
}
template <class T>
NABLA_INLINE constexpr T trace(const Mat3<T>& m) {
  return m.a.x + m.b.y + m.c.z;
}
template <class T>
NABLA_INLINE constexpr T determinant(const Mat3<T>& m) {
  return dot(m.a, cross(m.b, m.c));
}
template <class T>
NABLA_INLINE constexpr Mat3<T> inverse(const Mat3<T>& m) {
  const Vec3<T> bc = cross(m.b, m.c);
  return transposed(Mat3<T>((T(1) / dot(m.a, bc)) * Mat3<T>{bc, cross(m.c, m.a), cross(m.a, m.b)}));
}
/// The matrix whose product with w is v x w.
template <class T>
NABLA_INLINE constexpr Mat3<T> cross_matrix(const Vec3<T>& v) {
  return {{T(0), -v.z, v.y}, {v.z, T(0), -v.x}, {-v.y, v.x, T(0)}};
}

}  // namespace nablabragg
