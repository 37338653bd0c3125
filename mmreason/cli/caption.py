"""`mmreason caption`: what is to be seen in a video or a part of it."""

from __future__ import annotations

from typing import Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    FullHash,
    Json,
    ModelName,
    OptionItems,
    OptionsFile,
    ServedModel,
    StorePath,
    load_reasoner,
    print_json,
    print_line,
    read_model_options,
    show_progress,
)


def caption_video(
    video: Annotated[str, typer.Argument(help="Video file, or a scripted world (.json).")],
    start: Annotated[float | None, typer.Option(help="First second; default: the start.")] = None,
    end: Annotated[float | None, typer.Option(help="Last second; default: the end.")] = None,
    model: ModelName = "nano",
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    store: StorePath = None,
    full_hash: FullHash = False,
    as_json: Json = False,
) -> None:
    """Describe a video, or the part between --start and --end."""
    from mmreason.language.validate import checked_part
    from mmreason.video import Video

    # The span is checked against the file before a model is loaded, which takes longer.
    options = read_model_options(option, options_file)
    with Video.open(video, full_hash=full_hash) as opened:
        span = checked_part(start, end, opened.info)
        with show_progress(f"loading {model}") as say:
            reasoner = load_reasoner(
                model,
                store,
                served_model=served_model,
                api_key_file=api_key_file,
                options=options,
                probe=False,
            )
            say(f"watching {span}")
            text = reasoner.caption(opened, span)
    if as_json:
        print_json({"video": video, "span": span.to_list(), "text": text})
    else:
        print_line(text)
