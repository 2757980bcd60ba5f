"""Drops: one raw file becomes one typed Parquet file, or is refused.

    archive.py    a drop's bytes, plain or decompressed
    sniff.py      what a file looks like that is not what its contract says
    read.py       rows in batches, whatever the format: csv_text.py and arrow_csv.py read CSV,
                  json_lines.py and parquet.py the others
    casting.py    values become values of the contract's types
    check.py      what breaks the contract
    keys.py       rows that have the same key
    convert.py    all of these in order: `convert`
    infer.py      a first contract for drops that have none; dialects.py guesses that of a CSV

    >>> convert(Path("2013-10.csv"), drop, contract, target=Path("2013-10.parquet"))

A drop of any size is read in parts. What Arrow, Polars and the decompressors raise becomes a
`DropError` in `read.read_batches` and `archive.open_drop`.
"""
