"""What a training job sends: bytes by kind and level of links, and its response to the network."""

from clustersim.performance.traffic.job_traffic import Traffic, traffic_of
from clustersim.performance.traffic.placed_response import (
    PlacedResponse,
    PlacedResponses,
    placed_responses,
)
from clustersim.performance.traffic.placed_traffic import (
    PlacedTraffic,
    chips_inside,
    path_latency,
    placed_traffic,
)
from clustersim.performance.traffic.streams import KINDS

__all__ = [
    "KINDS",
    "PlacedResponse",
    "PlacedResponses",
    "PlacedTraffic",
    "Traffic",
    "chips_inside",
    "path_latency",
    "placed_responses",
    "placed_traffic",
    "traffic_of",
]
