"""`demo`: the whole story of the reference project, played on this machine in one folder.

The demo plays the people only: an author who opens pull requests, a reviewer who merges, a CI
machine that checks out what the forge offers. What happens in between is done by the verbs that the
workflows call. Its files, in the order in which a story needs them:

1. `people`: who works around a project, and where: a forge in a folder, the author's clone, the CI
   machine's clone. It knows nothing of flights; the tests let the same people work on a small
   project.
2. `flights`: the reference project as the author begins it, and its drops of a month.
3. `screen`: what the spectator reads.
4. `play`: the acts: a first release, a better model, a new drop, a worse model that is refused, a
   revert, and two pull requests of which one lands first.

    from mergeline.demo.play import play

    play(Path.cwd(), workspace=Path("story"), keep=True)

It may import `lifecycle` and what lies below; only `cli` imports it.
"""
