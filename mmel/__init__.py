"""Explanations of CLIP: Grad-ECLIP, MMEL, their baselines, and the metrics that judge them.

Names are imported when they are first used, so that `mmel --version` does not wait for torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "clip": ("Clip", "embed_image", "embed_text", "load_clip", "normalize_pixels", "similarity"),
    "loading.inputs": ("prepare",),
    "errors": ("MmelError", "MmelWarning"),
    "evaluation": ("evaluate",),
    "methods": ("METHODS", "OFFICIAL", "explain"),
    "methods.mmel_settings": ("LITERAL", "WORKING", "MmelSettings"),
    "trace": ("record",),
    "types": ("Attribution", "ClipTrace", "Example", "LayerTrace"),
}
_FILES = (
    "data", "errors", "evaluation", "figures", "maps", "metrics", "sanity", "scenes", "stats", "trace", "training",
    "widgets",
)  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME, *_FILES]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name in _FILES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
