"""`esarm bench hacking`: planted hacks climbed by a trainer, and the alarms that watch.

- `rewards`: rewards with a known hole, and what their holes pay for.
- `climbs`: short trainings on each reward, a folder each, so that finished ones are kept.
- `detectors`: alarms as statistics of a climb, with onset, lead time and ROC.
- `bench`: all together, table and JSON.
"""
