"""The subcommands of `bigbird-tf convert`."""

from pathlib import Path
from typing import Annotated

import typer

from bigbird_tf.cli.terminal import ModelName, OutputDirectory, messages, say_written

__all__ = ["app"]

app = typer.Typer(
    help="Make a pretrained directory of another library's checkpoint.", no_args_is_help=True
)


@app.command()
def google(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint, without .index or .data.")],
    config: Annotated[Path, typer.Argument(help="Google's settings, a JSON file.")],
    output: OutputDirectory,
) -> None:
    """Convert a TF 1 checkpoint of Google's BigBird code."""
    from bigbird_tf import checkpoints

    with messages.status("converting"):
        checkpoints.convert_google_checkpoint(checkpoint, config, output)
    say_written(output)


@app.command("model-garden")
def model_garden(
    checkpoint: Annotated[Path, typer.Argument(help="A tf.train.Checkpoint with the encoder.")],
    config: Annotated[
        Path, typer.Argument(help="Settings of its BigBirdEncoderConfig, a JSON file.")
    ],
    output: OutputDirectory,
) -> None:
    """Convert a BigBird encoder of the TensorFlow Model Garden (needs tf-models-official)."""
    from bigbird_tf import checkpoints
    from bigbird_tf.checkpoints.model_garden_checkpoint import load_model_garden_encoder

    with messages.status("converting"):
        encoder = load_model_garden_encoder(checkpoint, config)
        checkpoints.convert_model_garden_encoder(encoder, output)
    say_written(output)


@app.command()
def bert(
    model: ModelName,
    output: OutputDirectory,
    length: Annotated[int, typer.Option(help="Longest sequence of the new model.")] = 4096,
    block_size: Annotated[int, typer.Option(help="Tokens in a block.")] = 64,
) -> None:
    """Lengthen a BERT or RoBERTa checkpoint of transformers to a BigBird, as the paper did."""
    from bigbird_tf import checkpoints

    with messages.status("converting"):
        checkpoints.lengthen(model, length, output_dir=output, block_size=block_size)
    say_written(output)
