"""What a repository declares: models, contracts, pointers and stages, read strictly."""
