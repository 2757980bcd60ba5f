"""Decide what a repository lacks to be a project of mergeline, and write those files' text.

    found    what a repository has, and what is likely meant by it: label, task, key, inputs
    answers  what was asked, or taken by default; kept in `.mergeline-init.json`
    scripts  what a training script that is there says: its label and its estimator
    files    the text of each file, from the answers alone
    plan     which files and commands are missing, and what a person must do

For example, for a repository with a CSV and nothing else:

    answers = propose(found, table, label="price")
    plan_init(found, answers, table, record=None).steps

The texts depend on the answers and on mergeline's version, and on nothing else. So a second run
plans nothing, and a newer version knows what it would write today.
"""
