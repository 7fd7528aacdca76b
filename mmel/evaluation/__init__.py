"""Tables from any model, dataset and rows: shards, parts, intervals, reports. `evaluate` is the way in."""

from .protocol import EvaluationProtocol, Measurement, Row
from .running import Outcome, Plan, evaluate, run

__all__ = ["EvaluationProtocol", "Measurement", "Outcome", "Plan", "Row", "evaluate", "run"]
