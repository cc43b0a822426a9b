"""This file decides what searches which embeddings, and how a query becomes vectors like them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everest.embedding import Asked, digest_of, embed
from everest.embeddings import About, lance_folder, read_embeddings
from everest.entries import shown
from everest.pooling import Pool
from everest.run import load
from everest.searching.exact import Exact, Store

if TYPE_CHECKING:
    from everest.run import Run


def open_store(place: str) -> Store:
    """What everest embed wrote, ready to be searched; raises ValueError for anything else, and for
    vectors of single tokens."""
    store: Store
    folder = lance_folder(place)
    if folder is not None:
        from everest.searching.lance import Lance

        store = Lance(folder)
    else:
        store = Exact(read_embeddings(place))
    if store.places.positions is not None:
        raise ValueError(
            f"{place}: has a vector a token (--pool tokens); a search compares clips: embed them "
            f"with --pool mean or max"
        )
    if not len(store):
        raise ValueError(f"{place}: holds no vectors")
    return store


def model_of(store: Store, place: str, run: str | None, device: str) -> "Run":
    """The model that embeds a query: `run`, or the one that the embeddings name. Raises ValueError
    where there is none, and where its weights are not those that made the embeddings."""
    about = store.places.about
    source = run or (about.run if about else None)
    if source is None:
        raise ValueError(f"{place}: does not say which model made it; give it as --run RUN")
    if about is not None and run is None and not source.startswith("hf:"):
        if not Path(source).exists():
            raise ValueError(f"{source}: made {place} and is not there any more; give --run RUN")
    model = load(source, device=device)
    if about is not None and digest_of(model) != about.weights:
        raise ValueError(
            f"{source}: has other weights than the model that made {place}, so their vectors "
            f"cannot be compared; embed the videos again, or give --run with that model"
        )
    return model


def query_vectors(model: "Run", query: str, about: About | None) -> np.ndarray:
    """(Q, D): the query as the embeddings were made, a vector a window; raises ValueError where it
    cannot be read."""
    asked = Asked()
    if about is not None:
        pool: Pool = "max" if about.pool == "max" else "mean"
        asked = Asked(about.window, about.hop, about.keep, pool, about.frame_rate)
    found = embed(model, [query], asked)
    if not len(found.vectors):
        why = found.bad[0]["reason"] if found.bad else "cannot be read"
        raise ValueError(f"{shown(query)}: {shown(why)}")
    if len({*found.paths}) > 1:
        raise ValueError(f"{shown(query)}: holds {len({*found.paths})} videos; a query is one")
    return found.vectors
