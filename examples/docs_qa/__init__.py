"""Ask the documentation of the machine's own Python packages: data, training, demo."""
