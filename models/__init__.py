"""Offer networks, the physics stages that feed them, and the weights that ship."""

from mimo.models.denoiser import Denoiser, estimate_level
from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.reconstructor import Reconstructor
from mimo.models.unet import UNet3D
from mimo.models.weight_files import find_weights, load_weights, save_weights

__all__ = [
    "Denoiser",
    "MethodConfig",
    "NetworkConfig",
    "Reconstructor",
    "UNet3D",
    "estimate_level",
    "find_weights",
    "load_weights",
    "save_weights",
]
