"""The command line: options, one verb of the lifecycle, print, exit code.

This is the one place that prints what a verb returns. Standard output is the product; progress and
errors go to standard error. Exit codes: 0 done or passed, 1 the gate refused, 2 usage or
configuration, 3 an external system failed.

The files in the order of a call:

    main.py       the process: signals, one line for a mistake, the exit code
    commands.py   the commands of the lifecycle, such as `mergeline release`
    data.py       the commands on data and contracts, such as `mergeline data diff`
    show.py       the result of a verb as lines, one function for each type
    tables.py     the ledger and the contents of tables, as tables
    output.py     prints lines, tables or JSON
    progress.py   shows how far work is that takes long

A new verb returns a dataclass, gets a function in `show.py` and a command of three lines:

    results = status(Project.at(), model=model)
    print_results(results, status_lines, as_json=as_json)

It may import every other floor. Imports of verbs stand inside the commands, so that
`mergeline --help` is instant.
"""
