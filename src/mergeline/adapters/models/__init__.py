"""Models on disk: their folder, and asking them.

`folder` reads an MLflow model's folder and loads it into this process: for what is trusted already,
such as a released version that a server answers with. `confined` asks a model that nobody vouches
for yet, in a child process behind walls (`system.confinement`); `child` is the program that runs
there. The errors of all three are `BundleError`s.
"""
