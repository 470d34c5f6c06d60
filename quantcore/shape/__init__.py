"""The sizes of models: of known ones, and of any config.json."""

from quantcore.shape.configs import shape_from_json
from quantcore.shape.model_shape import (
    Experts,
    LatentAttention,
    LayerCache,
    ModelShape,
    is_expert,
    is_weight,
    shape_from_config,
)
from quantcore.shape.presets import preset, preset_config, preset_ids

__all__ = [
    "Experts",
    "LatentAttention",
    "LayerCache",
    "ModelShape",
    "is_expert",
    "is_weight",
    "preset",
    "preset_config",
    "preset_ids",
    "shape_from_config",
    "shape_from_json",
]
