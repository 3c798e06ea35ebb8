#include "engine/cuda/plugin/launches_of_shape.hpp"

template struct nablabragg::engine::cuda::Launches<nablabragg::physics::Square>;
