"""The paper's Figure 5: methods by time on the head, curves by emotion, and a page with sound.

- `collect`: motion of every method of a sentence or a voice.
- `subject`: the sentence: an utterance of the corpus, or a voice without recorded motion.
- `methods`, `voices`: methods by name, on utterances of a run's corpus and on a voice.
- `moments`: which frames the strips show.
- `figure`: all files of the figure.
- `strip`: the picture of rendered frames.
- `error_colours`: errors in mm as colours.
- `quantities`: brows, lip corners and mouth opening in mm.
- `emotion_curves`, `emotion_picture`: their curves by emotion, as numbers and as a picture.
- `web`: the web page.
"""
