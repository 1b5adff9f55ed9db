"""What happens when: scenes and events of a clip with their times, and moments of anything said.

Cross-modal Knowledge Mining (docs/events.md). `timeline_of` makes a `Timeline`.
"""

from assistant.timeline.making import timeline_of
from assistant.timeline.types import Heard, Knowledge, Moment, Query, Segment, Timeline, Window

__all__ = ["Heard", "Knowledge", "Moment", "Query", "Segment", "Timeline", "Window", "timeline_of"]
