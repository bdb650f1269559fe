"""Purchase plans: what to buy and when, given budgets, uncertain supply and a demand to meet."""

from clustersim.procurement.load import PlanQuestion, define_plan, load_plan
from clustersim.procurement.result import PurchasePlan, plan_purchases

__all__ = ["PlanQuestion", "PurchasePlan", "define_plan", "load_plan", "plan_purchases"]
