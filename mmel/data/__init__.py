"""Datasets: the bundled world, ImageNet, COCO, Conceptual Captions, and folders of one's own, all read alike."""

from .dataset import Dataset
from .opening import DATASETS, ModelAndData, model_and_data, open_dataset

__all__ = ["DATASETS", "Dataset", "ModelAndData", "model_and_data", "open_dataset"]
