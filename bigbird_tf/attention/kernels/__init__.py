"""How block-sparse attention is computed: a dense reference, and in chunks."""
