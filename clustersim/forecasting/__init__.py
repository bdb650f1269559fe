"""When waiting jobs start: a site's queue, or a saved run at a time, simulated from there."""

from clustersim.forecasting.forecast import forecast
from clustersim.forecasting.result import Forecast

__all__ = ["Forecast", "forecast"]
