"""Scripts that come with the project: run one by its name, copy it to make your own."""
