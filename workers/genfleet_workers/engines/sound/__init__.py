"""Makes and edits sound: speech by espeak-ng, ambience by NumPy, and ffmpeg for all that changes a sound.

`speech` and `profiles` say how a character speaks, `espeak` is the program that speaks, `ambience` makes what is heard
around it. `desk` turns takes into takes, one ffmpeg each, and `loudness` measures them.
"""
