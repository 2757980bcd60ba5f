"""Delta tables: each snapshot is one commit that adds and removes whole files of drops.

A drop is converted once, to a Parquet file whose name says its content. A snapshot is a list of
such files; a commit writes the difference from the last version to the table's log, and no rows.

    tables.py      all of it for its callers: `Tables`
    building.py    converts what is missing and commits, or starts over if another was quicker
    actions.py     the entries of a commit, with the statistics that let readers skip files
    guests.py      what other engines have switched on in the table, before a commit of ours
    state.py       one version: its files, rows and schema
    log.py         the history that the table's log tells
    comparing.py   two versions and what differs
    rows.py        rows that changed between two versions, by key
    summaries.py   summaries of files, merged and kept, so that a comparison reads only new files
    profiles.py    one file's summary; keys.py: keys that two files share
    verify.py      whether a file still holds what was written
    storage.py     the folder below all of these, on a disk or in an object store

delta-rs' and pyarrow's errors become a `TableError` in `state.translated` (the log) and in
`storage.ObjectStorage` (the bucket).
"""
