#include "readout/view.hpp"

#include <limits>

#include "nablabragg/geometry.hpp"
#include "nablabragg/units.hpp"

namespace nablabragg {

namespace readout {

namespace {

ViewedPanel viewed(const Panel& p) {
  ViewedPanel seen{p.fast_pixels, p.slow_pixels, 0,      p.pixel,
                   p.slow_pixel,  p.origin,      p.fast, p.slow};
  if (p.curvature != Curvature::flat) seen.bent = p;
  return seen;
}

ViewedPanel viewed(const GeometryPanel& p) {
  const auto metres = [](double mm) { return units::metres_from_mm(mm); };
  return {p.fast_pixels,
          p.slow_pixels,
          0,
          metres(p.fast_pixel_mm),
          metres(p.slow_pixel_mm),
          {metres(p.origin_mm.x), metres(p.origin_mm.y), metres(p.origin_mm.z)},
          p.fast_axis,
          p.slow_axis};
}

void number_pixels(View& view) {
  std::size_t first = 0;
  for (ViewedPanel& panel : view.panels) {
    panel.first_pixel = first;
    first += static_cast<std::size_t>(panel.fast_pixels) *
             static_cast<std::size_t>(panel.slow_pixels);
  }
}

}  // namespace

std::optional<PanelPoint> View::beam_on(std::size_t panel) const {
  const ViewedPanel& p = panels[panel];
  const Vec3d normal = cross(p.fast, p.slow);
  const double towards = dot(beam, normal), distance = dot(p.origin, normal) / towards;
  // Along the panel, or a panel upstream of the sample
  if (std::abs(towards) < 1e-9 || !(distance > 0)) return std::nullopt;
  // The axes need not be at right angles: solve for both.
  const Vec3d from = distance * beam - p.origin;
  const double fs = dot(p.fast, p.slow), determinant = 1 - fs * fs;
  const double f = dot(from, p.fast), s = dot(from, p.slow);
  return PanelPoint{static_cast<int>(panel), (f - fs * s) / determinant / p.pixel,
                    (s - fs * f) / determinant / p.slow_pixel};
}

View view_of(const Resolved& resolved) {
  View view;
  view.panels.push_back(viewed(resolved.panel));
  for (const ResolvedPanel& further : resolved.more_panels)
    view.panels.push_back(viewed(further.panel));
  number_pixels(view);
  view.placed = true;
  view.beam = resolved.panel.beam;
  view.wavelength = resolved.wavelength;
  return view;
}

}  // namespace readout

DetectorView::DetectorView(const Resolved& resolved)
    : view_(std::make_shared<const readout::View>(readout::view_of(resolved))) {}

DetectorView::DetectorView(const Geometry& geometry) {
  readout::View view;
  for (const GeometryPanel& panel : geometry.panels) view.panels.push_back(readout::viewed(panel));
  readout::number_pixels(view);
  view.placed = true;
  for (const readout::ViewedPanel& p : view.panels)
    view.placed = view.placed && length(p.fast) > 0 && length(p.slow) > 0 && p.pixel > 0 &&
                  p.slow_pixel > 0;
  view.beam = unit(geometry.beam ? geometry.beam->direction : geometry.beam_direction);
  if (geometry.beam) view.wavelength = units::metres_from_angstrom(geometry.beam->wavelength_A);
  view_ = std::make_shared<const readout::View>(std::move(view));
}

bool DetectorView::knows_places() const { return view_->placed; }

bool DetectorView::knows_wavelength() const { return view_->wavelength > 0; }

std::optional<PanelPoint> DetectorView::beam_spot() const {
  if (!view_->placed) return std::nullopt;
  if (view_->panels.size() == 1) return view_->beam_on(0);
  for (std::size_t i = 0; i < view_->panels.size(); ++i) {
    const auto spot = view_->beam_on(i);
    const readout::ViewedPanel& p = view_->panels[i];
    if (spot && spot->fast_px >= 0 && spot->fast_px <= p.fast_pixels && spot->slow_px >= 0 &&
        spot->slow_px <= p.slow_pixels)
      return spot;
  }
  return std::nullopt;
}

double DetectorView::d_spacing_A(const PanelPoint& point) const {
  const readout::ViewedPanel& panel = view_->panels.at(static_cast<std::size_t>(point.panel));
  constexpr double angstrom_per_metre = 1e10;
  return angstrom_per_metre / view_->inverse_d(panel.at(point.fast_px, point.slow_px));
}

}  // namespace nablabragg
