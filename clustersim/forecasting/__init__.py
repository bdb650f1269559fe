"""When waiting jobs start: a site's queue, or a saved run at a time, simulated from there."""

from clustersim.forecasting.forecast import Forecast, forecast

__all__ = ["Forecast", "forecast"]
