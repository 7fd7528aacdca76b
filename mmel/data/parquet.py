"""Parquet shards as the Hugging Face hub keeps them: `image` (a struct of bytes and path) and `label`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow
import pyarrow.parquet

from ..errors import DatasetError, ImageError
from .records import Picture, ordered


@dataclass(frozen=True)
class Row:
    """A row of a group of rows, which has to be read as a whole; the last groups are kept."""

    path: Path
    group: int
    row: int

    def read(self) -> bytes:
        return _bytes_of(self.path, self.group)[self.row].as_py() or b""


@lru_cache(maxsize=2)
def _bytes_of(path: Path, group: int) -> pyarrow.Array:
    try:
        table = pyarrow.parquet.ParquetFile(path).read_row_group(group, columns=["image.bytes"])
        return table.column("image").combine_chunks().field("bytes")
    except (OSError, pyarrow.ArrowException) as error:
        raise ImageError(f"{path.name} cannot be read at group {group} of its rows ({error}): get it again.") from error


def shards_in(*folders: Path) -> list[Path]:
    """The parquet files of the validation split in the first of these folders that has any."""
    for folder in folders:
        if found := sorted(folder.glob("validation-*.parquet")) or sorted(folder.glob("val*.parquet")):
            return found
    return []


def read_parquet(paths: list[Path]) -> tuple[Picture, ...]:
    """The samples of parquet files, in their order: in another, each would cost a group of rows. Only names and labels
    are read here.

    The size that identifies a sample is that of its group of rows: the sizes of single pictures are not to be had
    without reading all of them.
    """
    found = []
    for path in paths:
        try:
            file = pyarrow.parquet.ParquetFile(path)
            table = file.read(columns=["image.path", "label"])
            names, labels = table.column("image").combine_chunks().field("path"), table.column("label")
        except (OSError, pyarrow.ArrowException, KeyError) as error:
            raise DatasetError(
                f"{path.name} is no parquet file with `image` (bytes, path) and `label` ({error}): get it again."
            ) from error
        start = 0
        for group in range(file.num_row_groups):
            rows, size = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).total_byte_size
            for row in range(rows):
                name = names[start + row].as_py() or f"{path.stem}/{start + row:06d}"
                found.append(Picture(name, Row(path, group, row), size, labels[start + row].as_py()))
            start += rows
    return ordered(found, published=False)
