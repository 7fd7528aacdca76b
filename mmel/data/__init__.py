"""Datasets: the bundled world, ImageNet, COCO, Conceptual Captions, and folders of one's own, all read alike."""

from .checking import Finding, check
from .dataset import Dataset
from .download import Limits
from .fetching import Fetched, fetch
from .iterating import AHEAD, Loaded, iterate
from .opening import DATASETS, ModelAndData, model_and_data, open_dataset

__all__ = [
    "AHEAD", "DATASETS", "Dataset", "Fetched", "Finding", "Limits", "Loaded", "ModelAndData",
    "check", "fetch", "iterate", "model_and_data", "open_dataset",
]  # fmt: skip
