"""ImageNet-Segmentation's one file as the folders that the dataset `masks` reads.

    unpack_gtsegs.py gtsegs_ijcv.mat ROOT

The file is MATLAB 7.3, which is HDF5: this needs h5py, which is no part of our environment (pip install h5py numpy
pillow, in one of its own). A picture of several segmentations keeps the first, as evaluations with this file do.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def unpack(file, root: Path) -> int:
    """Write every picture with its mask, and say how many; `file` is an open h5py.File, or a mapping like it."""
    value = {name: file[f"value/{name}"] for name in ("img", "gt", "target")}
    count = value["img"].shape[0]
    for index in range(count):
        picture = np.array(file[value["img"][index, 0]]).transpose(2, 1, 0)  # MATLAB's axes run the other way
        mask = np.array(file[file[value["gt"][index, 0]][0, 0]]).T
        wnid = "".join(chr(int(each)) for each in np.array(file[value["target"][index, 0]]).ravel())
        for kind, array in {"images": picture, "masks": (mask > 0).astype(np.uint8) * 255}.items():
            path = root / kind / wnid / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(array)).save(path.with_suffix(".tmp"), "PNG")
            path.with_suffix(".tmp").replace(path)
    return count


def main(source: str, root: str) -> None:
    """Read the file that is named, into the folder that is named."""
    try:
        import h5py
    except ImportError:
        sys.exit(
            "h5py is needed to read a MATLAB 7.3 file: pip install h5py, in any environment with numpy and Pillow."
        )
    with h5py.File(source, "r") as file:
        print(f"{unpack(file, Path(root)):,} pictures with masks in {root}; `mmel data check masks --root {root}`")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
