"""Deinterlacing: frames of two fields, taken at two times, become one picture.

FFmpeg's filter bwdif (Bob Weaver) interpolates the lines of one field out of
its neighbours in space and time. There are as many frames as before, and frames
that are not interlaced stay as they are.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph

_FILTER, _OPTIONS = "bwdif", "mode=send_frame:deint=interlaced"


def deinterlaced(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
  """Deinterlaces those frames of a video that are marked as interlaced.

  Args:
    frames: Decoded frames, in order of presentation.

  Yields:
    As many frames, in the same order.
  """
  graph, layout = None, None
  for frame in frames:
    # A graph takes frames of one size and format.
    now = frame.width, frame.height, frame.format.name
    if now != layout:
      yield from _rest(graph)
      graph, layout = _make_graph(frame), now
    assert graph is not None, "the first frame makes one"
    graph.vpush(frame)
    yield from _ready(graph)
  yield from _rest(graph)


def _make_graph(frame: av.VideoFrame) -> Graph:
  """A graph for frames such as this one."""
  graph = Graph()
  source = graph.add_buffer(
    width=frame.width,
    height=frame.height,
    format=frame.format,
    time_base=frame.time_base or Fraction(1, 1000),
  )
  graph.link_nodes(
    source, graph.add(_FILTER, _OPTIONS), graph.add("buffersink")
  ).configure()
  return graph


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
  """The frames that a graph has ready."""
  while True:
    try:
      yield graph.vpull()
    except (av.BlockingIOError, av.EOFError):
      return


def _rest(graph: Graph | None) -> Iterator[av.VideoFrame]:
  """The frames that a graph still holds at the end."""
  if graph is not None:
    graph.vpush(None)
    yield from _ready(graph)
