#include "engine/cuda/plugin/gradient_launches_of_shape.hpp"

template struct nablabragg::engine::cuda::GradientLaunches<nablabragg::physics::Round>;
