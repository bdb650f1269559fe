"""Serving: prefill and decode throughput of a model on a chip, images and videos."""

from clustersim.inference.model_facts import served_model
from clustersim.inference.served_model import ServedModel

__all__ = ["ServedModel", "served_model"]
