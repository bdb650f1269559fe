"""Accelerators, models and planning assumptions, with a source for every number."""

from clustersim.catalogue.accelerator import Accelerator, hypothetical_note
from clustersim.catalogue.assumptions import CNY_PER_USD, PlanningAssumptions
from clustersim.catalogue.catalogue import Catalogue
from clustersim.catalogue.hbm import HBM_GENERATIONS, HbmGeneration
from clustersim.catalogue.load import load_catalogue, seedchip
from clustersim.catalogue.model import Model
from clustersim.catalogue.schema import CatalogueFile

__all__ = [
    "CNY_PER_USD",
    "HBM_GENERATIONS",
    "Accelerator",
    "Catalogue",
    "CatalogueFile",
    "HbmGeneration",
    "Model",
    "PlanningAssumptions",
    "hypothetical_note",
    "load_catalogue",
    "seedchip",
]
