import keras
import numpy as np

from bigbird_tf.nn.shared_layers import replace_layer


class Pair(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.first, self.second = keras.layers.Dense(3), keras.layers.Dense(3)

    def build(self, shape):
        self.first.build(shape)
        if not self.second.built:
            self.second.build((None, 3))

    def call(self, inputs):
        return self.second(self.first(inputs))


def test_it_is_tracked_in_the_others_place():
    pair, shared = Pair(), keras.layers.Dense(3)
    replaced = pair.second
    shared.build((None, 3))
    replace_layer(pair, "second", shared)
    pair.build((None, 5))
    assert pair.second is shared
    assert not any(layer is replaced for layer in pair._flatten_layers())
    assert [weight.path for weight in shared.weights] == [w.path for w in pair.weights[2:]]
    assert len(pair.weights) == 4
    x = np.ones((2, 5), "float32")
    np.testing.assert_allclose(pair(x), shared(pair.first(x)), rtol=1e-6)
