"""Clips: animations written to files of any format, one or a folder of them, and their cards.

- `animation`: a recording to its files.
- `outputs`: the files of one clip, planned before any work, and written.
- `folder`: `esarm animate FOLDER`, every recording below a folder.
- `conversion`: `esarm convert`, motion of any origin in any format.
- `card`: the quality card of a clip.
"""
