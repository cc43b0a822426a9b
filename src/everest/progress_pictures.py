"""This file decides which pictures a pre-training leaves in its folder as it goes on."""

import time

from everest.loading import Loader
from everest.preparing import Prepared
from everest.report.film import write_film
from everest.run import Run
from everest.showing import draw

SECONDS = 60.0  # from one picture to the next; pictures change no result


class SamplePictures:
    """Draws the first held-out clip at some validations: samples/epoch_N.gif."""

    def __init__(self, ready: Prepared, loader: Loader) -> None:
        self.ready = ready
        self.loader = loader
        self.drawn = -SECONDS

    def __call__(self, epoch: int) -> None:
        last = epoch == self.ready.recipe.epochs
        if not last and time.monotonic() - self.drawn < SECONDS:
            return
        clips = next(iter(self.loader.evaluation(1)))
        if clips.weight[0] == 0:
            return
        self.drawn = time.monotonic()
        ready = self.ready
        run = Run(str(ready.folder.path), ready.model, ready.config, device=ready.place.device.type)
        shown = draw(run, clips)
        write_film(shown.frames, ready.folder.samples / f"epoch_{epoch}.gif", fps=6.0)
