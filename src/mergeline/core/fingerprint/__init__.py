"""What determines a model, and what a change to it will cause."""
