"""Trackio, the tracker of Hugging Face, which keeps runs on this machine."""

import io
import os
import uuid
from collections.abc import Mapping

from PIL import Image

from hdc_jax.runs.trackers.base import Tracked, Tracker

PROJECT = "hdc_jax"


class Trackio(Tracker):
  """Shows a run in Trackio's dashboard.

  Its environment variables set everything else: TRACKIO_DIR, and
  TRACKIO_SPACE_ID with HF_TOKEN for a dashboard on Hugging Face.
  """

  package = "trackio"

  def __init__(self, run: Tracked) -> None:
    """Starts the run, or goes on with the run of the same name."""
    import trackio

    self._trackio = trackio
    # Trackio knows a run by its name, which another directory may have, too.
    self.run_id = run.run_id or f"{run.name}-{uuid.uuid4().hex[:6]}"
    self._run = trackio.init(
      project=PROJECT,
      name=self.run_id,
      config=dict(run.config),
      resume="allow",
      auto_log_gpu=False,
      auto_log_cpu=False,
    )
    space = os.environ.get("TRACKIO_SPACE_ID")
    self.place = f"trackio show --project={PROJECT}"
    if space:
      self.place = f"https://huggingface.co/spaces/{space}"

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Logs the values."""
    self._run.log(dict(values), step=step)

  def picture(self, step: int, title: str, png: bytes) -> None:
    """Logs a picture."""
    with Image.open(io.BytesIO(png)) as image:
      shown = self._trackio.Image(image.convert("RGB"))
    self._run.log({title: shown}, step=step)

  def page(self, step: int, html: str) -> None:
    """Logs the page."""
    self._run.log({"report": self._trackio.Html(html)}, step=step)

  def close(self) -> None:
    """Waits until all is written or sent."""
    self._run.finish()
