"""What the readers of users' files share, so that none knows less than its neighbour.

- `spellings`: how motion files, their folders, columns and keys are called, and name forms.
- `sound_suffixes`: how sound and video files end.
- `files`: bounds and errors: a file is regular and small enough before it is read.
- `archives`: `.npy` and `.npz` arrays, their headers and contents within bounds.
- `tables`: CSV in the dialects that programs and spreadsheets write.
- `timecodes`: what timecodes count, and when each frame was.
- `clock_times`: ISO 8601 and other times as text, in seconds.
- `numerals`: numbers as spreadsheets write them, with the decimal sign of the table.
"""
