"""`bigbird-tf prepare` on a cluster: `python -m examples.train.prepare_beam --help`.

Apache Beam calls the same function, each worker for other parts of the files. Options that are not
named here are Beam's own, such as `--runner=DataflowRunner --project=… --setup_file=…`.
"""

import argparse
import functools
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import bigbird_tf as bb
from bigbird_tf.preprocessing import Preparation, prepare_records


@functools.cache
def load_tokenizer(model: str) -> bb.Tokenizer:
    """Returns a model's tokenizer, which a worker loads once."""
    return bb.Tokenizer.from_pretrained(model)


def write_part(
    part: tuple[int, int], model: str, files: Sequence[str], output: str, settings: dict[str, Any]
) -> Preparation:
    """Writes a part of the files, or those of it that are not there yet."""
    return prepare_records(files, output, load_tokenizer(model), part=part, **settings)


def main(arguments: Sequence[str] | None = None) -> Preparation:
    """Runs the pipeline.

    Returns:
        What all files have together.
    """
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="whose tokenizer: a directory or the hub's repository")
    parser.add_argument("output", help="a new directory that all workers reach, such as gs://…")
    parser.add_argument("files", nargs="+", help="texts that all workers reach; globs in quotes")
    parser.add_argument("--length", type=int, default=4096, help="most tokens of a record")
    parser.add_argument("--packing", default="joined", help="joined or sentences")
    parser.add_argument("--documents", default="file", help="in a text file: file or line")
    parser.add_argument("--field", default="text", help="in JSON lines and TFRecords")
    parser.add_argument("--shard-mebibytes", type=int, default=64, help="of text in a file")
    parser.add_argument("--parts", type=int, default=256, help="most workers at the same time")
    options, of_beam = parser.parse_known_args(arguments)
    names = ("length", "packing", "documents", "field", "shard_mebibytes")
    settings = {name: getattr(options, name) for name in names}
    parts = [(number, options.parts) for number in range(options.parts)]
    given = options.model, options.files, options.output, settings
    with beam.Pipeline(options=PipelineOptions(of_beam)) as pipeline:
        # Without the shuffle, one worker would get all parts.
        _ = pipeline | beam.Create(parts) | beam.Reshuffle() | beam.Map(write_part, *given)
    # All is there; this counts it.
    return write_part((0, 1), *given)


if __name__ == "__main__":
    print(main())
