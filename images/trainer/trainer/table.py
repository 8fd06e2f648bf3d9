"""Reading a data set: CSV files of one header, numbers everywhere, a label column of 0 and 1."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .problems import Problem

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST = float(np.finfo(np.float32).max)
LEAST_PER_CLASS = 4  # a row of each class for training and one held out, with room for rounding


@dataclass(frozen=True)
class Table:
    """Rows of features and their labels. `columns` names the features, in the order that the model takes them."""

    columns: tuple[str, ...]
    features: Array
    labels: Array

    def part(self, chosen: Array) -> Table:
        """Return these rows only."""
        return Table(self.columns, self.features[chosen], self.labels[chosen])


def find_files(folder: Path) -> list[Path]:
    """Return every CSV file below the folder of the only dataset, sorted by name."""
    datasets = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(datasets) != 1:
        found = ", ".join(path.name for path in datasets) or "none"
        raise Problem(f"the trainer wants one dataset in {folder}, found {found}")
    files = sorted(path for path in datasets[0].rglob("*.csv") if path.is_file())
    if not files:
        raise Problem(f"the dataset {datasets[0].name!r} has no .csv file")
    return files


def read(files: list[Path], label_column: str) -> Table:
    """Return the table that the files make together. Problem names file, line and column of what is wrong."""
    header: list[str] | None = None
    lines: list[list[float]] = []
    for file in files:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            first = _header(file, reader, label_column)
            if header is not None and first != header:
                raise Problem(f"{file.name} has other columns than {files[0].name}")
            header = first
            lines.extend(_numbers(file, reader, header))
    return _table(header or [], lines, label_column)


def _header(file: Path, reader: Iterator[list[str]], label_column: str) -> list[str]:
    header = [name.strip() for name in _next_line(file, reader)]
    if label_column not in header:
        raise Problem(f"{file.name} has no column {label_column!r}; it has {', '.join(header)[:200]}")
    if len(set(header)) != len(header):
        raise Problem(f"{file.name} has a column name twice")
    return header


def _next_line(file: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        return next(reader)
    except StopIteration as error:
        raise Problem(f"{file.name} is empty") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(f"{file.name} is not a CSV file in UTF-8") from error


def _numbers(file: Path, reader: Iterator[list[str]], header: list[str]) -> Iterator[list[float]]:
    for number, line in enumerate(_lines(file, reader), start=2):
        if not line:
            continue
        if len(line) != len(header):
            raise Problem(f"{file.name}, line {number}: {len(line)} values for {len(header)} columns")
        yield [_value(file, number, name, text) for name, text in zip(header, line, strict=True)]


def _lines(file: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(f"{file.name} is not a CSV file in UTF-8") from error


def _value(file: Path, number: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise Problem(f"{file.name}, line {number}, column {name!r}: {text[:40]!r} is not a number") from error
    if not abs(value) <= LARGEST:
        raise Problem(f"{file.name}, line {number}, column {name!r}: {text[:40]!r} is not a finite number")
    return value


def _table(header: list[str], lines: list[list[float]], label_column: str) -> Table:
    if len(header) < 2:
        raise Problem("the data set has no feature columns beside the label")
    values = np.array(lines, dtype=np.float64).reshape(-1, len(header))
    at = header.index(label_column)
    labels = values[:, at]
    wrong = labels[(labels != 0) & (labels != 1)]
    if wrong.size:
        raise Problem(f"the column {label_column!r} must hold 0 and 1 only, found {wrong[0]:g}")
    for label in (0, 1):
        if (count := int((labels == label).sum())) < LEAST_PER_CLASS:
            raise Problem(f"only {count} rows have the label {label}, at least {LEAST_PER_CLASS} are needed")
    columns = tuple(name for name in header if name != label_column)
    features = np.delete(values, at, axis=1).astype(np.float32)
    return Table(columns, features, labels.astype(np.float32))


def split(table: Table, held_out_share: float, seed: int) -> tuple[Table, Table]:
    """Return training rows and held-out rows, both with the classes in the table's proportion.

    The held-out rows depend on the seed and the table alone, so runs with other parameters are measured on the same.
    """
    generator = np.random.default_rng(seed)
    held = np.zeros(len(table.labels), dtype=bool)
    for label in (0, 1):
        rows = generator.permutation(np.flatnonzero(table.labels == label))
        held[rows[: min(max(1, round(len(rows) * held_out_share)), len(rows) - 1)]] = True
    return table.part(~held), table.part(held)
