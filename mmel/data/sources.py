"""Where the datasets come from and under which terms. Nothing of them is distributed with this package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A dataset for people: what it is, where each part of it comes from, its terms, and how many samples it has."""

    title: str
    parts: dict[str, str]
    terms: str
    count: int | None = None


SOURCES = {
    "imagenet": Source(
        "ImageNet, ILSVRC 2012 validation",
        {
            "pictures": "https://image-net.org/download-images (ILSVRC2012_img_val.tar, 6.7 GB, an account is needed), "
            "or the gated repository ILSVRC/imagenet-1k of the Hugging Face hub (data/validation-*.parquet)",
            "labels": "https://image-net.org/download-images (ILSVRC2012_devkit_t12.tar.gz: its folder data), or "
            "LOC_val_solution.csv of Kaggle's imagenet-object-localization-challenge",
        },
        "pictures belong to their owners; ImageNet's terms of access allow non-commercial research and education only",
        50_000,
    ),
    "coco": Source(
        "COCO 2014 validation, Karpathy's test split",
        {
            "pictures": "https://cocodataset.org/#download (2014 Val images, val2014.zip, 6 GB)",
            "captions": "https://cs.stanford.edu/people/karpathy/deepimagesent/ (caption_datasets.zip holds "
            "dataset_coco.json)",
        },
        "captions: CC BY 4.0; pictures belong to their owners, under Flickr's terms of use",
        5_000,
    ),
    "coco-objects": Source(
        "COCO 2014 validation, Karpathy's test split, with the masks of 80 kinds of objects",
        {
            "pictures": "https://cocodataset.org/#download (2014 Val images, val2014.zip, 6 GB)",
            "captions": "https://cs.stanford.edu/people/karpathy/deepimagesent/ (caption_datasets.zip holds "
            "dataset_coco.json)",
            "masks": "https://cocodataset.org/#download (2014 Train/Val annotations, annotations_trainval2014.zip "
            "holds annotations/instances_val2014.json)",
        },
        "captions and masks: CC BY 4.0; pictures belong to their owners, under Flickr's terms of use",
    ),
    "conceptual-captions": Source(
        "Conceptual Captions, validation",
        {
            "list": "https://ai.google.com/research/ConceptualCaptions/download "
            "(Validation_GCC-1.1.0-Validation.tsv, 15,840 lines)",
            "pictures": "mmel data fetch conceptual-captions --tsv Validation_GCC-1.1.0-Validation.tsv --root ROOT",
        },
        "the list may be used freely, with a request to name Google as its source; pictures belong to the owners of "
        "their pages. Many links are dead by now: results depend on which are left, so give the manifest with them",
    ),
    "masks": Source(
        "ImageNet-Segmentation, or masks of your own",
        {
            "pictures": "https://calvin-vision.net/bigstuff/proj-imagenet/data/gtsegs_ijcv.mat (Guillaumin, Kuettel, "
            "Ferrari 2014; 4,276 pictures): python tools/unpack_gtsegs.py gtsegs_ijcv.mat ROOT, with h5py installed "
            "anywhere; or your own as images/CLASS/NAME.jpg",
            "masks": "the same file, by the same command; or your own as masks/CLASS/NAME.png",
        },
        "pictures belong to their owners, under ImageNet's terms of access: non-commercial research and education only",
    ),
    "folder": Source(
        "a folder of your own",
        {
            "pictures": "yours, anywhere below the folder",
            "table": "captions.csv with the columns image,caption, or labels.csv with image,class (or .tsv)",
        },
        "as you have them",
    ),
}
