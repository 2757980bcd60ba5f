"""Drops: one raw file becomes one typed Parquet file, or is refused.

    archive.py   a drop's bytes, plain or decompressed
    read.py      rows in batches, out of CSV, JSON lines and Parquet
    arrow_csv.py CSV as Arrow reads it
    check.py     rows cast to the contract's types, and what breaks the contract
    keys.py      rows that have the same key
    convert.py   all of these in order: `convert`
    infer.py     a first contract for drops that have none

    >>> convert(Path("2013-10.csv"), drop, contract, target=Path("2013-10.parquet"))

A drop of any size is read in parts. What Arrow, Polars and the decompressors raise becomes a
`DropError` in `read.read_batches` and `archive.open_drop`.
"""
