"""Networks: a 3D U-Net, the denoiser of magnitudes, its training and its weights."""

from models.config import Config, ReconstructorConfig, load_config
from models.denoiser import Denoiser, estimate_level
from models.denoising import export, train
from models.unet import UNet3D

__all__ = ["Config", "Denoiser", "ReconstructorConfig", "UNet3D", "estimate_level", "export", "load_config", "train"]
