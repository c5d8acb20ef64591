"""DNA: masked language models, coding intervals and pairs of motifs, measured."""
