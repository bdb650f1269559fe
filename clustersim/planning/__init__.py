"""Purchase plans: what to buy when, under budgets, uncertain supply and a demand to meet."""

from clustersim.planning.load import PlanQuestion, define_plan, load_plan
from clustersim.planning.result import Plan, make_plan

__all__ = ["Plan", "PlanQuestion", "define_plan", "load_plan", "make_plan"]
