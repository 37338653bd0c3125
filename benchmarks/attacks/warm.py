"""What every child needs, imported once in the process that they fork from."""

import av
import cv2
import PIL.Image
import torch
import transformers

import mmreason.cli
import mmreason.models.hf
import mmreason.models.nano_model
import mmreason.reasoner
from mmreason.cli.common import quiet_libraries

__all__ = ["PIL", "av", "cv2", "mmreason", "torch", "transformers"]

quiet_libraries()
torch.set_num_threads(1)
