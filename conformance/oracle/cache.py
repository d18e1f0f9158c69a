"""jax as this room uses it: on the CPU, in float64, with its compilations kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import platformdirs


def _cpu_features() -> str:
    """What the processor can do, in words: compiled code must not move to one that cannot."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    features = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    return " ".join([platform.machine(), *features])


def cache_folder() -> Path:
    """Where compilations are kept: one folder for each jaxlib version and kind of processor."""
    digest = hashlib.sha256(_cpu_features().encode()).hexdigest()[:12]
    root = Path(platformdirs.user_cache_dir("autograd-conformance"))
    return root / f"jaxlib-{importlib.metadata.version('jaxlib')}-{digest}"


@functools.cache
def prepare(folder: Path | None = None) -> None:
    """Configure jax, once, before its first use in this process.

    A cache entry that cannot be read is compiled anew by jax, which only warns; a folder that
    cannot be made leaves the cache off.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    settings: dict[str, object] = {
        "jax_platforms": "cpu",
        "jax_enable_x64": True,
        # A program takes less time than handing it to another thread and back.
        "jax_cpu_enable_async_dispatch": False,
    }
    target = cache_folder() if folder is None else folder
    with contextlib.suppress(OSError):
        target.mkdir(parents=True, exist_ok=True)
        settings |= {
            "jax_compilation_cache_dir": str(target),
            "jax_persistent_cache_min_compile_time_secs": 0.2,
            "jax_persistent_cache_min_entry_size_bytes": 0,
        }
    import jax

    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
