import numpy as np

from bigbird_tf import BigBirdModel
from tests.contract import BATCH, LENGTH, WIDTH, ModelContract


class TestContract(ModelContract):
    model_class = BigBirdModel
    # 5 of the embeddings (three tables, two of the norm), 16 of each layer, 2 of the pooler.
    trainable_weights = 5 + 2 * 16 + 2
    # The embeddings' dropout, and three in each layer.
    states = 1 + 2 * 3
    # Embeddings: (53 + 61 + 2) * 21 + 2 * 21 = 2478. A layer: 4 * (21 * 21 + 21) + 2 * 21 for
    # attention, 21 * 13 + 13 + 13 * 21 + 21 + 2 * 21 for the rest: 2512. The pooler: 462.
    parameters = 2478 + 2 * 2512 + 462

    def labels(self):
        rng = np.random.default_rng(5)
        return {
            "last_hidden_state": rng.normal(size=(BATCH, LENGTH, WIDTH)),
            "pooler_output": rng.normal(size=(BATCH, WIDTH)),
        }

    def compile_arguments(self):
        return {"loss": {"last_hidden_state": "mse", "pooler_output": "mse"}}
