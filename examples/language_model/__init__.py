"""Language models of Python source: kinds of causal attention at equal time."""
