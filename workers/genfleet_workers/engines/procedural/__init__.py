"""Draws pictures and film from words, without a model.

choices    what a scene can be, and the words that choose it
scene      one scene as a set of choices; palette: its colours
settings   what each setting is composed of, painted by sky, cosmos, terrain, street, towers, trees, water,
           lights, landmarks, figures (with their outlines) and weather
sheets     the painted layers, and how they are laid over a frame
stage      the layers of one scene, and the camera that looks at them; finish: bloom, corners, grain
canvas     the paper and the arithmetic of painting; noise: irregularity
"""
