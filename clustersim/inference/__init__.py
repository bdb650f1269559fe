"""Serving: prefill and decoding of language models on a chip, images and videos."""

from clustersim.inference.calibration import ServingCalibration, default_serving
from clustersim.inference.capacity import serving_capacity, video_capacity
from clustersim.inference.model_facts import served_model
from clustersim.inference.served_model import ServedModel
from clustersim.inference.serving import ServingEstimate, estimate_serving
from clustersim.inference.serving_load import ServingLoad
from clustersim.inference.table import ServingTable, predict_serving

__all__ = [
    "ServedModel",
    "ServingCalibration",
    "ServingEstimate",
    "ServingLoad",
    "ServingTable",
    "default_serving",
    "estimate_serving",
    "predict_serving",
    "served_model",
    "serving_capacity",
    "video_capacity",
]
