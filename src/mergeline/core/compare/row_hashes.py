"""A hash of each row's values: equal for equal rows, whatever types their columns came in.

1, 1.0 and true are one value, and so are 0.0 and -0.0, a date and its midnight, None and NaN. The
order of the columns does not matter; their names do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from mergeline.core.compare.arrays import is_missing

Hashes = npt.NDArray[np.uint64]
_MISSING, _TIME = np.uint64(0x6D697373696E6700), np.uint64(0x74696D6500000000)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def row_hashes(columns: Mapping[str, npt.NDArray[Any]], *, rounded: bool = False) -> Hashes:
    """A hash of each row, shape (n,), of columns of shape (n,).

    Numbers count as float64, times as microseconds (those without a zone as UTC), anything else
    as its text. If `rounded`, numbers count to four significant digits, whole ones to their last:
    rows that differ by a little noise, or by the rounding of float32, are mostly equal then.
    """
    total: Hashes | None = None
    for name, values in columns.items():
        part = _mix(_bits(np.asarray(values), rounded=rounded) ^ _text_bits(name))
        total = part if total is None else total + part
    if total is None:
        raise ValueError("rows without columns have no hash")
    return _mix(total)


def _mix(bits: Hashes) -> Hashes:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): it mixes all bits."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _bits(values: npt.NDArray[Any], *, rounded: bool) -> Hashes:
    if values.dtype.kind in "biuf":
        floats = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
        floats = _rounded(floats) if rounded else floats
        return np.where(np.isnan(floats), _MISSING, floats.view(np.uint64))
    if values.dtype.kind == "M":
        micros = values.astype("datetime64[us]").astype(np.int64)
        return np.where(np.isnat(values), _MISSING, _mix(micros.view(np.uint64)) ^ _TIME)
    known: dict[Any, np.uint64] = {}
    found = np.empty(len(values), dtype=np.uint64)
    for position, value in enumerate(values.tolist()):
        item = repr(value.tolist()) if isinstance(value, np.ndarray) else value
        item = repr(item) if isinstance(item, list | dict | set) else item
        if item not in known:
            known[item] = _bits_of(item, rounded=rounded)
        found[position] = known[item]
    return found


def _rounded(floats: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A code of each number's power of ten and first four digits; large whole ones as they are."""
    size = np.abs(floats)
    counted = (size >= 10_000) & (size < 2.0**53) & (size == np.rint(size))
    coded = (size > 0) & np.isfinite(size) & ~counted
    positive = np.where(coded, size, 1.0)
    power = np.floor(np.log10(positive))
    with np.errstate(divide="ignore", over="ignore"):  # of numbers that a float hardly holds
        # Decimals as people write them do not lie where this rounds up: noise moves few across.
        digits = np.floor(positive / 10.0 ** (power - 3) + 0.318)
    over = digits >= 10_000
    power, digits = power + over, np.where(over, 1_000, digits)
    return np.where(coded, np.sign(floats) * (1e5 * (power + 400) + digits), floats)


def _bits_of(value: object, *, rounded: bool) -> np.uint64:
    if is_missing(value):
        return _MISSING
    if isinstance(value, numbers.Real | Decimal | np.bool_):
        return np.uint64(_bits(np.array([float(value)]), rounded=rounded)[0])
    if isinstance(value, dt.date):
        if not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as UTC below
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        micros = (aware - _EPOCH) // dt.timedelta(microseconds=1)
        return np.uint64(_bits(np.array([micros], dtype="datetime64[us]"), rounded=False)[0])
    return _text_bits(value if isinstance(value, str | bytes) else repr(value))


def _text_bits(text: str | bytes) -> np.uint64:
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))
